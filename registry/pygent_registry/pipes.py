"""What a child writes, read so that no child can take more than its share of this process.

Its messages are read whole, up to a limit; its stderr only as far as it is kept. Whoever writes faster than
anybody can use is read with pauses: the pipe fills up, and the child waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass

import anyio
from anyio.abc import ByteReceiveStream

MOST_BYTES = 64 * 2**20
LONGEST_KEPT = 4096
# A pause after each chunk of a flood: about ten megabytes a second are read.
CHUNK_BYTES = 32 * 1024
PAUSE_SECONDS = 0.005
# Whoever left the child's group may hold its pipes open.
DRAIN_SECONDS = 0.5

NOISE_A_SECOND = 500
NOISE_AT_ONCE = 5000

_GONE = (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError)


class LineTooLong(Exception):
    """A child wrote a line that is longer than any message may be."""

    def __init__(self, most: int) -> None:
        super().__init__(f"wrote a message of more than {most / 2**20:g} MiB to stdout")


@dataclass(kw_only=True)
class Noise:
    """Counts the lines that nobody asked for, and says how long to wait before reading on: a token bucket."""

    at: float
    tokens: float = NOISE_AT_ONCE

    def heard(self, now: float) -> None:
        """One more line."""
        gained = max(now - self.at, 0.0) * NOISE_A_SECOND
        self.tokens, self.at = min(self.tokens + gained, NOISE_AT_ONCE) - 1, now

    def asked_for(self) -> None:
        """The last line was no noise."""
        self.tokens += 1

    def wait(self) -> float:
        """Seconds to wait now; nothing for each line alone, as a pause has a price of its own."""
        return -self.tokens / NOISE_A_SECOND if self.tokens <= -NOISE_A_SECOND / 20 else 0.0


async def lines(stream: ByteReceiveStream, most: int) -> AsyncIterator[bytes]:
    """The lines of a pipe that are not blank, without their ends, until it closes.

    Raises:
        LineTooLong: a line has more than `most` bytes.
    """
    parts: list[bytes] = []
    size = 0
    with suppress(*_GONE):
        while True:
            *ended, tail = (await stream.receive()).split(b"\n")
            for end in ended:
                line = b"".join((*parts, end))
                parts.clear()
                size = 0
                if line.strip():
                    yield line
            if tail:
                parts.append(tail)
                size += len(tail)
            if size > most:
                raise LineTooLong(most)


async def keep_tail(stream: ByteReceiveStream, kept: deque[str], hide: Callable[[str], str] = str) -> None:
    """Keep the last lines of a pipe, each up to a length and after `hide`, until it closes."""
    assert kept.maxlen is not None
    rest = b""
    with suppress(*_GONE):
        while True:
            chunk = await stream.receive()
            # What is before the last lines of a chunk is not even taken apart.
            ended = (rest + chunk).rsplit(b"\n", kept.maxlen + 1)
            rest = ended.pop()[:LONGEST_KEPT]
            kept.extend(hide(_text(line)) for line in ended[-kept.maxlen :] if line.strip())
            if len(chunk) >= CHUNK_BYTES:
                await anyio.sleep(PAUSE_SECONDS)
    if rest.strip():
        kept.append(hide(_text(rest)))


async def drain(stream: ByteReceiveStream) -> None:
    """Read what is left of a dead child's pipe: asyncio closes one only at its end, and leaks it before."""
    with suppress(*_GONE), anyio.move_on_after(DRAIN_SECONDS):
        while True:
            await stream.receive()


def _text(line: bytes) -> str:
    return line[:LONGEST_KEPT].removesuffix(b"\r").decode("utf-8", "replace")
