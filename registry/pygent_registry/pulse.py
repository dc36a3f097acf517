"""Whether a server that is up still answers.

In doubt are a server that left several requests in a row unanswered until their time was over, one that does
not answer a ping, and one that cannot be reached. It is pinged until it answers anything: then all is well.
One that leaves several pings in a row unanswered is given up, unless it visibly works.

Nobody is pinged while a request is in flight: that has a time limit of its own, and many a server does one
thing at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
from mcp import MCPError

from pygent_registry.output import Output
from pygent_registry.usage import cpu_seconds

MOST_TIMEOUTS = 3
MOST_PINGS = 3
PING_SECONDS = 10.0
LOOK_SECONDS = 5.0
# Processor time that tells a server that works from one that hangs.
WORKING_SECONDS = 0.05


@dataclass(kw_only=True)
class Pulse:
    """The pulse of one connection."""

    ping: Callable[[], Awaitable[object]]
    """Asks for any answer; an error is one."""
    works: Callable[[], bool]
    """Whether it has used the processor since this was last asked."""
    doubted: Callable[[str], None]
    """Told why it is in doubt, in a clause."""
    recovered: Callable[[], None]
    idle: float = float("inf")
    """Seconds without a request after which it is pinged; endless where nobody is to be disturbed."""
    _heard_at: float = field(default_factory=anyio.current_time)
    _in_flight: int = 0
    _timeouts: int = 0
    _pings: int = 0
    _in_doubt: bool = False

    @contextmanager
    def request(self) -> Iterator[None]:
        """While a request is in flight."""
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    def heard(self) -> None:
        """It answered, or reported progress."""
        self._heard_at = anyio.current_time()
        self._timeouts = self._pings = 0
        if self._in_doubt:
            self._in_doubt = False
            self.recovered()

    def timed_out(self) -> None:
        """A request's time was over without an answer."""
        self._timeouts += 1
        if self._timeouts >= MOST_TIMEOUTS:
            self._doubt("has left several requests in a row unanswered")

    def unreachable(self, why: str) -> None:
        """A request could not even be sent."""
        self._doubt(why)

    async def watch(self) -> str:
        """Look after it until it is to be given up; returns why."""
        look = min(LOOK_SECONDS, self.idle)
        patience = min(PING_SECONDS, self.idle)
        while True:
            await anyio.sleep(look)
            is_due = self._in_doubt or anyio.current_time() - self._heard_at >= self.idle
            if self._in_flight or not is_due:
                continue
            if await self._answers(patience):
                self.heard()
                continue
            self._pings += 1
            self._doubt(f"has not answered a ping for {patience:g} s")
            works = self.works()
            if self._pings >= MOST_PINGS and not works:
                return f"left {self._pings} pings in a row unanswered"

    async def _answers(self, patience: float) -> bool:
        with anyio.move_on_after(patience):
            try:
                await self.ping()
            except Unreachable:
                return False
            except MCPError:
                return True  # it refuses, so it lives
            return True
        return False

    def _doubt(self, why: str) -> None:
        self._in_doubt = True
        self.doubted(why)


class Unreachable(Exception):
    """A ping could not even be sent."""


@dataclass(kw_only=True)
class Effort:
    """Whether a server uses the processor."""

    output: Output
    _before: float = 0.0

    def shown(self) -> bool:
        """Whether it has, since this was last asked."""
        if self.output.pid is None:
            return False
        before, self._before = self._before, cpu_seconds(self.output.pid)
        return self._before - before > WORKING_SECONDS
