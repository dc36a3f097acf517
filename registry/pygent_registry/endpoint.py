"""What `pygent up` serves: one endpoint over all servers, one for each server, and their health."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
from anyio.abc import TaskStatus
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from mcp.types import INVALID_REQUEST
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from pygent_registry import subregistry
from pygent_registry.config import Config
from pygent_registry.entry import Entry
from pygent_registry.fronts import fronts
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_registry.seen import http_options
from pygent_registry.server import following, memory_of
from pygent_shared.errors import UnknownName
from pygent_shared.http.run import serve_http
from pygent_shared.http.sessions import Sessions, sessions
from pygent_shared.peers import Peers
from pygent_shared.server import BuildServer
from pygent_shared.settings import Settings

ALL = "/mcp"
ONE = "/servers/{name}/mcp"
LOG = "/servers/{name}/logs"

# A removed server's path goes so much later: the calls that were in flight end with an error before.
LINGER_SECONDS = 5.0


async def serve_up(settings: Settings) -> None:
    """Serve the config file in force until a signal comes.

    Raises:
        FileRefused, ConfigInvalid: the config file cannot be read.
        PortTaken, InvalidArgument: the address cannot be listened on.
    """
    registry = following(settings)
    for bad in registry.config.bad:
        print(f'The entry "{bad.name}" of {registry.config.path} is left out: {bad.why}.', file=sys.stderr)

    @asynccontextmanager
    async def around() -> AsyncIterator[None]:
        async with registry.running():
            registry.start()
            yield

    shown = http_options(registry)
    shown["more"] += routes(registry)
    await serve_http(gateways(registry), settings, around=around, fronts=fronts(registry), **shown)


def gateways(registry: Registry) -> Mapping[str, Gateway]:
    """Path -> what is served there, over a registry that somebody else runs."""
    alone = {ONE.format(name=name): name for name in registry.downstreams}
    return {
        ALL: Gateway(registry, owner=False),
        **{path: Gateway(registry, only=name, owner=False) for path, name in alone.items()},
    }


def routes(registry: Registry) -> list[BaseRoute]:
    """What is served besides: servers that were added to the config since, every server's log, and the list
    of servers as registries publish it.
    """

    async def log(request: Request) -> JSONResponse:
        name = request.path_params["name"]
        if (item := registry.downstreams.get(name)) is None or not item.started:
            return _missing(registry, name)
        link = item.primary
        told = {"name": name, "state": link.state, "why": link.why, "kind": item.entry.kind}
        return JSONResponse({**told, "lines": link.log})

    return [
        Others(registry),
        Route(LOG, endpoint=log, methods=["GET"]),
        *subregistry.routes(registry, ONE),
    ]


class Others(Route):
    """The paths of servers that were added since, and of those that were removed, which are missing."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(ONE, endpoint=Added(registry))
        self._registry, self._first = registry, frozenset(registry.downstreams)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        name = found.get("path_params", {}).get("name")
        if name in self._first and name in self._registry.downstreams:
            return Match.NONE, {}  # it has a route of its own
        return match, found


class Added:
    """Each server that was added while this ran, on its own path, from the first request on."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._fronts: dict[str, Sessions] = {}
        self._opening = anyio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["name"]
        if name not in self._registry.downstreams or self._registry.tasks is None:
            await _not_served(self._registry, name)(scope, receive, send)
            return
        async with self._opening:
            if name not in self._fronts:
                manager = sessions(Gateway(self._registry, only=name, owner=False), self._registry.settings)
                await self._registry.tasks.start(self._kept_running, name, manager)
            manager = self._fronts[name]
        await StreamableHTTPASGIApp(manager)(scope, receive, send)

    async def _kept_running(self, name: str, manager: Sessions, *, task_status: TaskStatus[None]) -> None:
        """Until its server has left the config, and the calls it had in flight are answered."""
        async with manager.run():
            self._fronts[name] = manager
            task_status.started()
            while await self._is_there(name):
                await self._registry.applied.wait()
            del self._fronts[name]

    async def _is_there(self, name: str) -> bool:
        """Whether there is a server of that name, or comes to be in a moment."""
        with anyio.move_on_after(LINGER_SECONDS):
            while name not in self._registry.downstreams:
                await self._registry.applied.wait()
        return name in self._registry.downstreams


def _missing(registry: Registry, name: str) -> JSONResponse:
    return JSONResponse({"error": str(UnknownName("server", name, registry.downstreams))}, status_code=404)


def _not_served(registry: Registry, name: str) -> JSONResponse:
    """The same for MCP clients, which show their users only what is said in JSON-RPC."""
    error = {"code": INVALID_REQUEST, "message": str(UnknownName("server", name, registry.downstreams))}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status_code=404)


def build_entry(config: Config, entry: Entry) -> BuildServer:
    """A `build_server` for one entry of a config, started and served alone, its names without a prefix."""

    def build_server(settings: Settings, peers: Peers | None) -> Gateway:
        alone = Registry(replace(config, entries=(entry,)), settings, remembered=memory_of(settings))
        return Gateway(alone, only=entry.name)

    return build_server
