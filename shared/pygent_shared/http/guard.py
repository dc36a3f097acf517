"""Who may call over HTTP: an ASGI layer around everything we serve.

Checked in this order: Host (a page that rebinds its DNS name to this machine sends its own name), Origin
(a page in a browser), then the bearer token. Source: MCP 2026-07-28, Security Best Practices.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pygent_shared.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
OPEN_PATHS = ("/health/live", "/health/ready")


class Guard:
    """Refuses what does not come from an allowed Host and Origin with the right token.

    Args:
        app: what is guarded.
        settings: names allowed besides loopback's.
        token: the bearer token; "" lets everyone in.
        open_paths: paths that need no token (they still need the right Host and Origin).
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, token: str, open_paths: Collection[str] = OPEN_PATHS
    ) -> None:
        self._app = app
        self._hosts = {*LOOPBACK, *(_name(host) for host in (settings.host, *settings.allowed_hosts))}
        self._origins = set(settings.allowed_origins)
        self._token = token.encode()
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(scope["path"], Headers(scope=scope))):
            await _refuse(send, *refusal)
            return
        await self._app(scope, receive, send)

    def _refusal(self, path: str, headers: Headers) -> tuple[int, str] | None:
        if _name(headers.get("host", "")) not in self._hosts:
            return 421, "This Host name is not served here. Allow it: export PYGENT_ALLOWED_HOSTS=name"
        origin = headers.get("origin")
        if origin is not None and not self._allowed_origin(origin):
            return 403, f"Pages of {origin} may not call. Allow them: export PYGENT_ALLOWED_ORIGINS={origin}"
        if self._token and path not in self._open and not self._authorised(headers):
            return (
                401,
                "Send the header Authorization: Bearer TOKEN; the token is in the file pygent up names.",
            )
        return None

    def _allowed_origin(self, origin: str) -> bool:
        scheme, _, host = origin.partition("://")
        return origin in self._origins or (scheme in ("http", "https") and _name(host) in LOOPBACK)

    def _authorised(self, headers: Headers) -> bool:
        scheme, _, sent = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode("latin-1"), self._token)


def _name(host: str) -> str:
    """The name in a Host header, without its port; a bare IPv6 address gets the brackets it has there."""
    if host.count(":") > 1 and not host.startswith("["):
        return f"[{host.lower()}]"
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="pygent"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
