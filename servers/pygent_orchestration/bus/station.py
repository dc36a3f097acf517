"""A process's place on the bus: it is known there, says what its work does, and hears what others' does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pygent_orchestration.bus.bus import Bus
from pygent_orchestration.bus.hearing import Hearing, Tell
from pygent_orchestration.bus.in_process import InProcessBus
from pygent_orchestration.bus.post import Post
from pygent_orchestration.bus.presence import Presence


class Station:
    """Begun with the first use, and again after its end.

    Args:
        redis_url: of the Redis that several processes share; empty: there is this process alone.
        describe: what the process is at, for its heartbeats.
    """

    def __init__(self, redis_url: str, describe: Callable[[], dict[str, Any]]) -> None:
        self._bus: Bus
        if redis_url:
            from pygent_orchestration.bus.redis import RedisBus

            self._bus = RedisBus(redis_url)
        else:
            self._bus = InProcessBus()
        self.post = Post(self._bus)
        """What work tells of itself."""
        self.tells: list[Tell] = []
        """Are told of which features and workflows there is news."""
        self._presence = Presence(self._bus, describe)
        self._hearing = Hearing(self._bus, self._told)

    def begin(self) -> None:
        """Have it begun, and do not wait for it."""
        self._presence.begin()
        self._hearing.begin()
        self.post.begin()

    async def bus(self) -> Bus:
        """The bus; this process is known on it then, where it can be reached."""
        self.begin()
        await self._presence.on()
        return self._bus

    async def off(self) -> None:
        """Have it end, and leave the bus."""
        await self.post.off()
        await self._hearing.off()
        await self._presence.off()

    async def _told(self, address: str) -> None:
        for tell in self.tells:
            await tell(address)
