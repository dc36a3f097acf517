"""Listening: the socket, the sentence when it is taken, uvicorn, and ending in time."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from math import ceil
from typing import Any

import anyio
import httpx2
import uvicorn
from anyio.abc import TaskStatus
from mcp.server.lowlevel import Server

from pygent_shared.arenas import share_arenas
from pygent_shared.ending import end_within, told_to_end
from pygent_shared.errors import InvalidArgument, NotStarted, PortTaken
from pygent_shared.fronts import Front
from pygent_shared.http.app import build_app
from pygent_shared.http.inflight import InFlight
from pygent_shared.http.protocol import Http
from pygent_shared.http.token import bearer_token, token_file
from pygent_shared.settings import Settings

# Longer than a client's own keep-alive, or both ends close at the same moment and a request is lost.
KEEP_ALIVE_SECONDS = 75
# A stopping server gives the calls in hand this long, and all of itself that long.
GRACE_SECONDS = 1.5
UNWIND_SECONDS = 3.5
LOOPBACK_ADDRESSES = ("127.0.0.1", "::1", "localhost")


async def serve_http(servers: Mapping[str, Server[Any]], settings: Settings, **options: Any) -> None:
    """Serve until a signal comes (or the parent is gone, where wanted); `options` go to `build_app`.

    Raises:
        InvalidArgument, PortTaken: see `listen`.
        FileRefused: see `bearer_token`.
        NotStarted: a server failed to start (inside an exception group, as from any task group).
    """
    share_arenas()
    app = build_app(servers, settings, bearer_token(settings), **options)
    listener = listen(settings)
    async with running(app, listener):
        fronts: Sequence[Front] = options.get("fronts", ())
        _announce(listener, settings, [*servers, *(path for front in fronts for path in front.paths)])
        await told_to_end(with_parent=settings.exit_with_parent == "yes")
        end_within(UNWIND_SECONDS)


@asynccontextmanager
async def running(app: Any, listener: socket.socket) -> AsyncIterator[None]:
    """An ASGI application served on a bound socket while the block runs, and stopped gracefully after it."""
    requests = InFlight(app)
    config = uvicorn.Config(
        requests,
        http=Http,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=ceil(UNWIND_SECONDS),
    )
    server = _Server(config, requests)
    async with anyio.create_task_group() as tasks:
        try:
            await tasks.start(server.run_on, listener)
            yield
        finally:
            server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn, but the process's signals are not its own to take."""

    _ready: TaskStatus[None]

    def __init__(self, config: uvicorn.Config, requests: InFlight) -> None:
        super().__init__(config)
        self._requests = requests

    async def run_on(self, listener: socket.socket, *, task_status: TaskStatus[None]) -> None:
        self._ready = task_status
        # Shielded: cancelled, it would leave its connections and the application's lifespan open.
        with anyio.CancelScope(shield=True), listener:
            try:
                await self.serve(sockets=[listener])
            except SystemExit as error:
                raise NotStarted(address(listener)) from error

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._requests.cut("GET")  # event streams, which have no end of their own
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cut_the_rest)
            await super().shutdown(sockets)
            tasks.cancel_scope.cancel()

    async def _cut_the_rest(self) -> None:
        await anyio.sleep(GRACE_SECONDS)
        self._requests.cut()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


def listen(settings: Settings) -> socket.socket:
    """A socket bound to the configured address.

    Raises:
        InvalidArgument: the address cannot be had, or is open to the network and callers need no token.
        PortTaken: another process listens there.
    """
    if settings.auth == "none" and settings.host not in LOOPBACK_ADDRESSES:
        raise InvalidArgument(
            "auth",
            f"none would let everyone on the network call {settings.host}",
            "Use a token: --auth token",
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, or asyncio leaves Nagle on and an answer in two parts waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _refused(settings, error) from error
    return listener


def address(listener: socket.socket) -> str:
    """The http:// address of a bound socket, without a path."""
    return _url(*listener.getsockname()[:2])


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _announce(listener: socket.socket, settings: Settings, paths: Sequence[str]) -> None:
    for path in paths:
        print(f"Serving {address(listener)}{path}", file=sys.stderr)
    if settings.auth == "token" and not settings.token:
        print(f"Callers send the bearer token in {token_file(settings)}", file=sys.stderr)


def _refused(settings: Settings, error: OSError) -> InvalidArgument | PortTaken:
    match error.errno:
        case errno.EADDRINUSE:
            return _taken(settings)
        case errno.EACCES:
            why = f"{settings.port} is reserved for the system's administrator"
            return InvalidArgument("port", why, "Use one from 1024 on: --port 8700")
        case _:
            why = f"{settings.host} cannot be listened on: {error.strerror}"
            return InvalidArgument("host", why, "Use: --host 127.0.0.1")


def _taken(settings: Settings) -> PortTaken:
    here = _url(settings.host, settings.port)
    elsewhere = f"start elsewhere: --port {settings.port + (1 if settings.port < 65535 else -1)}"
    try:
        # A proxy named in the environment is not asked about this machine.
        live = httpx2.get(f"{here}/health/live", timeout=1.0, trust_env=False).json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        live = {}
    if isinstance(live, dict) and live.get("program") == "pygent":
        holder = f"another pygent (pid {live.get('pid')})"
        return PortTaken(settings.host, settings.port, holder, f"Use it: {here}/mcp — or {elsewhere}")
    return PortTaken(settings.host, settings.port, "another program", f"Choose a free port and {elsewhere}")
