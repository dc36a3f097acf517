"""One Starlette application over any number of MCP servers, each on its own path, behind the guard."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from pygent_shared.http.guard import Guard
from pygent_shared.settings import Settings

Readiness = Callable[[], Mapping[str, Any]]
"""What `/health/ready` reports; `"ready": false` in it answers 503."""


def build_app(
    servers: Mapping[str, Server[Any]],
    settings: Settings,
    token: str,
    *,
    around: Callable[[], AbstractAsyncContextManager[Any]] = nullcontext,
    readiness: Readiness = lambda: {"ready": True},
    more: Iterable[BaseRoute] = (),
) -> ASGIApp:
    """The guarded application.

    Args:
        servers: path (such as "/mcp") -> low-level server; each serves both protocol eras on its path.
        settings: for the guard.
        token: the bearer token; "" lets everyone in.
        around: entered before the servers start and left after they ended.
        readiness: see `Readiness`.
        more: further routes, behind the guard too, for what no server's path is.
    """
    # The guard has checked Host and Origin, so the SDK's own (optional) check stays off.
    idle = settings.session_idle_timeout
    managers = {
        path: StreamableHTTPSessionManager(app=server, session_idle_timeout=idle)
        for path, server in servers.items()
    }

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(around())
            for manager in managers.values():
                await stack.enter_async_context(manager.run())
            yield

    routes: list[BaseRoute] = [
        Route(path, endpoint=StreamableHTTPASGIApp(manager)) for path, manager in managers.items()
    ]
    routes += [Route("/health/live", _live), Route("/health/ready", _ready(readiness)), *more]
    guarded = Guard(Starlette(routes=routes, lifespan=lifespan), settings, token)
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
        return JSONResponse(report, status_code=200 if report.get("ready") else 503)

    return ready
