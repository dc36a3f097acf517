"""No call goes on for ever, however much progress it reports."""

from __future__ import annotations

from typing import Any

import anyio

from pygent_registry.policies import Handler, Policy, Request
from pygent_shared.errors import ServerUnavailable


def limit_time(most: float) -> Policy:
    """End what takes longer.

    Args:
        most: seconds in all; 0 is no limit. The time without an answer or progress is the link's to watch
            (`timeout` and `timeouts` of the entry).
    """

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            with anyio.move_on_after(most):
                return await handler(request)
            raise ServerUnavailable(
                request.server,
                f"took more than the {most:g} s that {request.name} may take in all",
                f"Allow more: export PYGENT_CALL_MAXIMUM={most * 4:g}",
            )

        return handle if most else handler

    return policy
