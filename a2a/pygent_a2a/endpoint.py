"""The ways to call what is at a URL: JSON-RPC and HTTP+JSON, of this protocol and of those before it."""

from __future__ import annotations

from a2a.server.request_handlers import RequestHandler
from a2a.server.routes import create_jsonrpc_routes, create_rest_routes
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from pygent_a2a.identity import CallContexts

GRACE_SECONDS = 1.0
"""Open streams get so long when the server ends."""


class Endpoint:
    """An ASGI application for one handler."""

    def __init__(self, handler: RequestHandler, *, legacy: bool) -> None:
        contexts = CallContexts()
        self._router = Router(
            routes=[
                *create_jsonrpc_routes(handler, "/", contexts, legacy, GRACE_SECONDS),
                *create_rest_routes(handler, contexts, legacy, shutdown_grace_period=GRACE_SECONDS),
            ],
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)
