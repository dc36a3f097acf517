"""All servers of a config, side by side: started together, each with its own time limit, none able to hold up
or bring down another.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import mcp.types as t
from anyio.abc import TaskGroup
from mcp import MCPError
from pydantic import BaseModel

from pygent_registry import exposure
from pygent_registry.announcements import Announcements
from pygent_registry.arrivals import Arrivals
from pygent_registry.buckets import Buckets
from pygent_registry.catalogue import Catalogue, compose
from pygent_registry.config import Config
from pygent_registry.downstream import Downstream
from pygent_registry.entry import Entry
from pygent_registry.floor import Floor
from pygent_registry.journal import NAME, Journal
from pygent_registry.levels import Levels
from pygent_registry.life import Mode
from pygent_registry.link import Link
from pygent_registry.links import Links
from pygent_registry.output import Output
from pygent_registry.peer_calls import PeerCalls
from pygent_registry.policies.standard import recording, standard
from pygent_registry.reaper import Reaper
from pygent_registry.redaction import hidden_in_logs
from pygent_registry.remembered import Remembered
from pygent_registry.report import described
from pygent_registry.results import Results
from pygent_registry.search.tools import NAMES
from pygent_registry.secrecy import Secrets
from pygent_registry.tally import Tally
from pygent_registry.transports import transport
from pygent_registry.trust.trust import Trust
from pygent_registry.voice import Events
from pygent_registry.watch import ConfigFile
from pygent_shared.errors import PygentError, UnknownName
from pygent_shared.settings import Settings
from pygent_shared.sweeping import sweep

log = logging.getLogger(__name__)

Ask = Callable[[Link, str, Any], Awaitable[Any]]
Notified = Callable[[Link, Any], Awaitable[None]]

# Changes within this time of each other are announced as one.
DEBOUNCE_SECONDS = 0.1
LEVEL_SECONDS = 5.0


class Registry:
    """Owns the servers of `config` while `running`.

    Fronts (see `gateway.py`) enter themselves into `announcements` and `notified`, to be told, into `ask`,
    to be asked when a server asks, and into `parked`, to say how many calls wait for their hosts.

    Args:
        config: the servers to begin with; `apply` changes them.
        settings: for all of them.
        file: the config file to follow while running.
        remembered: where what the servers list is kept, to answer from it before they are up.
    """

    def __init__(
        self,
        config: Config,
        settings: Settings,
        *,
        file: ConfigFile | None = None,
        remembered: Remembered | None = None,
    ) -> None:
        self.config = config
        self.settings = settings
        self.file = file
        self.remembered = remembered
        self.trust = Trust(settings)
        self.secrets = Secrets(config.entries)
        self.downstreams = {entry.name: self._downstream(entry) for entry in config.entries}
        self.trust.forget_all_but(self.downstreams)
        self.announcements = Announcements(self.catalogue)
        self.notified: list[Notified] = []
        self.ask: Ask = _nobody_to_ask
        self.parked: list[Callable[[], int]] = []
        self.tasks: TaskGroup | None = None
        self.applied = anyio.Event()
        """Set, and another put in its place, when a config was taken over."""
        self.results = Results()
        self.floor = Floor()
        self.links = Links()
        self.levels = Levels()
        self.questions = Buckets("Server", settings.question_rate, "questions")
        self.journal = Journal(
            settings.data_dir / NAME, settings.audit_sync, settings.audit_max_mb * 1_000_000
        )
        self.tally = Tally()
        self.policies, self.recording = standard(self), recording(self)
        self.calls = PeerCalls(self)
        self._reaper = Reaper()
        self._started = False
        self._mode: Mode = "auto"
        self._arrivals = Arrivals(settings)
        self._following_up = False
        self._catalogues: dict[tuple[bool, str | None], Catalogue] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Registry]:
        """Start nothing yet (see `start`), and end everything on the way out."""
        try:
            with hidden_in_logs(self.secrets.redactor):
                async with anyio.create_task_group() as tasks:
                    self.tasks = tasks
                    tasks.start_soon(sweep)
                    if self.file is not None:
                        tasks.start_soon(self.file.follow, self.apply, self.retry)
                    yield self
                    for downstream in self.downstreams.values():
                        downstream.stop()
                    tasks.cancel_scope.cancel()
        finally:
            self._keep()
            self.tasks, self._started = None, False
            self._reaper.close()
            self.journal.close()

    def start(self, mode: Mode = "auto") -> None:
        """Start all servers at once, unless that was done. `legacy` where only such hosts will come."""
        if self._started or self.tasks is None:
            return
        self._started, self._mode = True, mode
        self._arrivals.begin()
        for downstream in self.downstreams.values():
            downstream.start(self.tasks, mode)

    def apply(self, config: Config) -> None:
        """Take over another config: what was added or edited starts, what was removed or edited ends, and the
        rest goes on untouched, its calls in flight included.
        """
        before, self.config = self.downstreams, config
        applied, self.applied = self.applied, anyio.Event()
        applied.set()
        self.downstreams = {
            entry.name: kept
            if (kept := before.get(entry.name)) and kept.entry == entry
            else self._downstream(entry)
            for entry in config.entries
        }
        self.trust.forget_all_but(self.downstreams)
        self.tally.forget_the_oldest_but(self.downstreams)
        self.secrets.take_over(config.entries)
        for name, downstream in before.items():
            if self.downstreams.get(name) is not downstream:
                downstream.stop("edited" if name in self.downstreams else "removed")
        if self._started and self.tasks is not None:
            self._arrivals.begin()
            for downstream in self.downstreams.values():
                if not downstream.started:
                    downstream.start(self.tasks, self._mode)
        self._changed()

    def retry(self) -> None:
        """Start every server now that waits for its next start."""
        for downstream in self.downstreams.values():
            downstream.retry()

    async def settled(self, *, recalled: bool = True) -> None:
        """Start the servers, and wait for them (see `Arrivals`). Whoever comes later is announced.

        Args:
            recalled: whether a server need not be waited for whose lists are remembered.
        """
        self.start()
        await self._arrivals.waited_for(self.downstreams.values, recalled)
        self.announcements.begin()

    def catalogue(self, *, modern: bool, only: str | None = None) -> Catalogue:
        """What a host of that era sees: of all servers that are up, or of one, without a prefix."""
        if self.trust.was_approved_elsewhere():
            self._changed()
        if (known := self._catalogues.get((modern, only))) is not None:
            return known
        chosen = [item for item in self.downstreams.values() if only in (None, item.entry.name)]
        listings = [
            self.trust.cleared(item.entry, self.secrets.left_out_of(found))
            for item in chosen
            if self._started and (found := item.listing(modern=modern))
        ]
        if only:
            listings = [replace(listing, prefix="") for listing in listings]
        composed = self._catalogues[modern, only] = compose(
            listings, self._reserved(only), {item.entry.name: item.entry.aliases for item in chosen}
        )
        return composed

    def _reserved(self, only: str | None) -> frozenset[str]:
        """The names of search mode's own tools, where it may be on: no server without a prefix takes them."""
        return frozenset() if only or self.settings.tools == "all" else NAMES

    def refuse_withheld(self, kind: str, shown: str, *, only: str | None = None) -> None:
        """Say why a name that no catalogue holds is not shown, if it is one that a server does offer.

        Raises:
            NotApproved: it is withheld until somebody approves it.
        """
        for item in self.downstreams.values():
            self.trust.refuse_withheld(item.entry, "" if only else item.entry.shown_prefix, kind, shown)

    async def link(self, server: str, *, modern: bool) -> Link:
        """The link to a server for a host of that era.

        Raises:
            UnknownName: no entry of the config has that name.
            ServerUnavailable: the server is down.
        """
        if server not in self.downstreams:
            raise UnknownName("server", server, self.downstreams)
        self.start()
        assert self.tasks is not None
        return await self.downstreams[server].link(self.tasks, modern=modern)

    async def set_level(self) -> None:
        """Have every server of the 2025 era log what some host wants, none waiting for another."""

        async def tell(link: Link) -> None:
            with anyio.move_on_after(LEVEL_SECONDS), suppress(MCPError, PygentError):
                await link.request("logging/setLevel", {"level": self.levels.least})

        async with anyio.create_task_group() as telling:
            for link in (link for item in self.downstreams.values() for link in item.links):
                if not link.modern and link.capabilities and link.capabilities.logging:
                    telling.start_soon(tell, link)

    def report(self) -> dict[str, Any]:
        """The state of every server, as `/health/ready`, `pygent doctor` and `pygent://servers` show it."""
        servers = {
            name: {**described(item), **self.trust.report(item.entry)}
            for name, item in self.downstreams.items()
            if self._started
        }
        for bad in self.config.bad:
            servers[bad.name] = {"state": "unusable", "why": bad.why}
        settled = self._started and all(item.primary.settled for item in self.downstreams.values())
        return {"ready": settled, "servers": self.secrets.redactor().value(servers)}

    async def call_tool(
        self, name: str, arguments: dict[str, Any], *, asking: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """For our own servers: any other server's tool, by its shown name (`pygent_shared.peers`)."""
        return await self.calls.call(name, arguments, asking=asking)

    async def list_tools(self) -> list[dict[str, Any]]:
        """For our own servers: the tools that `call_tool` takes."""
        return await self.calls.tools()

    def _downstream(self, entry: Entry) -> Downstream:
        for exposed in exposure.in_arguments(entry):
            log.warning('The entry "%s": %s. %s', entry.name, exposed, exposure.IN_ENV)

        def new_link(mode: Mode) -> Link:
            def connect(output: Output) -> Any:
                self.trust.allow_start(entry)
                learn, redactor = partial(self.secrets.learn, entry.name), self.secrets.redactor
                return transport(entry, self.settings, self, output, self._reaper, redactor, learn)

            events = Events(
                changed=self._changed,
                notified=lambda message: self._notify(link, message),
                asked=lambda method, params: self.ask(link, method, params),
            )
            link = Link(entry=entry, settings=self.settings, mode=mode, connect=connect, events=events)
            return link

        remembered = self.remembered.listings(entry) if self.remembered else {}
        return Downstream(entry=entry, new_link=new_link, remembered=remembered)

    def _changed(self) -> None:
        """Some link changed: what was composed is stale, and whoever waits looks again."""
        self._catalogues.clear()
        self._arrivals.look(self.downstreams.values())
        if not self._following_up and self.tasks is not None:
            self._following_up = True
            self.tasks.start_soon(self._follow_up)

    async def _follow_up(self) -> None:
        """Once for all changes of a moment: remember what is listed, and announce it."""
        await anyio.sleep(DEBOUNCE_SECONDS)
        self._following_up = False
        self._keep()
        await self.announcements.tell()

    def _keep(self) -> None:
        if self.remembered is None:
            return
        for item in self.downstreams.values():
            for link in item.links:
                if link.listing is not None:
                    listing = self.secrets.left_out_of(link.listing)
                    self.remembered.keep(item.entry, listing, modern=link.modern)
        self.remembered.save()

    async def _notify(self, link: Link, message: Any) -> None:
        if isinstance(message, BaseModel):
            said = message.model_dump(by_alias=True, mode="json", exclude_unset=True)
            if (hidden := self.secrets.redactor().value(said)) is not said:
                message = type(message).model_validate(hidden)
        for tell in self.notified:
            await tell(link, message)


async def _nobody_to_ask(link: Link, method: str, params: Any) -> Any:
    return t.ErrorData(code=t.INVALID_REQUEST, message=f"{method}: no host is connected")
