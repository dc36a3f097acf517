"""Serving this process's stdin and stdout.

The one rule: what was asked before stdin ended is answered. The SDK cancels requests in hand when its input
ends, so the end reaches it only after their answers (or after LAST_ANSWERS_SECONDS).
"""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import (
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from pygent_shared.ending import end_within, told_to_end
from pygent_shared.errors import InvalidArgument
from pygent_shared.settings import Settings

LAST_ANSWERS_SECONDS = 10.0
UNWIND_SECONDS = 2.0

# Answered only by its end, so nothing to wait for.
_ENDLESS = "subscriptions/listen"

Incoming = SessionMessage | Exception


async def serve_stdio(server: Server[Any], settings: Settings) -> None:
    """Serve until stdin ends, a signal comes, or the process that started this one is gone.

    Raises:
        InvalidArgument: stdin or stdout is closed.
    """
    if not (sys.stdin and sys.stdout):
        raise InvalidArgument("transport", "stdio needs stdin and stdout open", "Use: --transport http")
    with_parent = settings.exit_with_parent != "no"
    try:
        async with stdio_server() as (read, write):
            try:
                input_ended = await _serve(server, read, write, with_parent)
            except anyio.get_cancelled_exc_class():
                input_ended = False  # the SDK gave up: nobody reads stdout
            if not input_ended:
                # All of ours is closed by now, but a thread sits in read(0) and cannot be cancelled.
                _exit()
    except* BrokenPipeError:
        _exit()


def _exit() -> None:
    sys.stderr.flush()
    os._exit(0)


async def _serve(server: Server[Any], read: Any, write: Any, with_parent: bool) -> bool:
    """Serve one connection; whether its input ended, and not something else before."""
    to_server, from_host = anyio.create_memory_object_stream[Incoming](0)
    to_host, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    asked = _Asked()
    # Redirected, because what a tool prints might lie in Python's buffer until stdout is the wire again.
    with redirect_stdout(sys.stderr):
        async with anyio.create_task_group() as relay:
            relay.start_soon(asked.answers, from_server, write)
            async with anyio.create_task_group() as watchers:
                with anyio.CancelScope() as serving:
                    watchers.start_soon(_end_when_told, serving, with_parent)
                    watchers.start_soon(asked.questions, read, to_server)
                    await server.run(from_host, to_host, server.create_initialization_options())
                watchers.cancel_scope.cancel()
    return not serving.cancelled_caught


async def _end_when_told(serving: anyio.CancelScope, with_parent: bool) -> None:
    await told_to_end(with_parent=with_parent)
    end_within(UNWIND_SECONDS)
    serving.cancel()


class _Asked:
    """The requests that were read and are not answered yet, told apart by the two streams they pass."""

    def __init__(self) -> None:
        self._open: set[RequestId | None] = set()
        self._last: anyio.Event | None = None

    async def questions(self, read: Any, to_server: MemoryObjectSendStream[Incoming]) -> None:
        """Hand on what the host sends, and its end once all is answered."""
        async with to_server:
            async for item in read:
                if isinstance(item, SessionMessage):
                    self._note(item.message)
                await to_server.send(item)
            if self._open:
                self._last = anyio.Event()
                with anyio.move_on_after(LAST_ANSWERS_SECONDS):
                    await self._last.wait()
        end_within(UNWIND_SECONDS)

    async def answers(self, from_server: MemoryObjectReceiveStream[SessionMessage], write: Any) -> None:
        """Hand on what the server sends."""
        async with write:
            async for item in from_server:
                await write.send(item)
                match item.message:
                    case JSONRPCResponse(id=answered) | JSONRPCError(id=answered):
                        self._settle(answered)

    def _note(self, message: JSONRPCMessage) -> None:
        match message:
            case JSONRPCRequest(id=asked, method=method) if method != _ENDLESS:
                self._open.add(asked)
            case JSONRPCNotification(
                method="notifications/cancelled", params={"requestId": int() | str() as cancelled}
            ):
                self._settle(cancelled)

    def _settle(self, request: RequestId | None) -> None:
        self._open.discard(request)
        if self._last and not self._open:
            self._last.set()
