"""The two protocol eras, each way round.

In the 2025 era a server asks its client (for a completion, the user's input, the roots) by a request of its
own, in the middle of a call. In the 2026 era it answers the call with `input_required`, and the client calls
again with the answers. So, host in front and server behind:

    front 2026, back 2026: relayed, the server's `requestState` sealed for the caller and the call
    front 2025, back 2025: the server's request is passed to the host on the call it belongs to
    front 2025, back 2026: driven: we ask the host, and call the server again with the answers
    front 2026, back 2025: parked: the call waits here, its question is returned as `input_required`, and the
                           host's next call with the answer lets it go on (it must reach the same process)

Whatever the way, `questions.py` says what may be asked, and the host must have declared that it can answer.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import anyio
import mcp.types as t
from anyio.streams.memory import MemoryObjectSendStream
from mcp import MCPError
from pydantic import ValidationError

from pygent_registry import calls, chain, questions
from pygent_registry.asking import Asking, result_type
from pygent_registry.audience import Audience
from pygent_registry.calls import ON_BEHALF_OF, Call, Context, Question
from pygent_registry.clock import Clock
from pygent_registry.era import is_modern
from pygent_registry.link import Link, Params
from pygent_registry.parked import UNKNOWN_STATE, Parked, Parking
from pygent_registry.policies import caller_of
from pygent_registry.questions import Asked
from pygent_registry.registry import Registry
from pygent_registry.tasks import Tasks
from pygent_shared.errors import PygentError
from pygent_shared.seal import NAME, Seal
from pygent_shared.tasks import wire

# A model that keeps asking is stuck; the SDK's own client gives up after 10.
MOST_ROUNDS = 32


class Bridge:
    """Passes requests on, whatever the two eras are.

    Args:
        registry: whose servers they go to.
        audience: the hosts they come from.
    """

    def __init__(self, registry: Registry, audience: Audience) -> None:
        self._registry = registry
        self._settings = registry.settings
        self._audience = audience
        self._floor = registry.floor
        self._asking = Asking(registry)
        self._parking = Parking(self._settings.answer_patience)
        self._seal = Seal(self._settings.data_dir / NAME)
        self.tasks = Tasks(self._seal, self._asking)

    async def pass_on(self, link: Link, method: str, context: Context, params: Params) -> dict[str, Any]:
        """Send a host's request to a server and return the result for that host's era."""
        await link.client()
        if not is_modern(context.protocol_version):
            return await self._drive(link, method, params, self._call(context))
        if link.modern:
            return await self._relay(link, method, params, self._call(context))
        return await self._park(link, method, context, params)

    def close(self) -> None:
        """End every parked call."""
        self._parking.close()

    def _call(self, context: Context, questions: MemoryObjectSendStream[Any] | None = None) -> Call:
        return Call(context=context, front=self._audience, questions=questions)

    async def _request(self, link: Link, method: str, params: Params, call: Call) -> dict[str, Any]:
        await self._floor.wait(link, call.host, self._settings.queue_patience)
        link.calls.append(call)
        token = ON_BEHALF_OF.set(call)
        call.clock = Clock()
        try:
            result = await link.request(
                method,
                self._with_level(params, call) if link.modern else params,
                progress=call.report,
                capabilities=_capabilities(link, call.context) if link.modern else None,
                clock=call.clock,
            )
            await call.telling.told()
            is_task = result.get("resultType") == wire.TASK or method == wire.GET
            return self.tasks.shown(link, call.context, result) if is_task else result
        except MCPError as error:
            raise self._asking.shown(link, call.context, error) from None
        finally:
            ON_BEHALF_OF.reset(token)
            link.calls.remove(call)
            self._floor.free(link)
            for scope in call.asking:
                scope.cancel()

    def _with_level(self, params: Params, call: Call) -> Params:
        """In the 2026 era a request says itself which log messages are wanted."""
        if (
            is_modern(call.context.protocol_version)
            or (level := self._registry.levels.of(call.context)) is None
        ):
            return params
        return {**params, "_meta": {**(params.get("_meta") or {}), t.LOG_LEVEL_META_KEY: level}}

    # Questions.

    async def asked(self, link: Link, method: str, params: Any) -> Any:
        """A legacy server's question, put to the host whose call it came with."""
        asked: Asked = {"method": method}
        if params is not None:
            asked["params"] = params.model_dump(by_alias=True, mode="json", exclude_none=True)
        try:
            call = self._meant(link, method)
            asked = self._asking.admitted(link, call.context, asked)
            return await self._asking.answer(call, asked)
        except MCPError as error:
            if error.error.code != t.MISSING_REQUIRED_CLIENT_CAPABILITY:
                return error.error
            # That code is of the other era; in its own this is what a server is told.
            return t.ErrorData(code=t.METHOD_NOT_FOUND, message=error.error.message)
        except PygentError as error:
            return t.ErrorData(code=t.INVALID_REQUEST, message=str(error))

    def waiting(self) -> int:
        """How many calls wait for their host's answer."""
        return len(self._parking)

    def _meant(self, link: Link, method: str) -> Call:
        if call := calls.said_on_stream(link):
            return call
        self._floor.ask(link)
        if call := calls.meant(link):
            return call
        why = "calls of several hosts are in flight, so nobody can tell whom to ask"
        why = why if link.calls else "it came without a call to answer it for"
        raise MCPError(t.INVALID_REQUEST, f"{method}: {why}")

    # Front 2026, back 2026.

    async def _relay(self, link: Link, method: str, params: Params, call: Call) -> dict[str, Any]:
        if "requestState" in params:
            opened = self._seal.open(
                params["requestState"], _bound(link, method, call.context, params), time.time()
            )
            if opened is None:
                raise MCPError(t.INVALID_PARAMS, UNKNOWN_STATE)
            params = {**params, "requestState": opened}
        result = await self._request(link, method, params, call)
        if result.get("resultType") != "input_required":
            return result
        asked = result.get("inputRequests") or {}
        admitted = {key: self._asking.admitted(link, call.context, request) for key, request in asked.items()}
        meta = {**(result.get("_meta") or {}), questions.ASKED_BY: link.entry.name}
        result = {**result, **({"inputRequests": admitted} if admitted else {}), "_meta": meta}
        if isinstance(state := result.get("requestState"), str):
            until = time.time() + self._settings.answer_patience
            result["requestState"] = self._seal.seal(state, _bound(link, method, call.context, params), until)
        return result

    # Front 2025.

    async def _drive(self, link: Link, method: str, params: Params, call: Call) -> dict[str, Any]:
        result = await self._request(link, method, params, call)
        for _ in range(MOST_ROUNDS):
            if result.get("resultType") != "input_required":
                return result
            more: dict[str, Any] = {}
            if asked := result.get("inputRequests"):
                more["inputResponses"] = await self._answers(link, call, asked)
            if "requestState" in result:
                more["requestState"] = result["requestState"]
            result = await self._request(link, method, {**params, **more}, call)
        raise MCPError(
            t.INTERNAL_ERROR, f'Server "{link.entry.name}" asked {MOST_ROUNDS} times without a result'
        )

    async def _answers(self, link: Link, call: Call, asked: dict[str, Asked]) -> dict[str, Any]:
        admitted = {key: self._asking.admitted(link, call.context, request) for key, request in asked.items()}
        answers: dict[str, Any] = {}
        failed: list[MCPError] = []

        async def answer(key: str, request: Asked) -> None:
            try:
                given = await self._asking.answer(call, request)
                answers[key] = given.model_dump(by_alias=True, mode="json", exclude_none=True)
            except MCPError as error:
                failed.append(error)
                asking.cancel_scope.cancel()

        async with anyio.create_task_group() as asking:
            for key, request in admitted.items():
                asking.start_soon(answer, key, request)
        if failed:
            raise failed[0]
        return answers

    # Front 2026, back 2025.

    async def _park(self, link: Link, method: str, context: Context, params: Params) -> dict[str, Any]:
        bound = _bound(link, method, context, params)
        rest = {key: value for key, value in params.items() if key not in ("requestState", "inputResponses")}
        if "requestState" not in params:
            parked = self._begin(link, method, context, rest, bound)
        else:
            parked = self._resume(params["requestState"], bound, params.get("inputResponses") or {})
        try:
            outcome = await parked.said.receive()
            if isinstance(outcome, Question):
                return self._put_aside(link, parked, outcome)
        except anyio.EndOfStream:
            raise MCPError(t.CONNECTION_CLOSED, "The call ended without a result") from None
        finally:
            if parked.open is None:
                parked.close()
        if isinstance(outcome, MCPError | PygentError):
            raise outcome
        result: dict[str, Any] = outcome
        return result

    def _begin(self, link: Link, method: str, context: Context, params: Params, bound: str) -> Parked:
        tasks = self._registry.tasks
        assert tasks is not None, "a call came outside of the registry's life"
        say, said = anyio.create_memory_object_stream[Any](16)
        call = self._call(context, say)
        parked = Parked(caller=caller_of(context), bound=bound, said=said, scope=anyio.CancelScope())

        async def run() -> None:
            try:
                with parked.scope, say:
                    try:
                        outcome: Any = await self._request(link, method, params, call)
                    except (MCPError, PygentError) as error:
                        outcome = error
                    parked.over = True
                    with suppress(anyio.BrokenResourceError):  # its host has gone
                        await say.send(outcome)
            finally:
                self._parking.forget(parked)

        tasks.start_soon(run)
        return parked

    def _put_aside(self, link: Link, parked: Parked, question: Question) -> dict[str, Any]:
        if parked.rounds >= MOST_ROUNDS:
            raise MCPError(
                t.INTERNAL_ERROR, f'Server "{link.entry.name}" asked {MOST_ROUNDS} times without a result'
            )
        return self._parking.put(parked, question, link.entry.name)

    def _resume(self, state: object, bound: str, responses: dict[str, Any]) -> Parked:
        parked, question, given = self._parking.take(state, bound, responses)
        try:
            question.answer = result_type(question.request).model_validate(given, by_name=False)
        except ValidationError as error:
            parked.close()
            method = question.request["method"]
            raise MCPError(t.INVALID_PARAMS, f"The answer is no result of {method}") from error
        question.answered.set()
        return parked


def _bound(link: Link, method: str, context: Context, params: Params) -> str:
    """What must be the same when a host comes back: who, which server, and the very call."""
    same = {key: params[key] for key in ("name", "arguments", "uri", "ref") if key in params}
    return chain.fingerprint([caller_of(context), link.entry.name, method, same])


def _capabilities(link: Link, context: Context) -> dict[str, Any]:
    """What the host can do for this server: what it has declared, without what the server may not ask."""
    declared = context.session.client_capabilities
    if declared is None:
        return {}
    dumped = declared.model_dump(by_alias=True, mode="json", exclude_none=True)
    if not is_modern(context.protocol_version):  # it could not be answered with a task
        dumped.get("extensions", {}).pop(wire.EXTENSION, None)
    kept = link.entry.may_ask
    return {key: value for key, value in dumped.items() if key not in questions.KINDS or key in kept}
