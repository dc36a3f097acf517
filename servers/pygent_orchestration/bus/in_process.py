"""A bus within one process. What is kept is kept for as long as the process lives."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import anyio

from pygent_orchestration.bus.bus import (
    BEAT_SECONDS,
    KEPT_SECONDS,
    MISSED_BEATS,
    MOST_OF_TOPIC,
    MOST_UNREAD,
    Delivery,
)
from pygent_orchestration.bus.message import AgentMessage, is_name
from pygent_orchestration.bus.refusals import Full, NoReceipt, refuse_large

IN_PROCESS = "in-process"
MOST_UNHEARD = 1_000
"""Messages a listener may be behind by; the oldest go."""
MOST_KNOWN = 10_000
"""Ids of which it is known that they were sent."""


@dataclass(kw_only=True)
class _Kept:
    """What is kept for an address: messages by number, and how far each reader is."""

    messages: OrderedDict[int, AgentMessage] = field(default_factory=OrderedDict)
    read: dict[str, int] = field(default_factory=dict)
    given: dict[str, set[int]] = field(default_factory=dict)
    changed: float = 0.0


class InProcessBus:
    """See `Bus`."""

    kind = IN_PROCESS

    def __init__(self, *, most: int = MOST_UNREAD, seconds: float = KEPT_SECONDS) -> None:
        self.id = uuid4().hex
        self._most = most
        self._seconds = seconds
        self._last = 0
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._listeners: dict[asyncio.Event, tuple[tuple[str, ...], deque[Delivery]]] = {}
        self._news = asyncio.Event()
        self._beats: dict[str, tuple[float, AgentMessage]] = {}

    async def send(self, message: AgentMessage) -> bool:
        refuse_large(message)
        receipt = ""
        if message.is_kept:
            if message.id in self._known:
                return False
            receipt = self._keep(message)
            self._known[message.id] = None
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        elif message.type == "HEARTBEAT":
            self._beats[message.sender] = (time.monotonic(), message)
        for heard, (addresses, behind) in self._listeners.items():
            if message.recipient in addresses:
                behind.append(Delivery(message=message, receipt=receipt))
                heard.set()
        return True

    @asynccontextmanager
    async def listening(self, *addresses: str) -> AsyncIterator[AsyncIterator[Delivery]]:
        heard, behind = asyncio.Event(), deque[Delivery](maxlen=MOST_UNHEARD)
        self._listeners[heard] = (addresses, behind)

        async def each() -> AsyncIterator[Delivery]:
            while True:
                await heard.wait()
                while behind:
                    yield behind.popleft()
                heard.clear()

        try:
            yield each()
        finally:
            del self._listeners[heard]

    async def receive(
        self, reader: str, *, topics: Sequence[str] = (), within: float = 0.0, most: int = 50
    ) -> list[Delivery]:
        for address in (reader, *topics):
            kept = self._at(address)
            kept.read.setdefault(reader, 0 if address == reader else self._last)
        with anyio.move_on_after(within):
            while not (found := self._given(reader, (reader, *topics), most)):
                self._news.clear()
                await self._news.wait()
            return found
        return []

    async def done(self, reader: str, receipts: Sequence[str]) -> None:
        for receipt in receipts:
            address, _, number = receipt.rpartition("|")
            kept = self._kept.get(address)
            if kept is None or not number.isdigit() or int(number) > self._last:
                raise NoReceipt(receipt)
            kept.given.get(reader, set()).discard(int(number))
            if is_name(address):
                kept.messages.pop(int(number), None)

    async def present(self) -> list[AgentMessage]:
        now = time.monotonic()
        return [beat for at, beat in self._beats.values() if now - at < BEAT_SECONDS * MISSED_BEATS]

    async def close(self) -> None:
        self._beats.pop(self.id, None)

    def _at(self, address: str) -> _Kept:
        now = time.monotonic()
        while self._kept and now - next(iter(self._kept.values())).changed > self._seconds:
            self._kept.popitem(last=False)
        kept = self._kept.setdefault(address, _Kept())
        kept.changed = now
        self._kept.move_to_end(address)
        return kept

    def _keep(self, message: AgentMessage) -> str:
        kept = self._at(message.recipient)
        if is_name(message.recipient):
            if len(kept.messages) >= self._most:
                raise Full(message.recipient, self._most)
        elif len(kept.messages) >= MOST_OF_TOPIC:
            oldest, _ = kept.messages.popitem(last=False)
            for given in kept.given.values():
                given.discard(oldest)
        self._last += 1
        kept.messages[self._last] = message
        self._news.set()
        return f"{message.recipient}|{self._last}"

    def _given(self, reader: str, addresses: Sequence[str], most: int) -> list[Delivery]:
        """What is given to a reader now, which is noted."""
        found: list[Delivery] = []
        for again in (True, False):
            for address in addresses:
                for number, message in list(self._unread(reader, address, again=again)):
                    if len(found) == most:
                        return found
                    kept = self._kept[address]
                    kept.given.setdefault(reader, set()).add(number)
                    kept.read[reader] = max(kept.read[reader], number)
                    found.append(Delivery(message=message, receipt=f"{address}|{number}"))
        return found

    def _unread(self, reader: str, address: str, *, again: bool) -> Iterator[tuple[int, AgentMessage]]:
        kept = self._kept[address]
        given = kept.given.get(reader, set())
        for number, message in kept.messages.items():
            if number in given if again else number > kept.read[reader]:
                yield number, message
