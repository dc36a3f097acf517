"""What is served over A2A, put together: the agents' endpoints, the suite's, and their cards."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from a2a.server.context import ServerCallContext
from a2a.server.request_handlers import RequestHandler
from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.types import AgentCard
from a2a.utils.errors import InvalidParamsError
from anyio.abc import TaskStatus
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from pygent_a2a.cards import Cards, about
from pygent_a2a.documents import Documents
from pygent_a2a.endpoint import Endpoint
from pygent_a2a.executor import Read
from pygent_a2a.factory import Agent, Agents, Factory
from pygent_a2a.front import AGENTS, CARDS, JWKS, SUITE
from pygent_a2a.identity import base_in, base_of
from pygent_a2a.legacy import OLD_EXTENDED_CARD
from pygent_a2a.service import Service
from pygent_a2a.signing import Signer, made_key
from pygent_a2a.tenants import Tenants
from pygent_shared.errors import UnknownName
from pygent_shared.fronts import Tools
from pygent_shared.settings import Settings

CACHE_SECONDS = 60
PUSH_KEY = "a2a-push.pem"
"""The file of the key that what is pushed is signed with, where none is set; made when it is wanted."""


class Hub:
    """An ASGI application, at work while `run` is.

    Args:
        settings: what is served, and to whom.
        tools: of the suite.
        agents: those that may be served.
        read: what a message is for an agent.
        accepts: media types that it can read besides texts and data.

    Raises:
        FileRefused: the key that cards are signed with cannot be used.
    """

    def __init__(
        self, settings: Settings, tools: Tools, agents: Agents, read: Read, accepts: Sequence[str]
    ) -> None:
        self._settings = settings
        self._agents = agents
        self._cards = Cards(settings, version("pygent-factory"), accepts)
        self._signer = Signer(Path(settings.a2a_key).expanduser()) if settings.a2a_key else None
        self._keys = self._signer
        if self._keys is None and settings.a2a_push != "off":
            self._keys = Signer(made_key(settings.data_dir / PUSH_KEY))
        whose = "public" if settings.a2a == "open" else "private"
        self._documents = Documents(f"{whose}, max-age={CACHE_SECONDS}")
        self._service = Service(
            settings, Factory(tools), agents, self._card, self._extended, read, self._keys
        )
        self._endpoints: dict[str, Endpoint] = {}
        self._suite = self._endpoint(Tenants(self.picked))

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Be at work until cancelled."""
        await self._service.run(task_status=task_status)

    async def index(self, request: Request) -> dict[str, Any]:
        """Every agent that takes tasks now, and where its card is."""
        base = self._base(request)
        return {
            "agents": [
                {
                    "name": agent.name,
                    "description": about(agent),
                    "url": f"{base}{_path(agent)}/",
                    "card": f"{base}{_path(agent)}{CARDS[0]}",
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
        if agent is None or (path in CARDS and not agent.is_deployed):
            deployed = [agent.name for agent in await self._agents.deployed()]
            answer: Response = JSONResponse({"error": str(UnknownName("agent", name, deployed))}, 404)
        elif path in CARDS:
            base = self._base(request)
            card = self._signed(self._cards.agent(agent, base + _path(agent)), base)
            answer = self._documents.answer(request, agent_card_to_dict(card))
        elif path == OLD_EXTENDED_CARD:
            answer = JSONResponse(_old(self._extended_at(agent, self._base(request))))
        else:
            handler = self._service.handler(agent)
            if name not in self._endpoints:
                self._endpoints[name] = self._endpoint(handler)
            await self._endpoints[name](_below(request.scope, _path(agent), path), receive, send)
            return
        await answer(request.scope, receive, send)

    async def _all(self, request: Request, path: str, receive: Receive, send: Send) -> None:
        if path in CARDS:
            answer = await self._document(request, path)
            await answer(request.scope, receive, send)
        else:
            await self._suite(_below(request.scope, SUITE, path), receive, send)

    async def _document(self, request: Request, path: str) -> Response:
        """The suite's card, or the keys that cards are signed with."""
        if path in CARDS:
            base = self._base(request)
            card = self._signed(self._cards.suite(await self._agents.deployed(), base + SUITE), base)
            return self._documents.answer(request, agent_card_to_dict(card))
        if path == JWKS and self._keys is not None:
            return self._documents.answer(request, self._keys.jwks())
        return JSONResponse({"error": "Nothing is here. The agents are listed at /agents."}, 404)

    def _card(self, agent: Agent) -> AgentCard:
        """What an agent can do, for its handler, which serves no card."""
        return self._cards.agent(agent, _path(agent))

    def _extended(self, agent: Agent, context: ServerCallContext) -> AgentCard:
        return self._extended_at(agent, self._settings.a2a_url.rstrip("/") or base_in(context))

    def _extended_at(self, agent: Agent, base: str) -> AgentCard:
        return self._signed(self._cards.extended(agent, base + _path(agent)), base)

    def _signed(self, card: AgentCard, base: str) -> AgentCard:
        if self._signer is not None:
            self._signer.sign(card, base)
        return card

    def _endpoint(self, handler: RequestHandler) -> Endpoint:
        old = self._settings.a2a_legacy == "on"
        return Endpoint(handler, old=old, most=self._settings.a2a_max_mb * 2**20)

    async def picked(self, tenant: str) -> RequestHandler:
        """The handler of the agent that a request names, or of the only one there is."""
        known = await self._agents.all()
        deployed = await self._agents.deployed()
        if not tenant and len(deployed) == 1:
            tenant = deployed[0].name
        if tenant not in known:
            names = [agent.name for agent in deployed]
            why = UnknownName("agent", tenant, names) if tenant else "The tenant must name one of the agents."
            raise InvalidParamsError(message=str(why))
        return self._service.handler(known[tenant])

    def _base(self, request: Request) -> str:
        """Where clients reach us, without a slash at the end."""
        return self._settings.a2a_url.rstrip("/") or base_of(request)


def _path(agent: Agent) -> str:
    return f"{AGENTS}/{agent.name}"


def _old(card: AgentCard) -> dict[str, Any]:
    """A card as it was written before protocol 1.0."""
    from a2a.compat.v0_3.conversions import to_compat_agent_card

    old: dict[str, Any] = to_compat_agent_card(card).model_dump(mode="json", by_alias=True, exclude_none=True)
    return old


def _below(scope: Scope, root: str, path: str) -> Scope:
    """A request as an application that is mounted somewhere sees it."""
    return {**scope, "root_path": root, "path": root + path}
