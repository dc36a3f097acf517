"""The user is asked before a tool that the entry names in `approve` is called, whichever era the host speaks.

A host of the 2025 era is sent the question in the middle of its call. One of the 2026 era is answered with
it (`input_required`), and calls again with the answer and with a ticket of ours; where the server then asks
something itself, a ticket goes along with its question too, so that the user is not asked twice.
"""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import mcp.types as t
from mcp import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from pygent_registry.abridge import head_and_tail
from pygent_registry.config import fits
from pygent_registry.policies import EntryOf, Handler, Policy, Request
from pygent_registry.redaction import Redactor
from pygent_shared.errors import InvalidArgument, NotAllowed

ANSWER_SECONDS = 600.0
MOST_TICKETS = 1024
MOST_SHOWN = 1000
KEY = "approval"

_SCHEMA: Any = {"type": "object", "properties": {}}


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A call that waits for its host to come back: which one, and what it waits for."""

    call: str
    until: float
    approved: bool
    """Whether the user has agreed, and it is the server that asked something."""
    state: str | None = None
    """The server's own `requestState`."""


class Tickets:
    """Each is taken once, for the very call that it was given for, and not for ever."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Ticket] = OrderedDict()

    def give(self, ticket: Ticket) -> str:
        state = secrets.token_urlsafe(24)
        self._open[state] = ticket
        if len(self._open) > MOST_TICKETS:
            self._open.popitem(last=False)
        return state

    def take(self, state: object, call: str) -> Ticket:
        """
        Raises:
            InvalidArgument: there is no such ticket for that call.
        """
        ticket = self._open.get(str(state))
        if ticket is None or ticket.call != call or ticket.until < anyio.current_time():
            why = "is unknown, has expired, or is of another call"
            raise InvalidArgument("requestState", why, "Make the call anew.")
        return self._open.pop(str(state))


def ask_first(entry_of: EntryOf, redactor: Callable[[], Redactor]) -> Policy:
    """Let calls of the tools in the entry's `approve` through when the user agrees, each time."""
    tickets = Tickets()

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            if request.tool is None or not fits(request.tool, entry_of(request.server).approve):
                return await handler(request)
            if request.context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
                _accept(request, await _asked(request, _question(request, redactor())))
                return await handler(request)
            call = _call(request)
            if "requestState" not in request.params:
                question = _question(request, redactor())
                state = tickets.give(_ticket(call, approved=False))
                return _input_required(question, state)
            ticket = tickets.take(request.params["requestState"], call)
            if not ticket.approved:
                _accept(request, (request.params.get("inputResponses") or {}).get(KEY))
            result = await handler(_continued(request, ticket))
            if result.get("resultType") != "input_required":
                return result
            own = _ticket(call, approved=True, state=result.get("requestState"))
            return {**result, "requestState": tickets.give(own)}

        return handle

    return policy


def _ticket(call: str, *, approved: bool, state: str | None = None) -> Ticket:
    return Ticket(call=call, until=anyio.current_time() + ANSWER_SECONDS, approved=approved, state=state)


def _call(request: Request) -> str:
    """What must be the same when a host comes back."""
    arguments = request.params.get("arguments")
    return json.dumps([request.caller, request.server, request.tool, arguments], sort_keys=True)


def _question(request: Request, redactor: Redactor) -> t.ElicitRequest:
    """
    Raises:
        NotAllowed: the host cannot ask its user.
    """
    declared = request.context.session.client_capabilities
    form = declared.elicitation if declared else None
    if form is None or (form.form is None and form.url is not None):
        raise NotAllowed(
            f'The tool "{request.name}"',
            "needs the user's approval, and this host cannot ask its user (it has no elicitation)",
            f'Use a host that can, or take it out of "approve" in the entry "{request.server}".',
        )
    arguments = json.dumps(redactor.value(request.params.get("arguments") or {}), ensure_ascii=False)
    shown = head_and_tail(arguments, MOST_SHOWN, " … ")
    message = f'Let "{request.name}" of the server "{request.server}" be called with {shown}?'
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=_SCHEMA))


async def _asked(request: Request, question: t.ElicitRequest) -> Any:
    """The answer of a host of the 2025 era."""
    related = ServerMessageMetadata(related_request_id=request.context.request_id)
    try:
        with anyio.move_on_after(ANSWER_SECONDS):
            answer = await request.context.session.send_request(question, t.ElicitResult, metadata=related)
            return answer.model_dump(by_alias=True, mode="json")
    except MCPError as error:
        cure = f'Mend the host, or take it out of "approve" in the entry "{request.server}".'
        why = f"needs the user's approval, and asking failed: {error}"
        raise NotAllowed(f'The tool "{request.name}"', why, cure) from error
    return None


def _accept(request: Request, answer: Any) -> None:
    """
    Raises:
        NotAllowed: the answer is anything but yes.
    """
    try:
        said = t.ElicitResult.model_validate(answer, by_name=False).action
    except ValidationError:
        said = "cancel"
    if said != "accept":
        why = "was not called: the user declined" if said == "decline" else "was not called: nobody agreed"
        raise NotAllowed(f'The tool "{request.name}"', why, "Do without it, or ask the user why.")


def _input_required(question: t.ElicitRequest, state: str) -> dict[str, Any]:
    asked = t.InputRequiredResult(input_requests={KEY: question}, request_state=state)
    return asked.model_dump(by_alias=True, mode="json", exclude_none=True)


def _continued(request: Request, ticket: Ticket) -> Request:
    """The request as its server is to get it: with its own state, and without what was for us."""
    ours = ("requestState",) if ticket.approved else ("requestState", "inputResponses")
    params = {key: value for key, value in request.params.items() if key not in ours}
    if ticket.state is not None:
        params["requestState"] = ticket.state
    return request.with_params(params)
