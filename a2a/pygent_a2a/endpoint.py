"""The ways to call what is at a URL: JSON-RPC and HTTP+JSON, of this protocol and of those before it."""

from __future__ import annotations

from a2a.server.request_handlers import RequestHandler
from a2a.server.routes import create_rest_routes
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from pygent_a2a.identity import CallContexts
from pygent_a2a.legacy import GRACE_SECONDS, Versions, rpc_routes
from pygent_a2a.limits import Body


class Endpoint:
    """An ASGI application for one handler.

    Args:
        old: serve the protocol's versions 0.2 and 0.3 too.
        most: bytes of a request.
    """

    def __init__(self, handler: RequestHandler, *, old: bool, most: int) -> None:
        contexts = Versions(CallContexts())
        router = Router(
            routes=[
                *rpc_routes(handler, "/", CallContexts(), old=old),
                *create_rest_routes(handler, contexts, old, shutdown_grace_period=GRACE_SECONDS),
            ],
            redirect_slashes=False,
        )
        self._app = Body(router, most=most)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
