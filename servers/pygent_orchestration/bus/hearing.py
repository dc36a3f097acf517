"""Whoever watches a feature or a workflow is told that it went on, wherever the work is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio

from pygent_orchestration.bus.bus import BEAT_SECONDS, Bus
from pygent_orchestration.bus.message import PROGRESS
from pygent_shared.errors import ServerUnavailable

log = logging.getLogger(__name__)

BREATH_SECONDS = 0.1
"""What happens at once is told at once; and by then what was told is written down."""

Tell = Callable[[str], Awaitable[None]]
"""Is told an address of which there is news, such as workflow/ID."""


class Hearing:
    """Listens to progress, once begun, and tells of it.

    Args:
        tell: is told each address once for all that was heard of it within a breath.
    """

    def __init__(self, bus: Bus, tell: Tell) -> None:
        self._bus = bus
        self._tell = tell
        self._listening: asyncio.Task[None] | None = None
        self._changed: set[str] = set()
        self._news = asyncio.Event()

    def begin(self) -> None:
        """Have it begun, and do not wait for it."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._run())

    async def off(self) -> None:
        """Have it end."""
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
            self._listening = None

    async def _run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hear)
            while True:
                await self._news.wait()
                await anyio.sleep(BREATH_SECONDS)
                self._news.clear()
                changed, self._changed = self._changed, set()
                for address in sorted(changed):
                    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # a host that left
                        await self._tell(address)

    async def _hear(self) -> None:
        while True:
            try:
                async with self._bus.listening(PROGRESS) as heard:
                    async for delivery in heard:
                        self._changed.add(delivery.message.sender)
                        self._news.set()
            except ServerUnavailable as error:
                log.info("Progress is not heard for now: %s", error)
            await anyio.sleep(BEAT_SECONDS)
