"""So many requests a minute for each caller, and for each server."""

from __future__ import annotations

from typing import Any

import anyio

from pygent_registry.buckets import Buckets
from pygent_registry.policies import Handler, Policy, Request


def limit_rate(per_caller: int, per_server: int) -> Policy:
    """Refuse what comes too fast; a refused request costs no token.

    Args:
        per_caller, per_server: requests a minute; 0 is no limit.
    """
    callers, servers = Buckets("The caller", per_caller), Buckets("Server", per_server)

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            now = anyio.current_time()
            callers.check(request.caller, now)
            servers.check(request.server, now)
            callers.take(request.caller)
            servers.take(request.server)
            return await handler(request)

        return handle if per_caller or per_server else handler

    return policy
