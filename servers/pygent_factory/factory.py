"""The factory of a process: its agents, their runs, and the engine that carries them out.

The engine is started by the first run, or at once where an earlier process left one unfinished: whoever only
asks what this server is, or changes an agent, does not wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import anyio

from pygent_factory.literature.access import Access
from pygent_factory.runs import Runs
from pygent_factory.store import MIGRATIONS, AgentStore
from pygent_factory.workspace.workspaces import Workspaces
from pygent_shared.caller import OWNER, caller
from pygent_shared.database import Database
from pygent_shared.durable.engine import Engine
from pygent_shared.errors import NotAllowed
from pygent_shared.peers import Peers
from pygent_shared.settings import Settings

VERSION = "1"
"""Of the workflow: a run that began under another is left to the processes that have it."""


class Factory:
    """Opened at its first use, closed with the last connection.

    Args:
        settings: name the folder of the databases, and the store of the engine.
        peers: whose tools agents use; None where this server stands alone.
    """

    def __init__(self, settings: Settings, peers: Peers | None) -> None:
        self._settings = settings
        self._peers = peers
        self._users = 0
        self._database: Database | None = None
        self._agents: AgentStore | None = None
        self._runs: Runs | None = None
        self._access = Access(
            mail=settings.literature_mail,
            semantic_scholar_key=settings.semantic_scholar_key,
            openalex_key=settings.openalex_key,
        )
        self._engine = Engine(settings.durable_store, version=VERSION)
        self._owner: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None

    @property
    def agents(self) -> AgentStore:
        """The agents there are."""
        self._open()
        assert self._agents is not None
        return self._agents

    async def runs(self) -> Runs:
        """Their runs; the engine is at work then.

        Raises:
            NotAllowed: the caller is not the machine's own user, whose runs they are.
        """
        if caller() != OWNER:
            why = "run with the rights of the machine's own user, and you are somebody else"
            raise NotAllowed("Agents", why, "Use the endpoint's own token, or stdio.")
        self._open()
        assert self._runs is not None
        if self._owner is None:
            self._started = asyncio.get_running_loop().create_future()
            self._owner = asyncio.create_task(self._own(self._started))
        assert self._started is not None
        try:
            await asyncio.shield(self._started)
        except Exception:
            self._owner = None
            raise
        return self._runs

    def now(self) -> str:
        """The time of a change."""
        return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    @asynccontextmanager
    async def lifespan(self, server: object) -> AsyncIterator[Factory]:
        """Be there until the last user is gone."""
        self._users += 1
        try:
            if (self._settings.data_dir / "factory.db").exists() and self._unfinished():
                await self.runs()
            yield self
        finally:
            self._users -= 1
            if not self._users:
                with anyio.CancelScope(shield=True):  # whoever is gone may have been cancelled
                    await self._close()

    def _unfinished(self) -> bool:
        self._open()
        assert self._runs is not None
        return self._runs.unfinished()

    def _open(self) -> None:
        if self._database is None:
            self._database = Database(self._settings.data_dir / "factory.db", MIGRATIONS)
            self._agents = AgentStore(self._database)
            self._runs = Runs(
                self._database,
                self._agents,
                self._peers,
                self._access,
                self._engine,
                Workspaces(self._settings.data_dir / "workspaces"),
            )

    async def _own(self, started: asyncio.Future[None]) -> None:
        """Be the one task in which the engine begins and ends."""
        try:
            async with self._engine.running():
                started.set_result(None)
                await asyncio.Event().wait()
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _close(self) -> None:
        if self._owner is not None:
            self._owner.cancel()
            with suppress(asyncio.CancelledError):
                await self._owner
            self._owner = None
        if self._database is not None:
            self._database.close()
            self._database = self._agents = self._runs = None
