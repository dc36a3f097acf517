"""All servers of a config, side by side: started together, each with its own time limit, none able to hold up
or bring down another.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import mcp.types as t
from anyio.abc import TaskGroup

from pygent_registry.catalogue import Catalogue, compose
from pygent_registry.config import Config
from pygent_registry.downstream import Downstream
from pygent_registry.journal import NAME, Journal
from pygent_registry.link import Events, Link, Mode
from pygent_registry.policies.standard import standard
from pygent_registry.process import Output, Reaper
from pygent_registry.results import Results
from pygent_registry.transports import transport
from pygent_shared.errors import UnknownName
from pygent_shared.settings import Settings

log = logging.getLogger(__name__)

Ask = Callable[[Link, str, Any], Awaitable[Any]]
ListChanged = Callable[[str], Awaitable[None]]
Notified = Callable[[Link, Any], Awaitable[None]]


class Registry:
    """Owns the servers of `config` while `running`.

    Fronts (see `gateway.py`) put themselves into `fronts`: each is told what changes, and is asked when a
    server asks.
    """

    def __init__(self, config: Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.downstreams = {entry.name: self._downstream(entry.name) for entry in config.entries}
        self.list_changed: list[ListChanged] = []
        self.notified: list[Notified] = []
        self.ask: Ask = _nobody_to_ask
        self.tasks: TaskGroup | None = None
        self.results = Results()
        self.journal = Journal(settings.data_dir / NAME)
        self.policies = standard(self)
        self._reaper = Reaper()
        self._started = False
        self._news = anyio.Event()
        self._last_up = 0.0
        self._known: set[str] = set()
        self._listed = False
        self._catalogues: dict[tuple[bool, str | None], Catalogue] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Registry]:
        """Start nothing yet (see `start`), and end everything on the way out."""
        try:
            async with anyio.create_task_group() as tasks:
                self.tasks = tasks
                yield self
                for downstream in self.downstreams.values():
                    for link in downstream.links:
                        link.stop()
                tasks.cancel_scope.cancel()
        finally:
            self.tasks, self._started = None, False
            self._reaper.close()
            self.journal.close()

    def start(self, mode: Mode = "auto") -> None:
        """Start all servers at once, unless that was done. `legacy` where only such hosts will come."""
        if self._started or self.tasks is None:
            return
        self._started = True
        self._last_up = anyio.current_time()
        for downstream in self.downstreams.values():
            downstream.start(self.tasks, mode)

    async def settled(self) -> None:
        """Wait until every server is up or has failed once, or none has come up, nor visibly worked on its
        start, for the list patience. Whoever comes later is announced with list_changed.
        """
        self.start()
        await self._wait_for_servers()
        self._listed = True

    async def _wait_for_servers(self) -> None:
        with anyio.move_on_after(self.settings.start_timeout):
            while not all(downstream.primary.settled for downstream in self.downstreams.values()):
                deadline = self._last_up + self.settings.list_patience if self._known else float("inf")
                with anyio.CancelScope(deadline=deadline) as patience:
                    await self._news.wait()
                if patience.cancelled_caught:
                    # Every one is asked: the answer is about the time since it was last asked.
                    working = [item.primary.is_working() for item in self.downstreams.values()]
                    if not any(working):
                        return
                    self._last_up = anyio.current_time()

    def catalogue(self, *, modern: bool, only: str | None = None) -> Catalogue:
        """What a host of that era sees: of all servers that are up, or of one, without a prefix."""
        if (known := self._catalogues.get((modern, only))) is not None:
            return known
        chosen = [self.downstreams[only]] if only else list(self.downstreams.values())
        listings = [found for item in chosen if self._started and (found := item.listing(modern=modern))]
        if only:
            listings = [replace(listing, prefix="") for listing in listings]
        composed = self._catalogues[modern, only] = compose(listings)
        return composed

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

    def report(self) -> dict[str, Any]:
        """The state of every server, as `/health/ready`, `pygent doctor` and `pygent://servers` show it."""
        servers = {name: _described(item) for name, item in self.downstreams.items() if self._started}
        for bad in self.config.bad:
            servers[bad.name] = {"state": "unusable", "why": bad.why}
        settled = self._started and all(item.primary.settled for item in self.downstreams.values())
        return {"ready": settled, "servers": servers}

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """For our own servers: any other server's tool, by its shown name (`pygent_shared.peers`)."""
        await self.settled()
        targets = self.catalogue(modern=True).tool_targets
        if name not in targets:
            raise UnknownName("tool", name, targets)
        link = await self.link(targets[name].server, modern=True)
        return await link.request("tools/call", {"name": targets[name].name, "arguments": arguments})

    def _downstream(self, name: str) -> Downstream:
        entry = next(entry for entry in self.config.entries if entry.name == name)

        def new_link(mode: Mode) -> Link:
            def connect(output: Output) -> Any:
                return transport(entry, self.settings, self, output, self._reaper)

            events = Events(
                changed=self._changed,
                list_changed=self._list_changed,
                notified=lambda message: self._notify(link, message),
                asked=lambda method, params: self.ask(link, method, params),
            )
            link = Link(entry=entry, settings=self.settings, mode=mode, connect=connect, events=events)
            return link

        return Downstream(entry=entry, new_link=new_link)

    def _changed(self) -> None:
        """Some link changed: what was composed is stale, and whoever waits looks again."""
        started = [item for item in self.downstreams.values() if item.started]
        known = {item.entry.name for item in started if item.primary.listing is not None}
        lists_moved = known != self._known
        if lists_moved:
            self._last_up = anyio.current_time()
        self._known = known
        self._catalogues.clear()
        news, self._news = self._news, anyio.Event()
        news.set()
        # Before anybody has asked for a list there is nothing that could have changed.
        if lists_moved and self._listed and self.tasks is not None:
            for kind in ("tools", "prompts", "resources"):
                self.tasks.start_soon(partial(self._list_changed, kind))

    async def _list_changed(self, kind: str) -> None:
        for tell in self.list_changed:
            await tell(kind)

    async def _notify(self, link: Link, message: Any) -> None:
        for tell in self.notified:
            await tell(link, message)


async def _nobody_to_ask(link: Link, method: str, params: Any) -> Any:
    return t.ErrorData(code=t.INVALID_REQUEST, message=f"{method}: no host is connected")


def _described(item: Downstream) -> dict[str, Any]:
    link = item.primary
    described: dict[str, Any] = {"kind": item.entry.kind, "state": link.state}
    if link.state == "ready":
        listing = item.primary.listing
        described["tools"] = len(listing.tools) if listing else 0
        described["era"] = "2026" if link.modern else "2025"
    else:
        described["why"] = link.why or "is starting"
    if link.output.pid is not None:
        described["pid"] = link.output.pid
    if link.starts > 1:
        described["starts"] = link.starts
    return described
