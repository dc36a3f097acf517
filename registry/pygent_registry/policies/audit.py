"""One record of each call: who, with what, of which server and tool, with what outcome, how long."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import anyio
from mcp import MCPError

from pygent_registry import chain
from pygent_registry.abridge import size_of
from pygent_registry.journal import Journal
from pygent_registry.policies import Handler, Policy, Request, outcome_of
from pygent_registry.redaction import Redactor
from pygent_shared.errors import PygentError
from pygent_shared.traces import trace_id

log = logging.getLogger(__name__)

How = Literal["hash", "arguments", "off"]


def audit(journal: Journal, how: How, redactor: Callable[[], Redactor]) -> Policy:
    """Write a record of every request that has an owner, let through or not.

    A record that cannot be written stops no call: it is logged, once for each reason.

    Args:
        how: what is written of the arguments. Even the hash is of what is left without known secrets.
    """
    complained: set[str] = set()

    async def write(record: dict[str, Any]) -> None:
        try:
            # The call is over, cancelled or not; its record is still to be written.
            with anyio.CancelScope(shield=True):
                await journal.append(record)
        except OSError as error:
            if str(error) not in complained:
                complained.add(str(error))
                log.error("The audit record cannot be written, so calls go unrecorded: %s", error)

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            began = time.perf_counter()
            outcome, size = "cancelled", 0
            try:
                result = await handler(request)
                outcome, size = outcome_of(result).replace("_", " "), size_of(result)
                return result
            except (MCPError, PygentError) as error:
                outcome = f"refused by {type(error).__name__}" if isinstance(error, PygentError) else "error"
                raise
            finally:
                ms = round((time.perf_counter() - began) * 1000, 1)
                spent = {"bytes": size, "outcome": outcome, "ms": ms}
                await write({**_asked(request, how, redactor()), **spent})

        return handle if how != "off" else handler

    return policy


def _asked(request: Request, how: How, redactor: Redactor) -> dict[str, Any]:
    """The record's first half, in the order in which people read it."""
    arguments = redactor.value(request.params.get("arguments") or {})
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "who": request.caller,
        "client": _client(request),
        "trace": trace_id(request.params.get("_meta")),
        "server": request.server,
        "method": request.method,
        "name": redactor.text(request.name),
        "arguments": arguments if how == "arguments" else chain.fingerprint(arguments),
    }


def _client(request: Request) -> str:
    found = request.context.session.client_params
    return f"{found.client_info.name} {found.client_info.version}" if found else ""
