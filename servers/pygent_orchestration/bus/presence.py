"""A process on the bus says that it is alive, and what it is at, by heartbeats."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio

from pygent_orchestration.bus.bus import BEAT_SECONDS, Bus
from pygent_orchestration.bus.message import EVERYBODY, AgentMessage
from pygent_shared.errors import PygentError

log = logging.getLogger(__name__)


class Presence:
    """Sends them, once begun. A bus that cannot be reached is tried again with each.

    Args:
        describe: what a heartbeat says.
    """

    def __init__(self, bus: Bus, describe: Callable[[], dict[str, Any]]) -> None:
        self._bus = bus
        self._describe = describe
        self._beating: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._due = asyncio.Event()
        self._said: dict[str, Any] = {}

    def begin(self) -> None:
        """Have it begun, and do not wait for it."""
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat())

    async def on(self) -> None:
        """Have it begun: a heartbeat is sent that says what is so now, if it can be."""
        self.begin()
        if self._describe() != self._said:
            self._tried.clear()
            self._due.set()
        await self._tried.wait()

    async def off(self) -> None:
        """Have it end, and leave the bus."""
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating
            self._beating = None
            self._tried.clear()
            with suppress(PygentError):  # who is not heard is taken for gone soon
                await self._bus.close()

    async def _beat(self) -> None:
        is_heard = True
        while True:
            self._due.clear()
            self._said = self._describe()
            beat = AgentMessage(
                sender=self._bus.id, recipient=EVERYBODY, type="HEARTBEAT", payload=self._said
            )
            try:
                await self._bus.send(beat)
                if not is_heard:
                    log.warning("The bus is back")
                is_heard = True
            except PygentError as error:
                if is_heard:
                    log.warning("No heartbeat is heard, and no message sent, until this is mended: %s", error)
                is_heard = False
            self._tried.set()
            with anyio.move_on_after(BEAT_SECONDS):
                await self._due.wait()
