"""Requests over a child's pipe, past the SDK's client: parsed once, and the result passed on as it came.

The SDK keeps the handshake, the lists, notifications, and what the child asks by itself. This takes from the
child's output only what belongs to a request of its own: the answer, and the progress until then.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import anyio
import mcp.types as t
from anyio.abc import TaskGroup
from mcp import MCPError
from opentelemetry import propagate, trace
from pydantic_core import from_json, to_json

from pygent_registry.pipes import Noise
from pygent_shared import traces

log = logging.getLogger(__name__)

Progress = Callable[[float, float | None, str | None], Awaitable[None]]

# Ids count from here: the SDK's own, on the same pipe, count from 1.
FIRST_ID = 1_000_000
CANCEL_SECONDS = 5.0
# Of one request's progress, on the way to its host at a time: what comes meanwhile is left out.
MOST_REPORTS = 50
_CLOSED = t.ErrorData(code=t.CONNECTION_CLOSED, message="Connection closed")
_TRACER = trace.get_tracer(__name__)


@dataclass(kw_only=True)
class _Pending:
    progress: Progress | None
    reports: int = 0
    """Of progress, that are being passed on."""
    outcome: dict[str, Any] | t.ErrorData = field(default_factory=lambda: _CLOSED)
    settled: anyio.Event = field(default_factory=anyio.Event)

    async def report(self, done: float, total: float | None, message: str | None) -> None:
        """Pass a report on; one that cannot be must not end the connection."""
        assert self.progress is not None
        try:
            await self.progress(done, total, message)
        except Exception:
            log.exception("A progress report could not be passed on")
        finally:
            self.reports -= 1

    def settle(self, outcome: dict[str, Any] | t.ErrorData) -> None:
        self.outcome = outcome
        self.settled.set()


class Wire:
    """The requests in flight on one child's pipe.

    Args:
        write: writes one line.
        tasks: where progress is reported on.
    """

    def __init__(self, write: Callable[[bytes], Awaitable[None]], tasks: TaskGroup) -> None:
        self._write, self._tasks = write, tasks
        self._ids = count(FIRST_ID)
        self._pending: dict[int, _Pending] = {}
        self._closed = False
        self._noise = Noise(at=anyio.current_time())
        self.logged: Callable[[dict[str, Any]], Awaitable[None]] | None = None
        """Takes log messages, before the result that comes after them is passed on."""

    async def request(
        self, method: str, params: dict[str, Any], progress: Progress | None = None
    ) -> dict[str, Any]:
        """Send one request and return its result; when cancelled, tell the child.

        Raises:
            MCPError: the child's own error, or CONNECTION_CLOSED.
        """
        number = next(self._ids)
        pending = self._pending[number] = _Pending(progress=progress)
        meta = dict(params.get("_meta") or {})
        if progress is not None:
            meta["progressToken"] = number
        try:
            with _span(method, params, number) as span:
                if span is not None:
                    propagate.inject(meta)
                sent = {**params, "_meta": meta} if meta else params
                await self._asked(pending, id=number, method=method, params=sent)
                if span is not None:
                    _judge(span, pending.outcome)
        finally:
            del self._pending[number]
        if isinstance(pending.outcome, t.ErrorData):
            raise MCPError.from_error_data(pending.outcome)
        return pending.outcome

    def takes(self, line: bytes) -> bool:
        """Whether this line of the child's is ours: an answer to a request sent here, or its progress."""
        self._noise.heard(anyio.current_time())
        try:
            message = from_json(line)
        except ValueError:
            return False
        match message:
            case {"method": "notifications/progress", "params": dict() as report}:
                return self._reported(report)
            case {"method": "notifications/message", "params": dict() as said} if self.logged is not None:
                self._tasks.start_soon(_contained, self.logged, said)
                return True
            case {"method": _}:
                return False
            case {"jsonrpc": "2.0", "id": asked, "result": dict() as result}:
                return self._answered(asked, result)
            case {
                "jsonrpc": "2.0",
                "id": asked,
                "error": {"code": int() as code, "message": str() as why, **more},
            }:
                return self._answered(asked, t.ErrorData(code=code, message=why, data=more.get("data")))
            case _:
                return False

    async def pause(self) -> None:
        """Wait before the child is read on, if it says much more than anybody asked for."""
        if seconds := self._noise.wait():
            await anyio.sleep(seconds)

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        for pending in self._pending.values():
            pending.settled.set()

    async def _asked(self, pending: _Pending, **message: Any) -> None:
        """Send a request and wait until it is settled."""
        try:
            await self._send(**message)
            await pending.settled.wait()
        except anyio.get_cancelled_exc_class():
            # Also when it was cancelled while being written: it may have arrived.
            reason = {"requestId": message["id"], "reason": "caller cancelled"}
            with anyio.move_on_after(CANCEL_SECONDS, shield=True), suppress(MCPError):
                await self._send(method="notifications/cancelled", params=reason)
            raise

    async def _send(self, **message: Any) -> None:
        if self._closed:
            raise MCPError.from_error_data(_CLOSED)
        try:
            await self._write(to_json({"jsonrpc": "2.0", **message}) + b"\n")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            raise MCPError.from_error_data(_CLOSED) from error

    def _find(self, number: object) -> _Pending | None:
        if isinstance(number, str) and number.isdecimal():  # some servers answer with the id as a string
            number = int(number)
        return self._pending.get(number) if isinstance(number, int) else None

    def _answered(self, number: object, outcome: dict[str, Any] | t.ErrorData) -> bool:
        if (pending := self._find(number)) is None:
            return False
        if not pending.settled.is_set():
            self._noise.asked_for()
            pending.settle(outcome)
        return True

    def _reported(self, report: dict[str, Any]) -> bool:
        pending = self._find(report.get("progressToken"))
        if pending is None:
            return False
        done, total, message = report.get("progress"), report.get("total"), report.get("message")
        if pending.progress is None or pending.reports >= MOST_REPORTS:
            return True
        if isinstance(done, int | float) and not isinstance(done, bool):
            pending.reports += 1
            self._tasks.start_soon(
                pending.report,
                float(done),
                float(total) if isinstance(total, int | float) else None,
                message if isinstance(message, str) else None,
            )
        return True


