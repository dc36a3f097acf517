"""One Starlette application over any number of MCP servers, each on its own path, behind the guard."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from types import MappingProxyType
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from pygent_shared.fronts import Front
from pygent_shared.http import metrics as measured
from pygent_shared.http.guard import OPEN_PATHS, Guard
from pygent_shared.http.health import Check, deep_route
from pygent_shared.http.identity import Authenticator, OwnToken, principal_of
from pygent_shared.http.keys import ApiKeys
from pygent_shared.http.sessions import sessions
from pygent_shared.settings import Settings

Readiness = Callable[[], Mapping[str, Any]]
"""What `/health/ready` reports; `"ready": false` in it answers 503. Whoever has no token is told no more than
that.
"""


def build_app(
    servers: Mapping[str, Server[Any]],
    settings: Settings,
    token: str,
    *,
    around: Callable[[], AbstractAsyncContextManager[Any]] = nullcontext,
    readiness: Readiness = lambda: {"ready": True},
    more: Iterable[BaseRoute] = (),
    metrics: Iterable[measured.Gather] = (),
    checks: Mapping[str, Check] = MappingProxyType({}),
    fronts: Sequence[Front] = (),
) -> ASGIApp:
    """The guarded application.

    Args:
        servers: path (such as "/mcp") -> low-level server; each serves both protocol eras on its path.
        settings: for the guard.
        token: the bearer token, besides which keys and access tokens are accepted; "" lets everyone in.
        around: entered before the servers start and left after they ended.
        readiness: see `Readiness`.
        more: further routes, behind the guard too. They come first.
        metrics: further numbers for `/metrics`.
        checks: further parts of `/health/deep`.
        fronts: what is served beside the servers.
    """
    # The guard has checked Host and Origin, so the SDK's own (optional) check stays off.
    managers = {path: sessions(server, settings) for path, server in servers.items()}

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(around())
            for manager in managers.values():
                await stack.enter_async_context(manager.run())
            for front in fronts:
                await stack.enter_async_context(front.running(guarded))
            yield

    routes: list[BaseRoute] = [
        *more,
        *(route for front in fronts for route in front.routes),
        *(Route(path, endpoint=StreamableHTTPASGIApp(manager)) for path, manager in managers.items()),
    ]
    routes += [Route("/health/live", _live), Route("/health/ready", _ready(readiness))]
    routes.append(deep_route(settings, {**checks, **{front.name: front.check for front in fronts}}))
    if settings.metrics != "off":
        routes.append(measured.metrics_route(measured.sessions_of(managers), *metrics))
    authenticators: list[Authenticator] = [OwnToken(token), ApiKeys(settings)] if token else []
    open_paths, metadata = [*OPEN_PATHS, *([measured.PATH] if settings.metrics == "open" else [])], ""
    if token and settings.oauth_issuer:
        # Not at import: it brings cryptography, and most endpoints have no issuer.
        from pygent_shared.http.oauth import AccessTokens, metadata_routes, metadata_url

        authenticators.append(AccessTokens(settings))
        metadata, about = metadata_url(settings), metadata_routes(settings)
        open_paths += [route.path for route in about]
        routes += about
    # Of one registry: what one of its fronts says of a caller, all do.
    binds = [getattr(server, "binds", None) for server in servers.values()]
    guarded = Guard(
        Starlette(routes=routes, lifespan=lifespan),
        settings,
        authenticators,
        open_paths,
        metadata=metadata,
        binds=binds[0] if binds and all(binds) else None,
        fronts=fronts,
    )
    if not settings.allowed_origins:
        return guarded
    # Outside the guard: a browser asks first whether it may call, and that question carries no token.
    return CORSMiddleware(
        guarded,
        allow_origins=settings.allowed_origins,
        allow_methods=("GET", "POST", "DELETE"),
        allow_headers=("*",),
        expose_headers=("Mcp-Session-Id", "WWW-Authenticate"),
    )


async def _live(request: Request) -> JSONResponse:
    return JSONResponse({"live": True, "program": "pygent", "pid": os.getpid()})


def _ready(readiness: Readiness) -> Callable[[Request], Awaitable[JSONResponse]]:
    async def ready(request: Request) -> JSONResponse:
        report = dict(readiness())
        is_ready = bool(report.get("ready"))
        told = report if principal_of(request.scope) else {"ready": is_ready}
        return JSONResponse(told, status_code=200 if is_ready else 503)

    return ready
