"""The orchestration of a process: its definitions, its workflows, and the engine that carries them out.

The engine is begun by the first use of a workflow, or at once where there is one that has not ended, or a
schedule: whoever only asks what this server is, or defines a workflow, does not wait for it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import gethostname
from typing import Any

import anyio

from pygent_orchestration.actions import Actions
from pygent_orchestration.bus.bus import Bus
from pygent_orchestration.bus.station import Station
from pygent_orchestration.features.events import Event
from pygent_orchestration.features.features import Features
from pygent_orchestration.features.model import Feature
from pygent_orchestration.features.store import FeatureStore
from pygent_orchestration.features.telling import messages
from pygent_orchestration.library import Library
from pygent_orchestration.store import MIGRATIONS, Store, now
from pygent_orchestration.timetable import Timetable
from pygent_orchestration.workflows import Workflows
from pygent_shared.caller import OWNER, caller
from pygent_shared.database import Database
from pygent_shared.database_postgres import Rows
from pygent_shared.durable.engine import Engine, Limits
from pygent_shared.durable.keeper import Keeper
from pygent_shared.errors import NotAllowed
from pygent_shared.peers import Peers
from pygent_shared.settings import Settings

FILE = "orchestration.db"
NAME = "workflows"
ALONE = "-alone"
"""What a server without peers begins is left to such servers, and it takes nothing of the others'."""
VERSION = "1"
"""Of how workflows are carried out: those that began under another are left to the processes that have it."""


class Orchestration:
    """Opened at its first use, closed with the last connection.

    Args:
        settings: name the folder of the database, the store of the engine, and the limits.
        peers: whose tools and agents steps use; None where this server stands alone.
    """

    def __init__(self, settings: Settings, peers: Peers | None) -> None:
        self._settings = settings
        self._peers = peers
        self._users = 0
        self._database: Rows | None = None
        self._store: Store | None = None
        self._workflows: Workflows | None = None
        self._timetable: Timetable | None = None
        self._features: Features | None = None
        self._feature_store: FeatureStore | None = None
        alone = ALONE if peers is None else ""
        self._engine = Engine(
            settings.durable_store,
            name=f"{NAME}{alone}",
            version=f"{VERSION}{alone}",
            limits=Limits(each=settings.workflow_workers, all=settings.workflow_limit or None),
        )
        self._keeper = Keeper(self._engine)
        self.station = Station(settings.redis_url, self._at)
        self._began = now()

    @property
    def library(self) -> Library:
        """The definitions there are."""
        return self._opened().library

    @property
    def store(self) -> Store:
        """Where definitions are kept."""
        self._opened()
        assert self._store is not None
        return self._store

    async def workflows(self) -> Workflows:
        """The workflows; the engine is at work then.

        Raises:
            NotAllowed: the caller is not the machine's own user, whose workflows they are.
        """
        owned("Workflows")
        workflows = self._opened()
        self._begin()
        await self._keeper.on()
        return workflows

    async def timetable(self) -> Timetable:
        """The schedules; the engine is at work then.

        Raises:
            NotAllowed: as `workflows` does.
        """
        await self.workflows()
        assert self._timetable is not None
        return self._timetable

    async def bus(self) -> Bus:
        """The bus; this process is known on it then.

        Raises:
            NotAllowed: as `workflows` does.
        """
        owned("Messages")
        return await self.station.bus()

    async def features(self) -> Features:
        """The features; the engine is at work then.

        Raises:
            NotAllowed: the caller is not the machine's own user, whose repositories they change.
        """
        owned("Features")
        self._opened()
        assert self._features is not None
        self._begin()
        await self._keeper.on()
        return self._features

    @property
    def feature_store(self) -> FeatureStore:
        """Where features are kept."""
        self._opened()
        assert self._feature_store is not None
        return self._feature_store

    @asynccontextmanager
    async def lifespan(self, server: object) -> AsyncIterator[Orchestration]:
        """Be there until the last user is gone."""
        self._users += 1
        try:
            if (self._settings.data_dir / "orchestration.db").exists() and self._is_awaited():
                self._begin()  # whoever lists its tools does not wait for it
            yield self
        finally:
            self._users -= 1
            if not self._users:
                with anyio.CancelScope(shield=True):  # whoever is gone may have been cancelled
                    await self._close()

    def _at(self) -> dict[str, Any]:
        """What this process is at, for its heartbeats."""
        return {
            "host": gethostname(),
            "pid": os.getpid(),
            "since": self._began,
            "executor": self._engine.executor,
            "running": self._engine.at_work,
            "limit": self._settings.workflow_workers,
        }

    def _begin(self) -> None:
        """Have the engine at work, and this process known on the bus, and do not wait for it."""
        self._keeper.begin()
        self.station.begin()

    def _happened(self, feature: Feature, event: Event) -> None:
        self.station.post.put(messages(feature, event))

    def _is_awaited(self) -> bool:
        """Whether there is work to go on with; where several machines share it, there may always be some."""
        if self._settings.durable_url:
            return True
        if not (self._settings.data_dir / FILE).exists():
            return False
        return self.store.is_awaited() or self.feature_store.is_awaited()

    def _opened(self) -> Workflows:
        if self._workflows is None:
            self._database = self._tables()
            self._store = Store(self._database)
            self._workflows = Workflows(self._store, self._engine, self._peers, self.station.post)
            self._timetable = Timetable(self._store, self._engine, self._workflows)
            self._feature_store = FeatureStore(self._database, self._happened)
            folder = self._settings.data_dir / "coding"
            self._features = Features(
                self._feature_store,
                self._engine,
                Actions(self._peers),
                folder,
                limit=self._settings.agent_tasks or None,
            )
        return self._workflows

    def _tables(self) -> Rows:
        """A file, or the database that several machines share."""
        path = self._settings.data_dir / FILE
        if not self._settings.durable_url:
            return Database(path, MIGRATIONS)
        from pygent_orchestration.store_postgres import opened, take_over

        shared = opened(self._settings.durable_url)
        if path.exists():
            file = Database(path, MIGRATIONS)
            take_over(shared, file)
            file.close()
        return shared

    async def _close(self) -> None:
        await self._keeper.off()
        await self.station.off()
        if self._database is not None:
            self._database.close()
            self._database = self._store = self._workflows = self._timetable = None
            self._features = self._feature_store = None


def owned(what: str) -> None:
    """Look whether the caller is the machine's own user.

    Raises:
        NotAllowed: it is somebody else.
    """
    if caller() != OWNER:
        why = "run with the rights of the machine's own user, and you are somebody else"
        raise NotAllowed(what, why, "Use the endpoint's own token, or stdio.")
