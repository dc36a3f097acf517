"""The answer to one POST of streamable HTTP: a JSON body where the result is all there is to say; a stream of
events from the first other message on, or when the result is long in coming.

Both are what the specification asks clients to take (2025-11-25 and 2026-07-28, Transports).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import anyio
from anyio.abc import TaskGroup
from starlette.types import Send

# Shorter than any proxy's patience, and than most clients' patience for the head of a response.
QUIET_SECONDS = 5.0
JSON = "application/json"
EVENTS = "text/event-stream"
_STREAM = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}


class Reply:
    """Written to by whoever has something to say, and ended once.

    Args:
        send: ASGI's.
        headers: of the response, besides its content's own.
        tasks: where the signs of life of a long call are sent from.
        quiet: seconds without a word after which there is one.
    """

    def __init__(
        self, send: Send, headers: Mapping[str, str], tasks: TaskGroup, quiet: float = QUIET_SECONDS
    ) -> None:
        self._send, self._headers, self._tasks, self._quiet = send, headers, tasks, quiet
        self._writing = anyio.Lock(fast_acquire=True)
        self._streaming = False
        self.ended = False
        """Whether nothing more is written."""
        self._done = anyio.Event()
        self._timer = self._later()

    async def send(self, event: bytes) -> None:
        """Something before the result: an event, framed."""
        async with self._writing:
            if self.ended:
                return
            if not self._streaming:
                self._streaming = True
                await self._head(200, EVENTS, _STREAM)
            await self._body(event, more=True)

    async def end(self, message: bytes, status: int = 200) -> None:
        """The result, or the error in its place: the message's JSON."""
        async with self._writing:
            if self.ended:
                return
            self._end()
            try:
                if self._streaming:
                    await self._body(framed(message), more=False)
                else:
                    await self._head(status, JSON, {"content-length": str(len(message))})
                    await self._body(message, more=False)
            finally:
                self._done.set()

    async def wait(self) -> None:
        """Until it has been ended."""
        await self._done.wait()

    def abandon(self) -> None:
        """Nobody waits for it any longer: write nothing more."""
        if not self.ended:
            self._end()
            self._done.set()

    def _end(self) -> None:
        self.ended = True
        self._timer.cancel()

    def _later(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._quiet, self._show_life)

    def _show_life(self) -> None:
        self._timer = self._later()
        if not self._writing.locked():  # else a client that reads nothing is being written to
            self._tasks.start_soon(self.send, b": ping\r\n\r\n")

    async def _head(self, status: int, kind: str, more: Mapping[str, str]) -> None:
        headers = {"content-type": kind, **more, **self._headers}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def _body(self, body: bytes, *, more: bool) -> None:
        # A client, or a whole server, that goes away in the middle is no failure of who writes.
        with suppress(OSError, RuntimeError):
            await self._send({"type": "http.response.body", "body": body, "more_body": more})


def framed(message: bytes) -> bytes:
    """The JSON of a message as an event of a stream."""
    return b"event: message\r\ndata: " + message + b"\r\n\r\n"
