"""The two protocol eras, each way round.

In the 2025 era a server asks its client (for a completion, the user's input, the roots) by a request of its
own, in the middle of a call. In the 2026 era it answers the call with `input_required`, and the client calls
again with the answers. So, host in front and server behind:

    front 2026, back 2026: relayed as it is
    front 2025, back 2025: the server's request is passed to the host on the call it belongs to
    front 2025, back 2026: driven: we ask the host, and call the server again with the answers
    front 2026, back 2025: parked: the call waits here, its question is returned as `input_required`, and the
                           host's next call with the answer lets it go on (it must reach the same process)
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp.types as t
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.shared.message import ServerMessageMetadata
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from pygent_registry.link import Link, Params
from pygent_shared.errors import PygentError

# A model that keeps asking is stuck; the SDK's own client gives up after 10.
MOST_ROUNDS = 32
PARKED_SECONDS = 600.0

RESULTS: dict[str, Any] = {
    "sampling/createMessage": t.CreateMessageResult,
    "elicitation/create": t.ElicitResult,
    "roots/list": t.ListRootsResult,
}
REQUESTS: dict[str, Any] = {
    "sampling/createMessage": t.CreateMessageRequest,
    "elicitation/create": t.ElicitRequest,
    "roots/list": t.ListRootsRequest,
}
OFFERED_AS = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}

Context = ServerRequestContext[Any, Any]


def is_modern(version: str | None) -> bool:
    """Whether a protocol version is of the 2026 era."""
    return version in MODERN_PROTOCOL_VERSIONS


@dataclass(kw_only=True)
class Question:
    """Something a legacy server asked in the middle of a parked call."""

    request: Any
    answer: Any = None
    answered: anyio.Event = field(default_factory=anyio.Event)


@dataclass(kw_only=True, eq=False)
class Call:
    """A host's request on its way to a server."""

    context: Context
    questions: MemoryObjectSendStream[Question] | None = None
    """Where questions go when the host cannot be asked directly (front 2026)."""


@dataclass(kw_only=True)
class Parked:
    """A call that waits for a host's answer."""

    said: MemoryObjectReceiveStream[Any]
    """Questions, and at the end the outcome."""
    scope: anyio.CancelScope
    until: float
    key: str = ""
    open: Question | None = None

    def close(self) -> None:
        """End the call, if it has not ended."""
        self.scope.cancel()
        self.said.close()


