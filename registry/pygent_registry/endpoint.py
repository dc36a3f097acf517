"""What `pygent up` serves: one endpoint over all servers, one for each server, and their health."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from pygent_registry.config import Config, Entry
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_registry.server import following, memory_of
from pygent_shared.http.run import serve_http
from pygent_shared.peers import Peers
from pygent_shared.server import BuildServer
from pygent_shared.settings import Settings

ALL = "/mcp"
ONE = "/servers/{name}/mcp"


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

    await serve_http(gateways(registry), settings, around=around, readiness=registry.report)


def gateways(registry: Registry) -> Mapping[str, Gateway]:
    """Path -> what is served there, over a registry that somebody else runs."""
    alone = {ONE.format(name=name): name for name in registry.downstreams}
    return {
        ALL: Gateway(registry, owner=False),
        **{path: Gateway(registry, only=name, owner=False) for path, name in alone.items()},
    }


def build_entry(config: Config, entry: Entry) -> BuildServer:
    """A `build_server` for one entry of a config, started and served alone, its names without a prefix."""

    def build_server(settings: Settings, peers: Peers | None) -> Gateway:
        alone = Registry(replace(config, entries=(entry,)), settings, remembered=memory_of(settings))
        return Gateway(alone, only=entry.name)

    return build_server
