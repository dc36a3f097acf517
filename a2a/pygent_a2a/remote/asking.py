"""An agent's question, put to the host's user: in the 2025 era in the middle of the call, in the 2026 era as
what the call is answered with, to be made again. Where the host asks no users, the question is the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import mcp.types as t
from mcp.server.mcpserver import Context
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, Field

from pygent_a2a.remote.told import Told
from pygent_shared.errors import InvalidArgument

KEY = "answer"
LONGEST_QUESTION = 4000
MOST_ROUNDS = 16
"""Questions of one call; an agent that asks on and on is answered no more by itself."""


class _Form(BaseModel):
    answer: str = Field(description="Your answer to the agent.")


class _State(BaseModel):
    """What a repeated call goes on from."""

    task: str
    context: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the user did with a question; `text` is the answer, where that is an answer."""

    task: str
    context: str
    action: Literal["accept", "decline", "cancel"]
    text: str = ""


def can_ask(context: Context[Any]) -> bool:
    """Whether the host can put a form to its user."""
    declared = context.client_capabilities
    found = declared.elicitation if declared else None
    return bool(found and (found.form or not found.url))


async def asked(context: Context[Any], told: Told) -> Reply | t.InputRequiredResult:
    """The user's reply to what the agent asks, or the result by which the host asks."""
    question = told.last_words[:LONGEST_QUESTION] or "The agent needs more input."
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        form = t.ElicitRequestFormParams(message=question, requested_schema=_Form.model_json_schema())
        state = _State(task=told.task_id, context=told.context_id)
        requests: Any = {KEY: t.ElicitRequest(params=form)}
        return t.InputRequiredResult(input_requests=requests, request_state=state.model_dump_json())
    said = await context.elicit(question, _Form)
    text = said.data.answer if said.action == "accept" else ""
    return Reply(task=told.task_id, context=told.context_id, action=said.action, text=text)


def brought(context: Context[Any]) -> Reply | None:
    """The reply that a repeated call brings; None for a new call.

    Raises:
        InvalidArgument: it is none.
    """
    if not context.request_state:
        return None
    said = (context.input_responses or {}).get(KEY)
    try:
        state = _State.model_validate_json(context.request_state)
        if not isinstance(said, t.ElicitResult):
            raise ValueError("no answer to a form")
        text = _Form.model_validate(said.content).answer if said.action == "accept" else ""
    except ValueError as error:
        raise InvalidArgument("requestState", "is not of this tool", "Call it anew") from error
    return Reply(task=state.task, context=state.context, action=said.action, text=text)