class Bridge:
    """Passes requests on, whatever the two eras are."""

    def __init__(self, tasks: Callable[[], TaskGroup | None]) -> None:
        self._tasks = tasks
        self._parked: dict[str, Parked] = {}

    async def pass_on(self, link: Link, method: str, context: Context, params: Params) -> dict[str, Any]:
        """Send a host's request to a server and return the result for that host's era."""
        await link.client()
        front_modern = is_modern(context.protocol_version)
        if front_modern and not link.modern:
            return await self._park(link, method, context, params)
        call = Call(context=context)
        result = await self._request(link, method, params, call)
        if not front_modern:
            result = await self._drive(link, method, params, call, result)
        return result

    async def asked(self, link: Link, method: str, params: Any) -> Any:
        """A legacy server's question, put to the host whose call it came with."""
        if not link.calls:
            return t.ErrorData(
                code=t.INVALID_REQUEST, message=f"{method} came without a call to answer it for"
            )
        if len({_who(call.context) for call in link.calls}) > 1:
            return t.ErrorData(
                code=t.INVALID_REQUEST,
                message=f"{method}: calls of several hosts are in flight, so nobody can tell whom to ask",
            )
        call = link.calls[-1]
        if not _offers(call.context, method):
            return t.ErrorData(code=t.METHOD_NOT_FOUND, message=f"{method}: the host does not offer it")
        request = REQUESTS[method](params=params) if params is not None else REQUESTS[method]()
        try:
            return await self._ask(call, request)
        except MCPError as error:
            return error.error

    def close(self) -> None:
        """End every parked call: nobody is left to answer."""
        while self._parked:
            self._parked.popitem()[1].close()

    async def _request(self, link: Link, method: str, params: Params, call: Call) -> dict[str, Any]:
        link.calls.append(call)
        try:
            return await link.request(
                method,
                params,
                progress=call.context.session.report_progress,
                capabilities=_capabilities(call.context) if link.modern else None,
            )
        finally:
            link.calls.remove(call)

    async def _drive(
        self, link: Link, method: str, params: Params, call: Call, result: dict[str, Any]
    ) -> dict[str, Any]:
        for _ in range(MOST_ROUNDS):
            if result.get("resultType") != "input_required":
                return result
            asked = t.InputRequiredResult.model_validate(result, by_name=False)
            more: dict[str, Any] = {"inputResponses": await self._answers(call, asked)}
            if asked.request_state is not None:
                more["requestState"] = asked.request_state
            result = await self._request(link, method, {**params, **more}, call)
        raise MCPError(
            t.INTERNAL_ERROR, f'Server "{link.entry.name}" asked {MOST_ROUNDS} times without a result'
        )

    async def _answers(self, call: Call, asked: t.InputRequiredResult) -> dict[str, Any]:
        answers: dict[str, Any] = {}

        async def answer(key: str, request: Any) -> None:
            given = await self._ask(call, request)
            answers[key] = given.model_dump(by_alias=True, mode="json", exclude_none=True)

        async with anyio.create_task_group() as asking:
            for key, request in (asked.input_requests or {}).items():
                asking.start_soon(answer, key, request)
        return answers

    async def _ask(self, call: Call, request: Any) -> Any:
        """The host's answer to a server's question."""
        if call.questions is not None:
            question = Question(request=request)
            await call.questions.send(question)
            await question.answered.wait()
            return question.answer
        return await call.context.session.send_request(
            request,
            RESULTS[request.method],
            metadata=ServerMessageMetadata(related_request_id=call.context.request_id),
        )

    # Front 2026, back 2025.

    async def _park(self, link: Link, method: str, context: Context, params: Params) -> dict[str, Any]:
        self._drop_expired()
        state = params.get("requestState")
        rest = {key: value for key, value in params.items() if key not in ("requestState", "inputResponses")}
        if state is None:
            parked = self._begin(link, method, context, rest)
        else:
            parked = self._resume(state, params.get("inputResponses") or {})
        try:
            outcome = await parked.said.receive()
        except anyio.EndOfStream:
            parked.close()
            raise MCPError(t.CONNECTION_CLOSED, "The call ended without a result") from None
        except anyio.get_cancelled_exc_class():
            parked.close()
            raise
        if isinstance(outcome, Question):
            return self._put_aside(parked, outcome)
        parked.close()
        if isinstance(outcome, MCPError | PygentError):
            raise outcome
        result: dict[str, Any] = outcome
        return result

    def _begin(self, link: Link, method: str, context: Context, params: Params) -> Parked:
        tasks = self._tasks()
        assert tasks is not None, "a call came outside of the registry's life"
        say, said = anyio.create_memory_object_stream[Any](16)
        scope = anyio.CancelScope()
        call = Call(context=context, questions=say)

        async def run() -> None:
            with scope, say:
                try:
                    outcome: Any = await self._request(link, method, params, call)
                except (MCPError, PygentError) as error:
                    outcome = error
                await say.send(outcome)

        tasks.start_soon(run)
        return Parked(said=said, scope=scope, until=0.0)

    def _put_aside(self, parked: Parked, question: Question) -> dict[str, Any]:
        state, parked.key = secrets.token_urlsafe(24), secrets.token_hex(4)
        parked.open, parked.until = question, anyio.current_time() + PARKED_SECONDS
        self._parked[state] = parked
        asked = t.InputRequiredResult(input_requests={parked.key: question.request}, request_state=state)
        return asked.model_dump(by_alias=True, mode="json", exclude_none=True)

    def _resume(self, state: str, responses: dict[str, Any]) -> Parked:
        parked = self._parked.get(state)
        if parked is None or parked.open is None:
            raise MCPError(
                t.INVALID_PARAMS, "This requestState is unknown or has expired; make the call anew"
            )
        given = responses.get(parked.key)
        if given is None:
            raise MCPError(t.INVALID_PARAMS, f'inputResponses lacks the answer to "{parked.key}"')
        del self._parked[state]
        question, parked.open = parked.open, None
        question.answer = RESULTS[question.request.method].model_validate(given, by_name=False)
        question.answered.set()
        return parked

    def _drop_expired(self) -> None:
        now = anyio.current_time()
        for state in [state for state, parked in self._parked.items() if parked.until < now]:
            self._parked.pop(state).close()


def _who(context: Context) -> object:
    """Which host a request came from, as far as a legacy server's question needs to know."""
    return "modern" if is_modern(context.protocol_version) else id(context.session._connection)


def _offers(context: Context, method: str) -> bool:
    """Whether a host can be asked that: one of the 2026 era fails its call when it cannot answer."""
    declared = context.session.client_capabilities
    return declared is None or getattr(declared, OFFERED_AS[method]) is not None


def _capabilities(context: Context) -> dict[str, Any]:
    declared = context.session.client_capabilities
    return declared.model_dump(by_alias=True, mode="json", exclude_none=True) if declared else {}
