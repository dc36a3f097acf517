"""All that is served over A2A, put together: the agents' endpoints, the suite's, and their cards."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers import DefaultRequestHandler, RequestHandler
from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.server.tasks import InMemoryTaskStore
from a2a.types import AgentCard
from a2a.utils.errors import InvalidParamsError
from anyio.abc import TaskStatus
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from pygent_a2a.cards import Cards, about
from pygent_a2a.documents import Documents
from pygent_a2a.endpoint import Endpoint
from pygent_a2a.executor import Read, RunExecutor
from pygent_a2a.factory import Agent, Agents, Factory
from pygent_a2a.front import AGENTS, CARDS, JWKS, SUITE
from pygent_a2a.identity import base_in, base_of
from pygent_a2a.parts import prompt
from pygent_a2a.signing import Signer
from pygent_a2a.tenants import Tenants
from pygent_shared.errors import UnknownName
from pygent_shared.fronts import Tools
from pygent_shared.settings import Settings

CACHE_SECONDS = 60
EXTENDED_BEFORE = "/agent/authenticatedExtendedCard"
"""Where the extended card was before protocol 0.3."""


class Hub:
    """An ASGI application, at work while `run` is.

    Args:
        settings: what is served, and to whom.
        tools: of the suite.
        read: what a message is for an agent.

    Raises:
        FileRefused: the key that cards are signed with cannot be used.
    """

    def __init__(self, settings: Settings, tools: Tools, read: Read = prompt) -> None:
        self._settings = settings
        self._read = read
        self._factory = Factory(tools)
        self._agents = Agents(self._factory, settings.a2a_agents)
        self._cards = Cards(settings, version("pygent-factory"))
        self._signer = Signer(Path(settings.a2a_key).expanduser()) if settings.a2a_key else None
        whose = "public" if settings.a2a == "open" else "private"
        self._documents = Documents(f"{whose}, max-age={CACHE_SECONDS}")
        self._legacy = settings.a2a_legacy == "on"
        self._served: dict[str, Served] = {}
        self._suite = Endpoint(Tenants(self._picked), legacy=self._legacy)

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Be at work until cancelled; the runs go on without us."""
        try:
            task_status.started()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                for one in self._served.values():
                    await one.handler.aclose()

    async def index(self, request: Request) -> dict[str, Any]:
        """Every agent that takes tasks now, and where its card is."""
        base = self._base(request)
        return {
            "agents": [
                {
                    "name": agent.name,
                    "description": about(agent),
                    "url": f"{base}{AGENTS}/{agent.name}/",
                    "card": f"{base}{AGENTS}/{agent.name}{CARDS[0]}",
                }
                for agent in await self._agents.deployed()
            ]
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request below `/agents`, `/a2a` or `/.well-known`."""
        request = Request(scope)
        _, first, *rest = request.url.path.split("/")
        if f"/{first}" == AGENTS:
            await self._agent(request, rest[0], "/" + "/".join(rest[1:]), receive, send)
        elif f"/{first}" == SUITE:
            await self._all(request, "/" + "/".join(rest), receive, send)
        else:
            answer = await self._document(request, request.url.path)
            await answer(scope, receive, send)

    async def _agent(self, request: Request, name: str, path: str, receive: Receive, send: Send) -> None:
        known = await self._agents.all()
        agent = known.get(name)
        is_card = path in CARDS
        if agent is None or (is_card and not agent.is_deployed):
            deployed = [agent.name for agent in await self._agents.deployed()]
            answer: Response = JSONResponse({"error": str(UnknownName("agent", name, deployed))}, 404)
        elif is_card:
            base = self._base(request)
            answer = self._shown(request, self._signed(self._cards.agent(agent, base + _path(agent)), base))
        elif path == EXTENDED_BEFORE:
            answer = JSONResponse(agent_card_to_dict(self._extended(agent, self._base(request))))
        else:
            endpoint = self._serve(agent).endpoint
            await endpoint(_below(request.scope, f"{AGENTS}/{name}", path), receive, send)
            return
        await answer(request.scope, receive, send)

    async def _all(self, request: Request, path: str, receive: Receive, send: Send) -> None:
        if path in CARDS or path == EXTENDED_BEFORE:
            answer = await self._document(request, CARDS[0])
            await answer(request.scope, receive, send)
        else:
            await self._suite(_below(request.scope, SUITE, path), receive, send)

    async def _document(self, request: Request, path: str) -> Response:
        """The suite's card, or the keys that cards are signed with."""
        if path in CARDS:
            base = self._base(request)
            card = self._cards.suite(await self._agents.deployed(), base + SUITE)
            return self._shown(request, self._signed(card, base))
        if path == JWKS and self._signer is not None:
            return self._documents.answer(request, self._signer.jwks())
        return JSONResponse({"error": "Nothing is here. The agents are listed at /agents."}, 404)

    def _shown(self, request: Request, card: AgentCard) -> Response:
        return self._documents.answer(request, agent_card_to_dict(card))

    def _extended(self, agent: Agent, base: str) -> AgentCard:
        return self._signed(self._cards.extended(agent, base + _path(agent)), base)

    def _signed(self, card: AgentCard, base: str) -> AgentCard:
        if self._signer is not None:
            self._signer.sign(card, base)
        return card

    def _serve(self, agent: Agent) -> Served:
        """What serves an agent, made at its first request; its card follows its versions."""
        served = self._served.get(agent.name)
        if served is None:
            served = self._served[agent.name] = self._made(agent)
        served.card.CopyFrom(self._cards.agent(agent, _path(agent)))
        return served

    def _made(self, agent: Agent) -> Served:
        card = self._cards.agent(agent, _path(agent))
        executor = RunExecutor(self._factory, agent.name, self._read)

        async def extended(_: AgentCard, context: ServerCallContext) -> AgentCard:
            newest = (await self._agents.all())[agent.name]
            return self._extended(newest, self._settings.a2a_url.rstrip("/") or base_in(context))

        handler = DefaultRequestHandler(
            executor, InMemoryTaskStore(), card, extended_agent_card=card, extended_card_modifier=extended
        )
        return Served(card=card, handler=handler, endpoint=Endpoint(handler, legacy=self._legacy))

    async def _picked(self, tenant: str) -> RequestHandler:
        """The handler of the agent that a request names, or of the only one there is."""
        known = await self._agents.all()
        deployed = await self._agents.deployed()
        if not tenant and len(deployed) == 1:
            tenant = deployed[0].name
        if tenant not in known:
            names = [agent.name for agent in deployed]
            why = UnknownName("agent", tenant, names) if tenant else "The tenant must name one of the agents."
            raise InvalidParamsError(message=str(why))
        return self._serve(known[tenant]).handler

    def _base(self, request: Request) -> str:
        """Where clients reach us, without a slash at the end."""
        return self._settings.a2a_url.rstrip("/") or base_of(request)


@dataclass(frozen=True, kw_only=True)
class Served:
    """What serves one agent."""

    card: AgentCard
    handler: DefaultRequestHandler
    endpoint: Endpoint


def _path(agent: Agent) -> str:
    return f"{AGENTS}/{agent.name}"


def _below(scope: Scope, root: str, path: str) -> Scope:
    """A request as an application that is mounted somewhere sees it."""
    return {**scope, "root_path": root, "path": root + path}
