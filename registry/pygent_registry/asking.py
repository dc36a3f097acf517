"""Questions of servers, put to hosts: what `questions.py` allows and the host has declared, not too often,
and for no longer than the call that they belong to.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import mcp.types as t
from mcp import MCPError
from mcp.shared.message import ServerMessageMetadata
from pydantic import ValidationError

from pygent_registry import questions
from pygent_registry.calls import Call, Context, Question
from pygent_registry.link import Link
from pygent_registry.questions import Asked

if TYPE_CHECKING:
    from pygent_registry.registry import Registry

_REQUESTS: dict[str, Any] = {
    "sampling/createMessage": t.CreateMessageRequest,
    "elicitation/create": t.ElicitRequest,
    "roots/list": t.ListRootsRequest,
}


class Asking:
    """Asks the hosts of one front for the servers of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def admitted(self, link: Link, context: Context, asked: Asked) -> Asked:
        """The question as it may be put to the host.

        Raises:
            NotAllowed, TooMany: the server may not ask it, or not so often.
            MCPError: the host has not declared that it can answer.
        """
        name = link.entry.name
        if asked["method"] not in questions.OF_METHOD:
            raise MCPError(
                t.INTERNAL_ERROR, f'Server "{name}" asked "{asked["method"]}", which nobody can answer'
            )
        questions.check(link.entry, asked)
        if missing := questions.lacking(context.session.client_capabilities, asked):
            kind = questions.OF_METHOD[asked["method"]]
            raise MCPError(
                t.MISSING_REQUIRED_CLIENT_CAPABILITY,
                f'Server "{name}" asked for {kind}, and this host has not declared that it can answer',
                {"requiredCapabilities": missing},
            )
        if not link.entry.is_believed and asked["method"] != "roots/list":
            now = anyio.current_time()
            self._registry.questions.check(name, now)
            self._registry.questions.take(name)
        return questions.labelled(name, asked)

    def shown(self, link: Link, context: Context, error: MCPError) -> MCPError:
        """An error with which a server of the 2025 era has the user open addresses, as it may be passed on.

        Raises:
            NotAllowed, TooMany, MCPError: as `admitted` does.
        """
        code, message, data = error.error.code, error.error.message, error.error.data
        if code != t.URL_ELICITATION_REQUIRED or not isinstance(data, dict):
            return error
        addresses = [item for item in data.get("elicitations") or [] if isinstance(item, dict)]
        asked = [{"method": "elicitation/create", "params": {**item, "mode": "url"}} for item in addresses]
        admitted = [self.admitted(link, context, one)["params"] for one in asked]
        return MCPError(code, message, {**data, "elicitations": admitted})

    async def answer(self, call: Call, asked: Asked) -> Any:
        """The host's answer to a question, which waits no longer than its call and `answer_patience`."""
        seconds = self._registry.settings.answer_patience
        with call.clock.stopped(), _ending_with(call) as scope:
            scope.deadline = anyio.current_time() + seconds
            if call.questions is None:
                return await _ask(call.context, asked)
            question = Question(request=asked)
            await call.questions.send(question)
            await question.answered.wait()
            return question.answer
        raise MCPError(t.INVALID_REQUEST, f"{asked['method']}: nobody answered while the call was waiting")


async def _ask(context: Context, asked: Asked) -> Any:
    """Ask a host of the 2025 era, on the call that the question belongs to."""
    params = asked.get("params")
    if params and params.get("mode") == "url" and "elicitationId" not in params:
        # That era requires one; the other has none.
        asked = {**asked, "params": {**params, "elicitationId": secrets.token_hex(16)}}
    try:
        return await context.session.send_request(
            _REQUESTS[asked["method"]].model_validate(asked, by_name=False),
            result_type(asked),
            metadata=ServerMessageMetadata(related_request_id=context.request_id),
        )
    except ValidationError as error:
        raise MCPError(
            t.INVALID_PARAMS, f"{asked['method']}: the question or its answer is not valid"
        ) from error


def result_type(asked: Asked) -> Any:
    """The model of a host's answer to this question."""
    if asked["method"] == "elicitation/create":
        return t.ElicitResult
    if asked["method"] == "roots/list":
        return t.ListRootsResult
    tools = (asked.get("params") or {}).get("tools")
    return t.CreateMessageResultWithTools if tools else t.CreateMessageResult


@contextmanager
def _ending_with(call: Call) -> Iterator[anyio.CancelScope]:
    """A scope that is cancelled when the call ends."""
    with anyio.CancelScope() as scope:
        call.asking.add(scope)
        try:
            yield scope
        finally:
            call.asking.discard(scope)
