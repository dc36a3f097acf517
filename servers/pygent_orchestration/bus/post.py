"""What work says of itself on the bus: who is given a task, what came of it, how far it is.

The one rule: work never waits for the bus, and never fails for it. What must arrive is sent again and again
until the bus takes it, for as long as the process lives; what may be lost is lost while the bus is away.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import anyio

from pygent_orchestration.bus.bus import BEAT_SECONDS, Bus
from pygent_orchestration.bus.message import PROGRESS, AgentMessage
from pygent_shared.errors import PygentError, ServerUnavailable

log = logging.getLogger(__name__)

MOST_WAITING = 1_000
"""Messages to be sent; while there are more, none that may be lost is added."""
LAST_SECONDS = 1.0
"""For what is not sent yet when the process ends."""


def agent(name: str) -> str:
    """The address of an agent of the factory."""
    return f"agent/{name}"


def feature(id: str) -> str:
    """The address of a feature."""
    return f"feature/{id}"


def workflow(id: str) -> str:
    """The address of a workflow."""
    return f"workflow/{id}"


def progress(of: str, payload: dict[str, Any], task: str = "") -> AgentMessage:
    """How far a feature or workflow is, or one of its tasks: for whoever listens."""
    return AgentMessage(
        sender=of, recipient=PROGRESS, type="PROGRESS_UPDATE", payload=payload, correlation_id=task
    )


class Post:
    """Sends it, in order, once begun."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: deque[AgentMessage] = deque()
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sending: asyncio.Task[None] | None = None

    def put(self, messages: Iterable[AgentMessage]) -> None:
        """Have messages sent soon. From any thread."""
        for message in messages:
            if message.is_kept or len(self._waiting) < MOST_WAITING:
                self._waiting.append(message)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._news.set)

    def begin(self) -> None:
        """Have it begun."""
        if self._sending is None:
            self._loop = asyncio.get_running_loop()
            self._news.set()
            self._sending = asyncio.create_task(self._send())

    async def off(self) -> None:
        """Have it end."""
        if self._sending is None:
            return
        with anyio.move_on_after(LAST_SECONDS):
            while self._waiting:
                await anyio.sleep(LAST_SECONDS / 100)
        self._sending.cancel()
        with suppress(asyncio.CancelledError):
            await self._sending
        self._sending = self._loop = None
        if left := sum(message.is_kept for message in self._waiting):
            log.warning("%d message(s) that must arrive were not sent: the bus is away", left)

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                message = self._waiting[0]
                try:
                    await self._bus.send(message)
                except ServerUnavailable:
                    if message.is_kept:
                        await anyio.sleep(BEAT_SECONDS)
                        continue
                except PygentError as error:
                    log.warning("%s of %s is not sent: %s", message.type, message.sender, error)
                self._waiting.popleft()
