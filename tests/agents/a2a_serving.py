"""A factory served over A2A for a test: in one process, on a port of its own."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import httpx
from a2a.client import (
    AuthInterceptor,
    Client,
    ClientCallContext,
    ClientConfig,
    CredentialService,
    create_client,
)
from mcp import Client as McpClient

from pygent_a2a.front import build_front
from pygent_factory.server import build_server
from pygent_shared.caller import told
from pygent_shared.fronts import Progress
from pygent_shared.http.app import build_app
from pygent_shared.http.identity import Principal
from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings

TOKEN = "test-token"


class FactoryTools:
    """`pygent_shared.fronts.Tools` of a factory alone, in memory."""

    def __init__(self, client: McpClient) -> None:
        self._client = client

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        caller: Principal | None = None,
        progress: Progress | None = None,
        meta: Mapping[str, Any] = MappingProxyType({}),
        asking: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        sent: Any = {**meta, **told(caller)}
        result = await self._client.call_tool(
            name.removeprefix("factory__"), arguments, progress_callback=progress, meta=sent or None
        )
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)


class Credentials(CredentialService):
    """What the owner's client sends, whichever way it calls."""

    async def get_credentials(self, security_scheme_name: str, context: ClientCallContext | None) -> str:
        return TOKEN


@dataclass(frozen=True, kw_only=True)
class Served:
    """A front at work, and the factory behind it."""

    url: str
    factory: McpClient
    http: httpx.AsyncClient

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What a tool of the factory answers."""
        result = await self.factory.call_tool(tool, arguments)
        assert not result.is_error, result.content
        return result.structured_content or {}

    async def deploy(self, name: str, replies: list[Any], folder: Path, **more: Any) -> None:
        """Make and deploy an agent that says these replies."""
        script = folder / f"{name}.json"
        script.write_text(json.dumps(replies))
        await self.call("create_agent", name=name, model=f"scripted:{script}", more=more)
        await self.call("deploy_agent", name=name)

    async def client(self, agent: str, binding: str = "JSONRPC") -> Client:
        """The SDK's client of an agent."""
        config = ClientConfig(
            httpx_client=self.http,
            supported_protocol_bindings=[binding],
            grpc_channel_factory=grpc.aio.insecure_channel,
        )
        how = {"client_config": config, "interceptors": [AuthInterceptor(Credentials())]}
        return await create_client(f"{self.url}/agents/{agent}", **how)

    async def card(self, agent: str) -> httpx.Response:
        """An agent's card, as anybody gets it."""
        async with httpx.AsyncClient(trust_env=False) as nobody:
            return await nobody.get(f"{self.url}/agents/{agent}/.well-known/agent-card.json")


def heard(settings: Settings, binding: str) -> Settings:
    """Settings with which a binding is spoken."""
    if binding != "GRPC":
        return settings
    with socket.create_server(("127.0.0.1", 0)) as free:
        return replace(settings, a2a_grpc_port=free.getsockname()[1])


@asynccontextmanager
async def serving(settings: Settings, peers: Any = None) -> AsyncIterator[Served]:
    """A factory and the front over it, while the block runs."""
    settings = replace(settings, port=0, token=TOKEN)
    async with McpClient(build_server(settings, peers)) as factory:
        front = build_front(settings, FactoryTools(factory))
        assert front is not None
        listener = listen(settings)
        url = address(listener)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with running(build_app({}, settings, TOKEN, fronts=[front]), listener):
            async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as http:
                yield Served(url=url, factory=factory, http=http)
