"""How many calls, of which server and tool, with what outcome, how long."""

from __future__ import annotations

import time
from typing import Any

import anyio
from mcp import MCPError

from pygent_registry.policies import Handler, Policy, Request, outcome_of
from pygent_registry.tally import Key, Tally
from pygent_shared.errors import NotApproved, PeerError, PygentError


def measure(tally: Tally) -> Policy:
    """Count every request that has an owner, let through or not."""

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            whole = tally.of(request.server)
            whole.in_flight += 1
            outcome, began = "defect", time.perf_counter()
            try:
                result = await handler(request)
                outcome = outcome_of(result)
                return result
            except MCPError:
                outcome = "error"
                raise
            except PygentError as error:
                outcome = _refusal(error)
                whole.refused[type(error).__name__] += 1
                raise
            except anyio.get_cancelled_exc_class():
                outcome = "cancelled"
                raise
            finally:
                whole.in_flight -= 1
                tally.ended(_key(request), outcome, time.perf_counter() - began)

        return handle

    return policy


def _refusal(error: PygentError) -> str:
    """Whose doing it is: the server's, which could not be had, or a rule's."""
    gone = isinstance(error, PeerError) and not isinstance(error, NotApproved)
    return "unavailable" if gone else "refused"


def _key(request: Request) -> Key:
    # Only what the catalogue holds has a definition: no caller makes up names to be counted under.
    return request.server, request.method, (request.tool or "") if request.definition else ""
