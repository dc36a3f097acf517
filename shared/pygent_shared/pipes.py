"""This process's stdin and stdout as the two streams of an MCP connection.

While it lasts nobody else has them: descriptor 0 reads as empty, and what is printed to 1 goes to stderr.
The one rule: no thread on the way of a message, because the thread would cost more than the message. Only
what could hold up the event loop goes to one: reading a file, and writing what the pipe has no room for.
"""

from __future__ import annotations

import os
import select
import stat
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import anyio
from anyio import to_thread
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

READ_BYTES = 1 << 16
MOST_BYTES = 64 * 2**20
"""Of one message; a longer one is read past, not kept."""

Incoming = SessionMessage | Exception


@contextmanager
def claimed() -> Iterator[tuple[int, int]]:
    """Descriptors of what was stdin and stdout; both are given back afterwards."""
    wire = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        yield wire
    finally:
        os.close(nothing)
        # Not closed: a thread may still sit in read().
        os.dup2(wire[0], 0)
        os.dup2(wire[1], 1)


class _Stream:
    """What the SDK asks of either stream."""

    async def aclose(self) -> None:
        """Nothing to close: the descriptors are their claimer's."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class Questions(_Stream):
    """What the host sends, a message a line; a line that is none comes as the exception it caused.

    Args:
        descriptor: where from.
        passed: is told each item on its way.
        ended: awaited between the end of the input and the end of this stream.
    """

    def __init__(
        self, descriptor: int, passed: Callable[[Incoming], None], ended: Callable[[], Awaitable[None]]
    ) -> None:
        self._descriptor, self._passed, self._ended = descriptor, passed, ended
        self._lines: deque[bytes | None] = deque()
        self._parts: list[bytes] = []
        self._size = 0
        kind = os.fstat(descriptor).st_mode
        # The others (a file, /dev/null) cannot be waited for.
        self._waits = os.name == "posix" and (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Incoming:
        while not self._lines:
            if not (more := await self._read()):
                if not self._size:
                    await self._ended()
                    raise StopAsyncIteration
                more = b"\n"
            *ends, tail = more.split(b"\n")
            for end in ends:
                self._keep(end)
                line = None if self._size > MOST_BYTES else b"".join(self._parts)
                if line is None or line.strip():
                    self._lines.append(line)
                self._parts, self._size = [], 0
            self._keep(tail)
        item = _parsed(self._lines.popleft())
        self._passed(item)
        return item

    def _keep(self, part: bytes) -> None:
        """One more part of a line; of one that is too long nothing is kept."""
        self._size += len(part)
        if self._size > MOST_BYTES:
            self._parts = []
        elif part:
            self._parts.append(part)

    async def receive(self) -> Incoming:
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise anyio.EndOfStream from None

    async def _read(self) -> bytes:
        if not self._waits:
            return await to_thread.run_sync(os.read, self._descriptor, READ_BYTES, abandon_on_cancel=True)
        await anyio.wait_readable(self._descriptor)
        return os.read(self._descriptor, READ_BYTES)


class Answers(_Stream):
    """What goes to the host.

    Args:
        descriptor: where to.
        passed: is told each message when it is written.
        broken: called when nobody reads any more.
    """

    def __init__(
        self, descriptor: int, passed: Callable[[SessionMessage], None], broken: Callable[[], None]
    ) -> None:
        self._descriptor, self._passed, self._broken = descriptor, passed, broken
        self._writing = anyio.Lock(fast_acquire=True)

    async def send(self, item: SessionMessage) -> None:
        """Write one message whole, even if the sender is cancelled meanwhile.

        Raises:
            BrokenResourceError: nobody reads any more.
        """
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        async with self._writing:
            try:
                if rest := _write_at_once(self._descriptor, line):
                    await to_thread.run_sync(_write, self._descriptor, rest)
            except OSError as error:
                self._broken()
                raise anyio.BrokenResourceError from error
        self._passed(item)


def _parsed(line: bytes | None) -> Incoming:
    if line is None:
        return ValueError(f"a message of more than {MOST_BYTES >> 20} MiB")
    try:
        message = jsonrpc_message_adapter.validate_json(line.decode("utf-8", "replace"), by_name=False)
    except ValueError as error:
        return error
    return SessionMessage(message)


def _write_at_once(descriptor: int, line: bytes) -> bytes:
    """Write what can be written without waiting, and return the rest.

    POSIX: a pipe that polls as writable takes PIPE_BUF bytes at once; a Unix socket takes more.
    """
    if not hasattr(select, "poll"):
        return line
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    while line and room.poll(0):
        line = line[os.write(descriptor, line[: select.PIPE_BUF]) :]
    return line


def _write(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]
