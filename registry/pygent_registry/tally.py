"""What is counted of the calls: plain numbers since the start, for `/metrics`, `/servers` and `pygent top`.

Pure. Counting is on the way of every call, so it costs a few dictionary look-ups; whatever it takes to show
the numbers is paid by who asks for them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the buckets of a histogram of durations."""
MOST_SERIES = 2000
"""A server may offer another name each time it is asked: names beyond these are counted together."""
OTHERS = "(others)"
MOST_GONE = 100
"""Servers that were removed, and of which what was counted is kept, the latest of them."""
RECENT = 256
"""Durations kept of each server, for its median."""
FAILURES = frozenset({"tool_error", "error", "unavailable", "defect"})
"""Outcomes that are a server's failure, or ours: not the caller's doing."""


@dataclass(kw_only=True)
class Durations:
    """A histogram: how many took how long."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    """By upper bound, not cumulated; the last is for what is longer than all."""
    sum: float = 0.0

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        return sum(self.buckets)


@dataclass(kw_only=True)
class Series:
    """The calls of one tool (or the requests of one other method) of one server."""

    outcomes: Counter[str] = field(default_factory=Counter)
    took: Durations = field(default_factory=Durations)


@dataclass(kw_only=True)
class OfServer:
    """What is counted of one server as a whole."""

    in_flight: int = 0
    waiting: int = 0
    """Calls that wait for a turn (`concurrency`)."""
    waited: Durations = field(default_factory=Durations)
    outcomes: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """By the name of the error."""
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))


Key = tuple[str, str, str]
"""Server, method, and the tool's name as its owner has it ("" for other methods)."""


class Tally:
    """All that is counted of a registry's calls."""

    def __init__(self) -> None:
        self.series: dict[Key, Series] = {}
        self.servers: dict[str, OfServer] = {}

    def of(self, server: str) -> OfServer:
        """What is counted of a server, from now on if not yet."""
        found = self.servers.get(server)
        if found is None:
            found = self.servers[server] = OfServer()
        return found

    def ended(self, key: Key, outcome: str, seconds: float) -> None:
        """A call ended, however it did."""
        series = self.series.get(key)
        if series is None:
            series = self._new(key)
        series.outcomes[outcome] += 1
        series.took.add(seconds)
        whole = self.of(key[0])
        whole.outcomes[outcome] += 1
        whole.recent.append(seconds)

    def forget_the_oldest_but(self, present: Collection[str]) -> None:
        """Drop what is counted of servers that are there no more, but for the last so many of them."""
        gone = [server for server in self.servers if server not in present][:-MOST_GONE]
        for server in gone:
            del self.servers[server]
        self.series = {key: series for key, series in self.series.items() if key[0] not in gone}

    def _new(self, key: Key) -> Series:
        if len(self.series) >= MOST_SERIES:
            key = (key[0], key[1], OTHERS)
        return self.series.setdefault(key, Series())


def quantile(durations: Sequence[float], share: float) -> float | None:
    """The duration that this share of them does not exceed; None where there are none."""
    ordered = sorted(durations)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None
