"""One agent over A2A: its card, JSON-RPC and HTTP+JSON."""

from __future__ import annotations

from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from pygent_a2a.cards import agent_card
from pygent_a2a.executor import RunExecutor
from pygent_a2a.factory import Agent, Factory
from pygent_a2a.identity import CallContexts


class Endpoint:
    """An ASGI application for one agent."""

    def __init__(self, factory: Factory, agent: Agent, url: str, *, guarded: bool) -> None:
        card = agent_card(agent, url, guarded=guarded)
        self._handler = DefaultRequestHandler(RunExecutor(factory, agent.name), InMemoryTaskStore(), card)
        contexts = CallContexts()
        self._router = Router(
            routes=[
                *create_agent_card_routes(card),
                *create_jsonrpc_routes(self._handler, "/", contexts),
                *create_rest_routes(self._handler, contexts),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)

    async def aclose(self) -> None:
        """End what is at work; the runs go on."""
        await self._handler.aclose()
