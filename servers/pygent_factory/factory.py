"""The factory of a process: its agents, their runs, and the engine that carries them out.

The engine is started by the first run, or at once where an earlier process left one unfinished: whoever only
asks what this server is, or changes an agent, does not wait for it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import Context
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import anyio

from pygent_factory import types
from pygent_factory.files import Folders, Found
from pygent_factory.literature.access import Access
from pygent_factory.runs import Runs
from pygent_factory.spec import Spec
from pygent_factory.store import MIGRATIONS, AgentStore
from pygent_factory.workspace.workspaces import Workspaces
from pygent_shared.database import Database
from pygent_shared.durable.engine import Engine
from pygent_shared.durable.keeper import Keeper
from pygent_shared.errors import CallerError
from pygent_shared.peers import Peers
from pygent_shared.settings import Settings, find_config, own_config
from pygent_shared.shipped import shipped

log = logging.getLogger(__name__)

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
        self._folders = Folders(list(_folders(settings)), types.types())
        self._looking = Lock()
        self._found: Found | None = None
        self._taken_over: list[str] = []
        self.problems: tuple[str, ...] = ()
        """Why files of agents cannot be used, a sentence each."""
        self._database: Database | None = None
        self._agents: AgentStore | None = None
        self._runs: Runs | None = None
        self._access = Access(
            mail=settings.literature_mail,
            semantic_scholar_key=settings.semantic_scholar_key,
            openalex_key=settings.openalex_key,
        )
        self._engine = Engine(settings.durable_store, version=VERSION)
        self._keeper = Keeper(self._engine)

    @property
    def agents(self) -> AgentStore:
        """The agents there are, those in files as their files say now."""
        self._open()
        assert self._agents is not None
        with self._looking:
            if (found := self._folders.look()) is not self._found:
                Context().run(self._take_over, found, self._agents)  # not as the caller of the moment
                self._found = found
        return self._agents

    @property
    def kinds(self) -> dict[str, Spec]:
        """The kinds of agents, those of files as well."""
        with self._looking:
            own = self._folders.look().kinds
        return {**types.types(), **{name: file.spec for name, file in own.items()}}

    def taken_over(self) -> list[str]:
        """The agents that were changed by their files since this was last asked."""
        names, self._taken_over = self._taken_over, []
        return names

    def source(self, name: str) -> tuple[str, bool]:
        """The file that an agent is of, "" for none; and whether that file says so still."""
        path = self.agents.source(name)
        file = self._found.agents.get(name) if self._found else None
        return path, file is not None and str(file.path) == path

    async def runs(self) -> Runs:
        """Their runs; the engine is at work then."""
        self._open()
        assert self._runs is not None
        await self._keeper.on()
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
                self._keeper.begin()
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
                self._settings.models,
            )

    def _take_over(self, found: Found, agents: AgentStore) -> None:
        """Have the agents of files be as these say."""
        problems = list(found.problems)
        for name, file in found.agents.items():
            try:
                if agents.take_over(name, file.spec, str(file.path), self.now()):
                    self._taken_over.append(name)
            except CallerError as error:
                problems.append(f'"{file.path}" is not taken over: {error}')
        for problem in problems:
            log.warning("%s", problem)
        self.problems = tuple(problems)

    async def _close(self) -> None:
        await self._keeper.off()
        if self._database is not None:
            self._database.close()
            self._database = self._agents = self._runs = None


def _folders(settings: Settings) -> Iterator[Path]:
    """Where a user's own agents are: beside the config file, and in the folder of the setting."""
    beside = Path(find_config(settings.config or None) or own_config()).parent / "agents"
    if beside.resolve() != shipped("agents").resolve():
        yield beside
    if settings.agents:
        yield Path(settings.agents).expanduser()
