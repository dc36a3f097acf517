"""Listening: the socket, the sentence when it is taken, and uvicorn."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import httpx
import uvicorn
from mcp.server.lowlevel import Server

from pygent_shared.errors import InvalidArgument, PortTaken
from pygent_shared.http.app import build_app
from pygent_shared.http.token import bearer_token, token_file
from pygent_shared.settings import Settings

# Longer than a client's own keep-alive, or both ends close at the same moment and a request is lost.
KEEP_ALIVE_SECONDS = 75
# Event streams never end by themselves; a stopping server gives them this long.
GRACE_SECONDS = 2
LOOPBACK_ADDRESSES = ("127.0.0.1", "::1", "localhost")


async def serve_http(servers: Mapping[str, Server[Any]], settings: Settings, **options: Any) -> None:
    """Serve until a signal comes; `options` go to `build_app`."""
    listener = listen(settings)
    token = bearer_token(settings)
    app = build_app(servers, settings, token, **options)
    _announce(listener, settings, servers)
    await run_app(app, listener, with_parent=settings.exit_with_parent == "yes")


async def run_app(
    app: Any, listener: socket.socket, *, with_parent: bool = False, started: Callable[[], None] | None = None
) -> None:
    """Run an ASGI application on a bound socket until a signal comes (or the parent is gone)."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        if with_parent:
            tasks.start_soon(_end_with_parent, server)
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()


def listen(settings: Settings) -> socket.socket:
    """A socket bound to the configured address.

    Raises:
        InvalidArgument: the address is open to the network and callers need no token.
        PortTaken: another process listens there.
    """
    if settings.auth == "none" and settings.host not in LOOPBACK_ADDRESSES:
        raise InvalidArgument(
            "auth",
            f"none would let everyone on the network call {settings.host}",
            "Use a token: --auth token",
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise InvalidArgument(
                "host", f"{settings.host} cannot be listened on: {error.strerror}", "Use: --host 127.0.0.1"
            ) from error
        raise _taken(settings) from error
    return listener


def address(listener: socket.socket) -> str:
    """The http:// address of a bound socket, without a path."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _announce(listener: socket.socket, settings: Settings, servers: Mapping[str, Server[Any]]) -> None:
    for path in servers:
        print(f"Serving {address(listener)}{path}", file=sys.stderr)
    if settings.auth == "token" and not settings.token:
        print(f"Callers send the bearer token in {token_file(settings)}", file=sys.stderr)


def _taken(settings: Settings) -> PortTaken:
    here = f"http://{settings.host}:{settings.port}"
    elsewhere = f"start elsewhere: --port {settings.port + 1}"
    try:
        live = httpx.get(f"{here}/health/live", timeout=1.0).json()
    except (httpx.HTTPError, ValueError):
        live = {}
    if isinstance(live, dict) and live.get("program") == "pygent":
        holder = f"another pygent (pid {live.get('pid')})"
        return PortTaken(settings.host, settings.port, holder, f"Use it: {here}/mcp — or {elsewhere}")
    return PortTaken(settings.host, settings.port, "another program", f"Choose a free port and {elsewhere}")


async def _end_with_parent(server: uvicorn.Server) -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        await anyio.sleep(1)
    server.should_exit = True
