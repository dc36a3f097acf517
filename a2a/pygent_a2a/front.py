"""Where A2A is served: cards, the index of agents, and the agents.

The one rule: the SDK is not imported here, but by the first request that needs it, so that whoever starts
`pygent up` does not wait for it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from pygent_a2a.factory import Agents, Factory
from pygent_shared.errors import FileRefused, MissingExtra, PygentError
from pygent_shared.fronts import Door, Tools
from pygent_shared.settings import Settings

if TYPE_CHECKING:
    from a2a.types import Message

    from pygent_a2a.hub import Hub

log = logging.getLogger(__name__)

AGENTS = "/agents"
SUITE = "/a2a"
CARDS = ("/.well-known/agent-card.json", "/.well-known/agent.json")
"""Where a card is, now and before protocol 0.3."""
JWKS = "/.well-known/jwks.json"
UNAVAILABLE = "The agents cannot be reached right now. Try again later."
DATABASE = "a2a.db"
"""In the data folder: tasks, where no other database is named."""
_NAMES = "|".join(map(re.escape, (*CARDS, JWKS)))
_OPEN = re.compile(rf"{AGENTS}|({AGENTS}/[^/]+|{SUITE})?({_NAMES})")


def build_front(settings: Settings, tools: Tools) -> A2A | None:
    """The front over these tools; None where it is switched off.

    Raises:
        FileRefused: there is no file of the key that cards are to be signed with.
        MissingExtra: what gRPC needs is not installed, and it is to be served.
    """
    key = Path(settings.a2a_key).expanduser()
    if settings.a2a_key and not key.is_file():
        cure = "Make one: openssl ecparam -name prime256v1 -genkey -noout -out cards.pem"
        raise FileRefused(key, "does not exist, and PYGENT_A2A_KEY names it", cure)
    if settings.a2a_grpc_port and find_spec("grpc") is None:
        raise MissingExtra("PYGENT_A2A_GRPC_PORT", "grpc")
    return None if settings.a2a == "off" else A2A(settings, tools)


class A2A:
    """A `pygent_shared.fronts.Front`.

    Args:
        settings: what is served, and to whom.
        tools: of the suite.
        read: what a message is for an agent, if not all that it says.
        accepts: media types that it can read besides texts and data.
    """

    name = "a2a"
    paths = (AGENTS,)

    def __init__(
        self,
        settings: Settings,
        tools: Tools,
        read: Callable[[Message], str] | None = None,
        accepts: Sequence[str] = (),
    ) -> None:
        self._settings = settings
        self._read, self._accepts = read, accepts
        self._tools = tools
        self._agents = Agents(Factory(tools), settings.a2a_agents)
        self._hub: Hub | None = None
        self._tasks: TaskGroup | None = None
        self._opening = anyio.Lock()
        self.routes: Sequence[BaseRoute] = [
            *(Route(path, endpoint=self) for path in (*CARDS, JWKS)),
            Route(AGENTS, self._index, methods=["GET"]),
            Mount(AGENTS, app=self),
            Mount(SUITE, app=self),
        ]

    @asynccontextmanager
    async def running(self, door: Door) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            if self._settings.a2a_database or (self._settings.data_dir / DATABASE).exists():
                tasks.start_soon(self._go_on)
            if self._settings.a2a_grpc_port:
                from pygent_a2a.grpc_server import serve

                await tasks.start(serve, self._settings, door, self._opened)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    async def check(self) -> Mapping[str, Any]:
        return {"ok": True, "agents": [agent.name for agent in await self._agents.deployed()]}

    def is_open(self, path: str) -> bool:
        return self._settings.a2a == "open" and bool(_OPEN.fullmatch(path))

    def heeds_roles(self, path: str) -> bool:
        return path.startswith((AGENTS, SUITE, *CARDS, JWKS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve whatever is below the routes."""
        try:
            hub = await self._opened()
            await hub(scope, receive, send)
        except PygentError as error:
            await _unavailable(error)(scope, receive, send)

    async def _go_on(self) -> None:
        """Go on with what was left unfinished, without waiting for a request."""
        try:
            await self._opened()
        except PygentError as error:
            log.error("Agents are not served over A2A: %s", error)

    async def _index(self, request: Request) -> JSONResponse:
        try:
            return JSONResponse(await (await self._opened()).index(request))
        except PygentError as error:
            return _unavailable(error)

    async def _opened(self) -> Hub:
        async with self._opening:
            if self._hub is None:
                hub = await to_thread.run_sync(self._made)
                assert self._tasks is not None, "a request came outside of running()"
                await self._tasks.start(hub.run)
                self._hub = hub
            return self._hub

    def _made(self) -> Hub:
        from pygent_a2a.hub import Hub
        from pygent_a2a.parts import prompt

        return Hub(self._settings, self._tools, self._agents, self._read or prompt, self._accepts)


def _unavailable(error: PygentError) -> JSONResponse:
    """What anybody may know of it; the rest is in the log."""
    log.warning("A2A cannot be served: %s", error)
    return JSONResponse({"error": UNAVAILABLE}, 503)
