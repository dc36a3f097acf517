"""A call that was lost with its server is made again, once, where that can do no harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pygent_registry.policies import Handler, Policy, Request
from pygent_shared.errors import ConnectionLost


def repeat_reads(trusted: Callable[[str], bool]) -> Policy:
    """Repeat tools that only read.

    Args:
        trusted: whether a server's word on what its tools do may be taken. Of a foreign server it may not:
            nobody knows whether a lost call was carried out.
    """

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            try:
                return await handler(request)
            except ConnectionLost:
                hints = request.definition.get("annotations") or {}
                if not (hints.get("readOnlyHint") and trusted(request.server)):
                    raise
                return await handler(request)

        return handle

    return policy
