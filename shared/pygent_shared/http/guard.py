"""Who may call over HTTP: an ASGI layer around everything we serve.

Checked in this order: Host (a page that rebinds its DNS name to this machine sends its own name), Origin
(a page in a browser), then who calls. Source: MCP 2026-07-28, Security Best Practices.

Failed attempts lock nobody out and are not counted: every token and key has 256 random bits, so there is
nothing to be won by guessing, and a lock would only serve to keep others out.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from urllib.parse import parse_qsl

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pygent_shared.fronts import Front
from pygent_shared.http.identity import ANYONE, IN_SCOPE, Authenticator, Principal, Refusal
from pygent_shared.settings import Settings

log = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
OPEN_PATHS = ("/health/live", "/health/ready")
MCP = "/mcp"
"""How the path of every MCP endpoint ends."""
# Longer than any JWT in use; what is longer is not looked into.
LONGEST_TOKEN = 16_384
# How often it is looked whether the caller of an open event stream may still call.
STREAM_SECONDS = 5.0
# Names under which people put a token into a URL, where proxies, histories and logs keep it.
_IN_QUERY = frozenset(
    ("access_token", "token", "bearer_token", "api_key", "apikey", "api-key", "authorization")
)
_UNKNOWN = (
    "This token or key is not known here. Send the header Authorization: Bearer TOKEN; the token is in the "
    "file pygent up names, and pygent keys add NAME makes a key."
)
_MISSING = "Send the header Authorization: Bearer TOKEN; the token is in the file pygent up names."


class Guard:
    """Refuses what does not come from an allowed Host and Origin, by somebody known.

    Args:
        app: what is guarded.
        settings: names allowed besides loopback's.
        authenticators: the ways to tell who calls, in the order they are asked; none lets everyone in.
        open_paths: paths that anybody may call (they still need the right Host and Origin); who else may call
            them is known there too.
        metadata: the URL that tells clients how to get a token (RFC 9728), where there is one.
        binds: whether a caller is bound to roles: it may call MCP endpoints, which heed them, and nothing
            else. None where roles are not known: then a caller that is bound to some is refused.
        fronts: say which of their own paths are open, and which heed roles too.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        authenticators: Sequence[Authenticator],
        open_paths: Collection[str] = OPEN_PATHS,
        *,
        metadata: str = "",
        binds: Callable[[Principal], bool] | None = None,
        fronts: Sequence[Front] = (),
    ) -> None:
        self._app = app
        self._hosts = {*LOOPBACK, *(_name(host) for host in (settings.host, *settings.allowed_hosts))}
        self._origins = set(settings.allowed_origins)
        self._authenticators = authenticators
        self._open = frozenset(open_paths)
        self._metadata = metadata
        self._binds = binds
        self._fronts = fronts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _Headers(scope)
        found: Principal | Refusal | None = self._refusal(scope, headers)
        if found is None:
            found = await self._admitted(headers, scope["path"])
            if isinstance(found, Refusal) and self._is_open(scope["path"]):
                found = None
        match found:
            case Refusal():
                log.info(
                    "Refused %s %r with %d: %s", scope["method"], scope["path"], found.status, found.sentence
                )
                await self._refuse(send, found)
            case Principal():
                scope[IN_SCOPE] = found
                if found is ANYONE:
                    await self._app(scope, receive, send)
                    return
                scope["user"] = _as_user(found)
                if found.kind != "token" and (
                    scope["method"] == "GET" or headers.method == "subscriptions/listen"
                ):
                    await self._watched(scope, receive, send, headers)
                else:
                    await self._app(scope, receive, send)
            case None:
                await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: _Headers) -> Refusal | None:
        if _name(headers.host) not in self._hosts:
            why = "This Host name is not served here. Allow it: export PYGENT_ALLOWED_HOSTS=name"
            return Refusal(status=421, sentence=why)
        if headers.origin is not None and not self._allowed_origin(headers.origin):
            origin = headers.origin
            why = f"Pages of {origin} may not call. Allow them: export PYGENT_ALLOWED_ORIGINS={origin}"
            return Refusal(status=403, sentence=why)
        if scope.get("query_string") and _holds_token(scope["query_string"]):
            # RFC 6750, section 2.3, and MCP: never in the URI. What was sent there is known to others now.
            why = (
                "A token or key may not stand in the URL, where others read it. "
                "Make a new one, and send it in the header Authorization: Bearer TOKEN"
            )
            return Refusal(status=400, sentence=why, error="invalid_request")
        return None

    async def admit(self, authorizations: Sequence[str], path: str) -> Principal | Refusal:
        """See `pygent_shared.fronts.Door`."""
        sent = [(b"authorization", value.encode("latin-1", "replace")) for value in authorizations]
        return await self._admitted(_Headers({"headers": sent}), path)

    async def _admitted(self, headers: _Headers, path: str) -> Principal | Refusal:
        found = await self._caller(headers)
        return (self._refusal_by_roles(found, path) or found) if isinstance(found, Principal) else found

    async def _caller(self, headers: _Headers) -> Principal | Refusal:
        if not self._authenticators:
            return ANYONE
        scheme, _, token = headers.authorization.partition(" ")
        token = token.strip()
        if headers.authorizations > 1:
            why = "A request may carry one Authorization header. Send one of them."
            return Refusal(status=400, sentence=why, error="invalid_request")
        if scheme.lower() != "bearer" or not token:
            return Refusal(status=401, sentence=_MISSING)
        if len(token) <= LONGEST_TOKEN:
            for authenticator in self._authenticators:
                found = await authenticator.authenticate(token)
                if found is not None:
                    return found
        return Refusal(status=401, sentence=_UNKNOWN, error="invalid_token")

    def _refusal_by_roles(self, principal: Principal, path: str) -> Refusal | None:
        if self._binds is None:
            if not principal.limited:
                return None
            why = "This key is bound to roles, which only pygent up knows. Call the server through it."
            return Refusal(status=403, sentence=why)
        if path.endswith(MCP) or not self._binds(principal):
            return None
        if any(front.heeds_roles(path) for front in self._fronts):
            return None
        return Refusal(status=403, sentence="This is not for callers bound to roles. Ask its owner.")

    def _is_open(self, path: str) -> bool:
        return path in self._open or any(front.is_open(path) for front in self._fronts)

    async def _watched(self, scope: Scope, receive: Receive, send: Send, headers: _Headers) -> None:
        """Pass on a request whose response may have no end: it ends once its caller may call no longer."""
        begun = False

        async def passed_on(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        async def end_when_refused() -> None:
            while not isinstance(await self._caller(headers), Refusal):
                await anyio.sleep(STREAM_SECONDS)
            request.cancel()

        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as request:
                tasks.start_soon(end_when_refused)
                await self._app(scope, receive, passed_on)
            tasks.cancel_scope.cancel()
        if request.cancelled_caught:
            if begun:
                await send({"type": "http.response.body", "body": b""})
            else:
                await self._refuse(send, Refusal(status=401, sentence=_UNKNOWN, error="invalid_token"))

    def _allowed_origin(self, origin: str) -> bool:
        scheme, _, host = origin.partition("://")
        return origin in self._origins or (scheme in ("http", "https") and _name(host) in LOOPBACK)

    async def _refuse(self, send: Send, refusal: Refusal) -> None:
        body = json.dumps({"error": refusal.sentence}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if refusal.status == 401 or refusal.error:
            headers.append((b"www-authenticate", self._challenge(refusal).encode("latin-1", "replace")))
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _challenge(self, refusal: Refusal) -> str:
        """RFC 6750, section 3, and RFC 9728, section 5.1."""
        parts: dict[str, str] = {"realm": "pygent"}
        if refusal.error:
            parts |= {"error": refusal.error, "error_description": refusal.sentence.replace('"', "'")}
        if refusal.scope:
            parts["scope"] = refusal.scope
        if self._metadata:
            parts["resource_metadata"] = self._metadata
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items())


@lru_cache(maxsize=1024)
def _as_user(principal: Principal) -> AuthenticatedUser:
    """The principal as the MCP SDK knows users: it binds each session to the one that opened it."""
    token = AccessToken(
        token="",
        client_id=f"{principal.kind}:{principal.credential}",
        scopes=list(principal.scopes),
        subject=principal.name,
        claims={"iss": principal.issuer} if principal.issuer else None,
    )
    return AuthenticatedUser(token)


class _Headers:
    """The headers that decide, found in one pass."""

    __slots__ = ("authorization", "authorizations", "host", "method", "origin")

    def __init__(self, scope: Scope) -> None:
        self.host = self.authorization = self.method = ""
        self.origin: str | None = None
        self.authorizations = 0
        for name, value in scope["headers"]:
            match name:
                case b"host":
                    self.host = self.host or value.decode("latin-1")
                case b"origin":
                    self.origin = value.decode("latin-1") if self.origin is None else self.origin
                case b"authorization":
                    self.authorizations += 1
                    self.authorization = value.decode("latin-1")
                case b"mcp-method":
                    self.method = value.decode("latin-1")


def _holds_token(query: bytes) -> bool:
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return any(name.lower() in _IN_QUERY or "pgk_" in value for name, value in given)


def _name(host: str) -> str:
    """The name in a Host header, without its port; a bare IPv6 address gets the brackets it has there."""
    if host.count(":") > 1 and not host.startswith("["):
        return f"[{host.lower()}]"
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
