"""The agents of a server: open while it is, looked at again now and then, and whose tasks are whose."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from pygent_a2a.remote.agent import Agent, no_such_task
from pygent_a2a.remote.exchange import Exchange
from pygent_a2a.remote.remotes import Remote
from pygent_a2a.remote.wire import Learn
from pygent_shared.caller import caller
from pygent_shared.errors import AgentUnavailable, UnknownName

log = logging.getLogger(__name__)

LOOK_SECONDS = 300.0
"""How often an agent's card is fetched again."""
RETRY_SECONDS = 20.0
"""The same of an agent that had none to be fetched."""
MOST_KNOWN = 10_000
MOST_PENDING = 200
PENDING = "pending-"

Changed = Callable[[Agent], Awaitable[None]]
"""Told of each card that is new, or another than before."""


class Agents:
    """The agents of one server."""

    def __init__(self, remotes: Sequence[Remote], learn: Learn) -> None:
        self.all = {remote.name: Agent(remote, learn) for remote in remotes}
        self._tasks: TaskGroup | None = None
        self._callers: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._pending: OrderedDict[str, Exchange] = OrderedDict()

    @property
    def tasks(self) -> TaskGroup:
        """Where what outlives a call goes on."""
        assert self._tasks is not None, "running() comes first"
        return self._tasks

    @asynccontextmanager
    async def running(self, changed: Changed) -> AsyncIterator[None]:
        """Have each agent's card, as far as it can be had now, and look for it again now and then.

        Raises:
            AgentUnavailable: not one can be had.
        """
        failed = [error for agent in self.all.values() if (error := await self._opened(agent, changed))]
        if failed and len(failed) == len(self.all):
            await self._close()
            raise failed[0]
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                for agent in self.all.values():
                    tasks.start_soon(self._look_again, agent, changed)
                yield
                tasks.cancel_scope.cancel()
        finally:
            self._tasks = None
            await self._close()

    def named(self, name: str) -> Agent:
        """The agent of a name; without one, the only one there is.

        Raises:
            UnknownName: there is none.
        """
        if not name and len(self.all) == 1:
            return next(iter(self.all.values()))
        if name not in self.all:
            raise UnknownName("agent", name, self.all)
        return self.all[name]

    def note(self, agent: Agent, *ids: str) -> None:
        """Remember that tasks or contexts are the present caller's."""
        for one in filter(None, ids):
            self._callers[agent.remote.name, one] = caller()
        while len(self._callers) > MOST_KNOWN:
            self._callers.popitem(last=False)

    def refuse_foreign(self, agent: Agent, *ids: str) -> None:
        """Refuse ids that are known to be another caller's, as if there were none.

        Raises:
            InvalidArgument: one is.
        """
        for one in filter(None, ids):
            if self._callers.get((agent.remote.name, one), caller()) != caller():
                raise no_such_task(agent.remote.name, one)

    def keep(self, agent: Agent, exchange: Exchange) -> str:
        """Keep a request whose agent has not named a task yet; what it is called until then."""
        handle = PENDING + uuid4().hex
        self._pending[handle] = exchange
        self.note(agent, handle)
        while len(self._pending) > MOST_PENDING:
            self._pending.popitem(last=False)[1].leave()
        return handle

    def kept(self, agent: Agent, handle: str) -> Exchange | None:
        """The request that was kept under a handle; None where the handle is a task's id.

        Raises:
            InvalidArgument: it is kept no more.
        """
        if not handle.startswith(PENDING):
            return None
        if handle not in self._pending:
            raise no_such_task(agent.remote.name, handle)
        return self._pending[handle]

    async def _opened(self, agent: Agent, changed: Changed) -> AgentUnavailable | None:
        """Fetch a card; why that failed."""
        try:
            if await agent.open():
                await changed(agent)
        except AgentUnavailable as error:
            log.warning("%s", error)
            return error
        return None

    async def _look_again(self, agent: Agent, changed: Changed) -> None:
        while True:
            await anyio.sleep(LOOK_SECONDS if agent.is_open else RETRY_SECONDS)
            await self._opened(agent, changed)

    async def _close(self) -> None:
        with anyio.CancelScope(shield=True):
            for agent in self.all.values():
                await agent.close()
