"""What a bus does, whichever carries it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from pygent_orchestration.bus.message import AgentMessage

KEPT_SECONDS = 7 * 86_400
"""After the last message to somebody, unread ones are kept for so long."""
MOST_UNREAD = 10_000
"""Messages to one recipient; further ones are refused until some are dealt with."""
MOST_OF_TOPIC = 1_000
"""Messages of one topic that are kept; the oldest go."""
BEAT_SECONDS = 2.0
MISSED_BEATS = 3
"""After so many without a heartbeat, a process is taken for dead."""
PAYLOAD_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A message, and the receipt by which it is said to be dealt with; none where it is not kept."""

    message: AgentMessage
    receipt: str = ""


class Bus(Protocol):
    """A process on it.

    All of it raises ServerUnavailable where what carries it cannot be reached.
    """

    id: str
    """Of this process: its sender's name in heartbeats."""
    kind: str
    """What carries it."""

    async def send(self, message: AgentMessage) -> bool:
        """Send a message; returns whether it is new: one of its id that must arrive is sent once.

        Raises:
            TooMany: its recipient has too many that nobody dealt with.
            InvalidArgument: it is too large.
        """

    def listening(self, *addresses: str) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Hear all that is sent to these addresses from now on, kept or not, as long as somebody listens."""

    async def receive(
        self, reader: str, *, topics: Sequence[str] = (), within: float = 0.0, most: int = 50
    ) -> list[Delivery]:
        """What is kept for a reader, of each address oldest first: first what it was given and has not dealt
        with. Where several processes receive for one reader, each message is given to one; what a dead one
        was given is given to another.

        Args:
            topics: topics, or everybody's address, of which it is given what is sent from the first time on.
            within: seconds to wait where there is nothing.
        """

    async def done(self, reader: str, receipts: Sequence[str]) -> None:
        """What was given by these receipts is dealt with: it is not given again.

        Raises:
            InvalidArgument: one of them is no receipt of this reader's.
        """

    async def present(self) -> list[AgentMessage]:
        """The last heartbeat of each process that is alive."""

    async def close(self) -> None:
        """Leave: what this process was given and has not dealt with is others' now."""
