"""A request that was lost with its server is made again, once, where that can do no harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pygent_registry.policies import Handler, Policy, Request
from pygent_shared.errors import ConnectionLost
from pygent_shared.tasks.wire import GET

# These change nothing, by the protocol itself.
READS = frozenset({"resources/read", "prompts/get", "completion/complete", GET})


def repeat_reads(trusted: Callable[[str], bool]) -> Policy:
    """Repeat requests that only read, and calls of tools that may as well be made twice.

    Args:
        trusted: whether a server's word on what its tools do may be taken. Of a foreign server it may not:
            nobody knows whether a lost call was carried out.
    """

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            try:
                return await handler(request)
            except ConnectionLost:
                harmless = request.method in READS or (_is_repeatable(request) and trusted(request.server))
                if not harmless:
                    raise
                return await handler(request)

        return handle

    return policy


def _is_repeatable(request: Request) -> bool:
    """Whether the tool says of itself that it only reads, or that calling it twice does no more than once."""
    hints = request.definition.get("annotations") or {}
    return hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True
