"""What is served: cards, the index of agents, and each agent's own endpoints."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

# mcp brings OpenTelemetry's API, and the SDK makes some sixty spans a request wherever that is importable.
os.environ.setdefault("OTEL_INSTRUMENTATION_A2A_SDK_ENABLED", "false")

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from pygent_a2a.endpoint import Endpoint
from pygent_a2a.factory import Agent, Factory
from pygent_shared.errors import UnknownName
from pygent_shared.fronts import Tools
from pygent_shared.settings import Settings

CARD = "/.well-known/agent-card.json"
_OPEN = re.compile(r"/agents|(/agents/[^/]+)?/\.well-known/agent-card\.json")


def build_front(settings: Settings, tools: Tools) -> A2A:
    """The front over these tools."""
    return A2A(settings, Factory(tools))


class A2A:
    """A `pygent_shared.fronts.Front`."""

    def __init__(self, settings: Settings, factory: Factory) -> None:
        self._settings = settings
        self._factory = factory
        self._endpoints: dict[str, Endpoint] = {}
        self.routes: Sequence[BaseRoute] = [
            Route("/agents", self._index, methods=["GET"]),
            Route(CARD, self._suite, methods=["GET"]),
            Mount("/agents/{agent}", app=self._agent),
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            self._stack = stack
            yield

    def is_open(self, path: str) -> bool:
        return bool(_OPEN.fullmatch(path))

    def heeds_roles(self, path: str) -> bool:
        return path.startswith("/agents")

    async def _index(self, request: Request) -> JSONResponse:
        base = self._base(request)
        rows = [
            {
                "name": agent.name,
                "description": agent.description,
                "card": f"{base}/agents/{agent.name}{CARD}",
            }
            for agent in await self._factory.agents()
        ]
        return JSONResponse({"agents": rows})

    async def _suite(self, request: Request) -> JSONResponse:
        from importlib.metadata import version

        from a2a.server.request_handlers.response_helpers import agent_card_to_dict

        from pygent_a2a.cards import suite_card

        agents = await self._factory.agents()
        card = suite_card(
            agents, f"{self._base(request)}/a2a", version("pygent-factory"), guarded=self._guarded
        )
        return JSONResponse(agent_card_to_dict(card))

    async def _agent(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["agent"]
        deployed: dict[str, Agent] = {agent.name: agent for agent in await self._factory.agents()}
        if name not in deployed:
            missing = JSONResponse({"error": str(UnknownName("agent", name, deployed))}, status_code=404)
            await missing(scope, receive, send)
            return
        if name not in self._endpoints:
            base = self._base(Request(scope))
            endpoint = Endpoint(self._factory, deployed[name], f"{base}/agents/{name}", guarded=self._guarded)
            self._stack.push_async_callback(endpoint.aclose)
            self._endpoints[name] = endpoint
        await self._endpoints[name](scope, receive, send)

    @property
    def _guarded(self) -> bool:
        return self._settings.auth != "none"

    def _base(self, request: Request) -> str:
        return f"{request.url.scheme}://{request.url.netloc}"
