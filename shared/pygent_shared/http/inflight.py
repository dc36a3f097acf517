"""The HTTP requests in hand: an ASGI layer through which a stopping server ends each of them properly.

Without it an event stream holds the stop up until it is torn, and every stop logs a traceback for each.
"""

from __future__ import annotations

import json

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_STOPPING = json.dumps({"error": "This server is stopping. Call again when it is back."}).encode()


class InFlight:
    """Passes requests on to `app` until they are cut; a cut one gets the end of its response, or a 503."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open: dict[anyio.CancelScope, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def passed_on(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        with anyio.CancelScope() as request:
            self._open[request] = scope["method"]
            try:
                await self._app(scope, receive, passed_on)
            finally:
                del self._open[request]
        if request.cancelled_caught:
            await _end(send, begun)

    def cut(self, method: str | None = None) -> None:
        """End the requests in hand, or those of one HTTP method."""
        for request, its_method in list(self._open.items()):
            if method in (None, its_method):
                request.cancel()


async def _end(send: Send, begun: bool) -> None:
    if not begun:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_STOPPING))]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if begun else _STOPPING})