async def _contained(tell: Callable[..., Awaitable[None]], *said: Any) -> None:
    """What cannot be passed on must not end the connection."""
    try:
        await tell(*said)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        log.debug("The host that something was to be passed on to has gone")
    except Exception:
        log.exception("A report of progress, or a log message, could not be passed on")


def _span(method: str, params: dict[str, Any], number: int) -> Any:
    """A client's span, named as OpenTelemetry's conventions for MCP have it; none where no spans are made."""
    if not traces.are_on():
        return nullcontext()
    attributes = {"mcp.method.name": method, "jsonrpc.request.id": str(number), "network.transport": "pipe"}
    name = params.get("name")
    if method == "tools/call":
        attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": str(name)}
    elif method == "prompts/get":
        attributes["gen_ai.prompt.name"] = str(name)
    elif isinstance(uri := params.get("uri"), str):
        attributes["mcp.resource.uri"] = uri
    return _TRACER.start_as_current_span(
        f"{method} {name}" if isinstance(name, str) else method,
        kind=trace.SpanKind.CLIENT,
        attributes=attributes,
    )


def _judge(span: trace.Span, outcome: dict[str, Any] | t.ErrorData) -> None:
    """Mark the span of a request that failed. What the server says of it is not for the trace."""
    if isinstance(outcome, t.ErrorData):
        code = str(outcome.code)
        span.set_attributes({"error.type": code, "rpc.response.status_code": code})
        span.set_status(trace.StatusCode.ERROR)
    elif outcome.get("isError") is True:
        span.set_attribute("error.type", "tool_error")
        span.set_status(trace.StatusCode.ERROR)
