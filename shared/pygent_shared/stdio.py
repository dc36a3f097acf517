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
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from mcp.types import (
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from pygent_shared import traces
from pygent_shared.ending import end_within, told_to_end
from pygent_shared.errors import InvalidArgument
from pygent_shared.pipes import Answers, Incoming, Questions, claimed
from pygent_shared.settings import Settings

LAST_ANSWERS_SECONDS = 10.0
UNWIND_SECONDS = 2.0

# Answered only by its end, so nothing to wait for.
_ENDLESS = "subscriptions/listen"


async def serve_stdio(server: Server[Any], settings: Settings) -> None:
    """Serve until stdin ends, a signal comes, or the process that started this one is gone.

    Raises:
        InvalidArgument: stdin or stdout is closed.
    """
    if not (sys.stdin and sys.stdout):
        raise InvalidArgument("transport", "stdio needs stdin and stdout open", "Use: --transport http")
    with_parent = settings.exit_with_parent != "no"
    # Redirected, because what a tool prints might lie in Python's buffer until stdout is the wire again.
    with claimed() as (stdin, stdout), redirect_stdout(sys.stderr):
        if not await _serve(server, stdin, stdout, with_parent):
            # All of ours is closed by now, but a thread may sit in read() and cannot be cancelled.
            traces.end()
            sys.stderr.flush()
            os._exit(0)


async def _serve(server: Server[Any], stdin: int, stdout: int, with_parent: bool) -> bool:
    """Serve one connection; whether its input ended, and not something else before."""
    asked = _Asked()
    async with anyio.create_task_group() as watchers:
        with anyio.CancelScope() as serving:
            watchers.start_soon(_end_when_told, serving, with_parent)
            questions = Questions(stdin, asked.note, asked.all_answered)
            answers = Answers(stdout, asked.settle, serving.cancel)
            await server.run(questions, answers, server.create_initialization_options())
        watchers.cancel_scope.cancel()
    return not serving.cancelled_caught


async def _end_when_told(serving: anyio.CancelScope, with_parent: bool) -> None:
    await told_to_end(with_parent=with_parent)
    end_within(UNWIND_SECONDS)
    serving.cancel()


class _Asked:
    """The requests that were read and are not answered yet."""

    def __init__(self) -> None:
        self._open: set[RequestId | None] = set()
        self._last: anyio.Event | None = None

    def note(self, item: Incoming) -> None:
        """The host sent this."""
        match item:
            case SessionMessage(message=JSONRPCRequest(id=asked, method=method)) if method != _ENDLESS:
                self._open.add(asked)
            case SessionMessage(
                message=JSONRPCNotification(
                    method="notifications/cancelled", params={"requestId": int() | str() as cancelled}
                )
            ):
                self._settle(cancelled)

    def settle(self, item: SessionMessage) -> None:
        """The host was sent this."""
        match item.message:
            case JSONRPCResponse(id=answered) | JSONRPCError(id=answered):
                self._settle(answered)

    async def all_answered(self) -> None:
        """Wait for the last answers, within bounds."""
        if self._open:
            self._last = anyio.Event()
            with anyio.move_on_after(LAST_ANSWERS_SECONDS):
                await self._last.wait()
        end_within(UNWIND_SECONDS)

    def _settle(self, request: RequestId | None) -> None:
        self._open.discard(request)
        if self._last and not self._open:
            self._last.set()
