"""HTTP/1.1 as uvicorn reads it with httptools, in half the time of h11, and with what that leaves out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from httptools import HttpParserError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pygent_shared.http.joined import JoinedWrites

# As h11 has it: more than any client of ours sends, and nobody fills the memory with it.
LARGEST_HEAD = 1 << 16
MOST_HEADERS = 200

LOSS = "pygent.loss"
"""Where the scope of a request holds the `Loss` of its connection."""


class Loss:
    """Of a connection: calls who wants to know of it, without a task that waits for it."""

    def __init__(self) -> None:
        self._calls: set[Callable[[], None]] = set()
        self._happened = False

    @contextmanager
    def calls(self, call: Callable[[], None]) -> Iterator[None]:
        """Have it called should the connection be lost before the end of the block, or be so already."""
        if self._happened:
            call()
        self._calls.add(call)
        try:
            yield
        finally:
            self._calls.discard(call)

    def happen(self) -> None:
        self._happened = True
        for call in list(self._calls):
            call()


class Http(HttpToolsProtocol):
    """One connection. A head has an end, and a header's value no blanks around it (RFC 9110, section 5.5).

    One that its client reset is let go at once, not when its keep-alive has run out: hosts of the 2025 era
    reset one with every call.
    """

    _head = _fields = 0
    _in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(JoinedWrites(transport, self.loop))
        self._loss = Loss()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            return
        self._head += len(data)
        if self._head > LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of this request is too large.")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(None)
        self._loss.happen()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[LOSS] = self._loss  # type: ignore[literal-required]
        self._head, self._fields, self._in_head = 0, 0, True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += len(name) + len(value)
        if self._fields > LARGEST_HEAD or len(self.headers) >= MOST_HEADERS:
            raise HttpParserError("The head of this request is too large.")  # uvicorn answers 400
        super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()
