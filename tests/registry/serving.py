"""`pygent up`, as it is built, in this process: an endpoint over small real servers, and hosts of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from pygent_registry.config import parse
from pygent_registry.endpoint import gateways, routes
from pygent_registry.registry import Registry
from pygent_registry.seen import http_options
from pygent_shared.http.app import build_app
from pygent_shared.http.keys import KeyFile
from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "0"},
    },
}


class Up:
    """A running endpoint, and hosts of it."""

    def __init__(self, base: str, app: Any, registry: Registry, settings: Settings) -> None:
        self.base = base
        self.app = app
        self.registry = registry
        self.keys = KeyFile(settings)

    def key(self, name: str, *bound: str) -> str:
        """A new key, bound to these roles."""
        return self.keys.add(name, bound)[1]

    @asynccontextmanager
    async def host(
        self, key: str, mode: Any = "auto", path: str = "/mcp", **options: Any
    ) -> AsyncIterator[Client]:
        async with self.http(key) as http:
            transport = streamable_http_client(f"{self.base}{path}", http_client=http)
            async with Client(transport, mode=mode, **options) as client:
                yield client

    def http(self, key: str) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json, text/event-stream"}
        return httpx2.AsyncClient(base_url=self.base, headers=headers, timeout=30)


@asynccontextmanager
async def serving(
    settings: Settings,
    servers: dict[str, Any],
    bound: dict[str, Any] | None = None,
    *,
    issuer: str = "",
    agents: dict[str, Any] | None = None,
) -> AsyncIterator[Up]:
    listener = listen(settings)
    audience = f"{address(listener)}/mcp"
    settings = replace(settings, oauth_issuer=issuer, oauth_audience=audience)
    registry = Registry(
        parse({"mcpServers": servers, "roles": bound or {}, "agents": agents or {}}), settings
    )

    @asynccontextmanager
    async def around() -> AsyncIterator[None]:
        async with registry.running():
            registry.start()
            yield

    shown = http_options(registry)
    shown["more"] += routes(registry)
    app = build_app(gateways(registry), settings, TOKEN, around=around, **shown)
    async with running(app, listener):
        yield Up(address(listener), app, registry, settings)
