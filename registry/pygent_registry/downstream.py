"""One server behind the registry: its entry, and a link in each protocol era that hosts have asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import anyio
from anyio.abc import TaskGroup

from pygent_registry.catalogue import Listing
from pygent_registry.entry import Entry
from pygent_registry.life import Mode
from pygent_registry.link import Link
from pygent_shared import traces
from pygent_shared.errors import ServerUnavailable


@dataclass(kw_only=True)
class Downstream:
    """A server that speaks both eras may offer different tools in each, so a host is given a link of its own
    era where the server has one, and is bridged where it has not. Our own servers are alike in both.
    """

    entry: Entry
    new_link: Callable[[Mode], Link]
    remembered: Mapping[bool, Listing] = field(default_factory=dict)
    """What it listed when it was last up, by whether that was in the 2026 era."""
    links: list[Link] = field(default_factory=list)
    _primary: Link | None = None
    _one_era: bool = False
    _opening: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def primary(self) -> Link:
        """The link that was started first: its state is the server's."""
        assert self._primary is not None, "start() comes first"
        return self._primary

    @property
    def started(self) -> bool:
        return self._primary is not None

    def start(self, tasks: TaskGroup, mode: Mode) -> None:
        """Start the first link; `legacy` where it is known that only such hosts will come."""
        self._primary = self._open(tasks, "auto" if self.entry.is_inside else mode)

    def stop(self, because: Literal["", "removed", "edited"] = "") -> None:
        """End every link, and open no other; requests in flight are told what became of the entry."""
        self._one_era = True
        for link in self.links:
            link.stop(because)

    def retry(self) -> None:
        """Start now what waits for its next start."""
        for link in self.links:
            link.retry()

    async def link(self, tasks: TaskGroup, *, modern: bool) -> Link:
        """The best link for a host of that era: of the same era where the server has it.

        Raises:
            ServerUnavailable: the server is down.
        """
        await self.primary.client()
        if self.primary.modern == modern or self._has_one_era():
            return self.primary
        async with self._opening:
            other = next((link for link in self.links if link is not self._primary), None)
            if other is None and not self._has_one_era():
                other = self._open(tasks, "auto" if modern else "legacy")
            if other is None:
                return self.primary
            try:
                await other.client()
            except ServerUnavailable:
                # The server is up in one era and refuses the other: bridge from now on.
                return self._only_one(other)
            return other if other.modern == modern else self._only_one(other)

    def _has_one_era(self) -> bool:
        """Whether the other era need not be tried: it was, or the server chose freely and chose this one."""
        chose_legacy = self.primary.mode == "auto" and not self.primary.modern
        return self._one_era or self.entry.is_inside or chose_legacy or self.primary.only_modern

    def listing(self, *, modern: bool) -> Listing | None:
        """What it offers to a host of that era, as last listed: by an earlier process, until it is up.
        None where it was never listed.

        A server that is down for a moment keeps its place: calls to it wait, or say what is wrong.
        """
        for link in self.links:
            if link.listing is not None and link.modern == modern:
                return self._permitted(link.listing)
        known = self.primary.listing or self._recalled()
        return known and self._permitted(known)

    def _permitted(self, listing: Listing) -> Listing:
        """What hosts may know of: what is forbidden is not shown either, and takes nobody's name."""
        return replace(listing, tools=tuple(t for t in listing.tools if self.entry.permits(t["name"])))

    def _recalled(self) -> Listing | None:
        """Of the era that the primary link will probably have, so that hosts see no change when it is up."""
        likely = self.primary.mode == "auto"
        return self.remembered.get(likely) or self.remembered.get(not likely)

    def _open(self, tasks: TaskGroup, mode: Mode) -> Link:
        link = self.new_link(mode)
        self.links.append(link)
        with traces.apart():
            tasks.start_soon(link.run)
        return link

    def _only_one(self, other: Link) -> Link:
        self._one_era = True
        self.links.remove(other)
        other.stop()
        return self.primary
