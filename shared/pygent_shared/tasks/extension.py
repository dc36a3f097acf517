"""The tasks extension over work that is durable without it.

Nothing is kept of a task: its id is a handle of the work, sealed and bound to the caller. So it outlasts the
connection and the process, as the work does, and nobody else's id is good for anything.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import mcp.types as t
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult
from mcp.server.extension import Extension, MethodBinding
from pydantic import ValidationError

from pygent_shared.caller import caller
from pygent_shared.errors import PygentError
from pygent_shared.seal import FOREVER, Seal
from pygent_shared.tasks import wire
from pygent_shared.tasks.wire import Context, TaskParams, UpdateParams
from pygent_shared.tasks.work import Stand, Work

WAIT = "wait_s"
"""The argument of a tool that says how many seconds it waits: a task waits in its place."""
SOON_SECONDS = 0.3
"""What ends so soon is answered with its result."""
POLL_MS = 1000
"""How often a client should look."""


_OFFERED: ContextVar[bool] = ContextVar("offered", default=False)


def is_offered() -> bool:
    """Whether the call in hand may be answered with a task: what it asks of the client is asked there."""
    return _OFFERED.get()


@dataclass(frozen=True, kw_only=True)
class Task:
    """A handle of work, and when a call was answered with it."""

    handle: str
    created: str


class Tasks(Extension):
    """Answers the calls of some tools with tasks, for clients that declare the extension.

    Args:
        work: what the tools begin and wait for.
        tools: their names, with the seconds that each waits where a call does not say. A call that is not to
            wait is answered at once, as ever.
        seal: of the ids.
        soon: seconds within which what ends is no task.
    """

    identifier = wire.EXTENSION

    def __init__(
        self, work: Work, tools: Mapping[str, float], seal: Seal, *, soon: float = SOON_SECONDS
    ) -> None:
        self._work = work
        self._tools = tools
        self._seal = seal
        self._soon = soon

    def methods(self) -> Sequence[MethodBinding]:
        handlers = {wire.GET: self._get, wire.UPDATE: self._update, wire.CANCEL: self._cancel}
        return [
            MethodBinding(
                method=method,
                params_type=wire.PARAMS[method],
                handler=handler,
                protocol_versions=wire.VERSIONS,
            )
            for method, handler in handlers.items()
        ]

    async def intercept_tool_call(
        self, params: t.CallToolRequestParams, ctx: Context, call_next: CallNext
    ) -> HandlerResult:
        arguments = params.arguments or {}
        wait = arguments.get(WAIT, self._tools.get(params.name, 0))
        if not (
            params.name in self._tools
            and wire.is_declared(ctx)
            and isinstance(wait, int | float)
            and wait > 0
        ):
            return await call_next(ctx)
        params.arguments = {**arguments, WAIT: min(wait, self._soon)}
        before = _OFFERED.set(True)
        try:
            result = await call_next(ctx)
        finally:
            _OFFERED.reset(before)
        # An error, and what must be asked before there is work, are no tasks.
        if not isinstance(result, t.CallToolResult) or result.is_error or not result.structured_content:
            return result
        with _told():
            handle = await self._work.handle(result.structured_content)
            stand = await self._look(ctx, handle)
        if stand.is_over:
            return stand.result or result
        task = Task(handle=handle, created=_iso(datetime.now(UTC)))
        return {"resultType": wire.TASK, **self._described(task, stand)}

    async def _get(self, ctx: Context, params: TaskParams) -> HandlerResult:
        task = self._meant(ctx, params)
        with _told():
            stand = await self._look(ctx, task.handle)
        return {**self._described(task, stand), **_outcome(stand)}

    async def _update(self, ctx: Context, params: UpdateParams) -> HandlerResult:
        task = self._meant(ctx, params)
        with _told():
            asked = (await self._look(ctx, task.handle)).asks
            for key in asked.keys() & params.input_responses.keys():
                try:
                    await self._work.answer(task.handle, key, params.input_responses[key])
                except ValidationError as error:
                    raise MCPError(t.INVALID_PARAMS, f'"{key}" is no answer to what was asked') from error
        return {}

    async def _cancel(self, ctx: Context, params: TaskParams) -> HandlerResult:
        task = self._meant(ctx, params)
        with _told():
            await self._work.cancel(task.handle)
        return {}

    async def _look(self, ctx: Context, handle: str) -> Stand:
        return await self._work.look(handle, ctx.session.client_capabilities or t.ClientCapabilities())

    def _meant(self, ctx: Context, params: TaskParams) -> Task:
        wire.check(ctx, params)
        opened = self._seal.open(params.task_id, _bound(), time.time())
        if opened is None:
            raise wire.unknown()
        return Task(**json.loads(opened))

    def _described(self, task: Task, stand: Stand) -> dict[str, Any]:
        return {
            "taskId": self._seal.seal(json.dumps(asdict(task)), _bound(), FOREVER),
            "status": stand.status,
            "createdAt": task.created,
            "lastUpdatedAt": max(task.created, _iso(stand.changed)),
            "ttlMs": None,
            "pollIntervalMs": POLL_MS,
            **({"statusMessage": stand.message} if stand.message else {}),
        }


def _outcome(stand: Stand) -> dict[str, Any]:
    """What a task carries beside its state."""
    match stand.status:
        case "completed":
            return {"result": _dumped(stand.result)}
        case "failed":
            return {"error": _dumped(stand.error)}
        case "input_required":
            return {"inputRequests": {key: _dumped(asked) for key, asked in stand.asks.items()}}
        case _:
            return {}


def _bound() -> str:
    return f"task of {caller()}"


def _dumped(model: Any) -> Any:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextmanager
def _told() -> Iterator[None]:
    """What is raised of ours becomes the protocol's error: there is no tool result to say it in."""
    try:
        yield
    except PygentError as error:
        raise MCPError(t.INVALID_PARAMS, str(error)) from error
