"""The agents at work: a handler for each, over one store of tasks, and what goes on beside the requests."""

from __future__ import annotations

from collections.abc import Callable

import anyio
from a2a.server.context import ServerCallContext
from a2a.types import AgentCard
from anyio import to_thread
from anyio.abc import TaskStatus

from pygent_a2a.executor import Read, RunExecutor
from pygent_a2a.factory import Agent, Agents, Factory
from pygent_a2a.front import DATABASE
from pygent_a2a.handler import TaskHandler
from pygent_a2a.keeper import Keeper
from pygent_a2a.leases import Leases
from pygent_a2a.limits import Bounds
from pygent_a2a.push import Allowed, Pusher
from pygent_a2a.retention import Retention
from pygent_a2a.signing import Signer
from pygent_a2a.store import Engine, run
from pygent_a2a.tasks import keep_of
from pygent_shared.settings import Settings

CardOf = Callable[[Agent], AgentCard]
Extend = Callable[[Agent, ServerCallContext], AgentCard]
"""The extended card of an agent, as whoever makes that call gets it."""


class Service:
    """Answers the requests for all agents, while `run` runs.

    Args:
        settings: name the store, and the bounds.
        factory: where the agents work.
        agents: those that may be served.
        card_of: what an agent says of itself.
        extend: and to those who may call it.
        read: what a message is for an agent.
        signer: signs what is pushed.
    """

    def __init__(
        self,
        settings: Settings,
        factory: Factory,
        agents: Agents,
        card_of: CardOf,
        extend: Extend,
        read: Read,
        signer: Signer | None,
    ) -> None:
        self._settings = settings
        self._factory = factory
        self._agents = agents
        self._card_of, self._extend = card_of, extend
        self._read = read
        self._signer = signer
        self._pusher: Pusher | None = None
        self._handlers: dict[str, tuple[AgentCard, TaskHandler]] = {}
        self._leases: Leases | None = None

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Be at work until cancelled; the runs go on without us.

        Raises:
            DatabaseUnusable: the store cannot be opened.
        """
        engine = await to_thread.run_sync(_opened, self._settings)
        try:
            self._leases = Leases(engine)
            kept = Retention(
                engine,
                ended=self._settings.a2a_keep_days,
                parked=self._settings.a2a_wait_days,
                replica=self._leases.replica,
            )
            keeper = Keeper(self._leases, self._handler_of, kept)
            if self._settings.a2a_push != "off":
                self._pusher = Pusher(engine, signer=self._signer, where=self._settings.a2a_push)
            await run(engine, self._leases.begin)  # before a task is ours: others would take it for left
            task_status.started()
            async with anyio.create_task_group() as tasks:
                if self._pusher is not None:
                    tasks.start_soon(self._pusher.run)
                await keeper.run()
        finally:
            with anyio.CancelScope(shield=True):
                for _, handler in self._handlers.values():
                    await handler.aclose()
            engine.close()

    def handler(self, agent: Agent) -> TaskHandler:
        """What answers for an agent, made when it is first wanted; its card follows the agent's versions."""
        if agent.name not in self._handlers:
            self._handlers[agent.name] = self._made(agent)
        card, handler = self._handlers[agent.name]
        card.CopyFrom(self._card_of(agent))
        return handler

    async def _handler_of(self, name: str) -> TaskHandler | None:
        agent = (await self._agents.all()).get(name)
        return None if agent is None else self.handler(agent)

    def _made(self, agent: Agent) -> tuple[AgentCard, TaskHandler]:
        assert self._leases is not None, "a request came outside of run()"
        card = self._card_of(agent)

        async def extended(_: AgentCard, context: ServerCallContext) -> AgentCard:
            return self._extend((await self._agents.all())[agent.name], context)

        handler = TaskHandler(
            agent.name,
            RunExecutor(self._factory, self._agents, agent.name, self._read),
            card,
            keep=keep_of(agent.name, self._leases, repeat=self._settings.a2a_repeat_seconds),
            sender=self._pusher,
            allowed=None if self._settings.a2a_push == "off" else Allowed(self._settings.a2a_push),
            bounds=Bounds(body=self._settings.a2a_max_mb * 2**20),
            opens=False,
            extended_agent_card=card,
            extended_card_modifier=extended,
            validate_input_modes=True,
        )
        return card, handler


def _opened(settings: Settings) -> Engine:
    if settings.a2a_database:
        from pygent_a2a.store_postgres import PostgresEngine

        return PostgresEngine(settings.a2a_database)
    from pygent_a2a.store_sqlite import SqliteEngine

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    return SqliteEngine(settings.data_dir / DATABASE)
