"""How a run borrows the host's own model, by whichever way this host allows. All of them drive the same run.

(a) The host samples, 2025 era: it is asked in the middle of the call.
(b) The host samples, 2026 era: the call is answered with what is needed, and made again with the reply.
(c) It does neither: the tool's result says what is needed, and the host's model answers with `continue_run`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import mcp.types as t
from mcp.server.mcpserver import Context
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from pygent_factory.runs import Need, Question, Run, Runs

KEY = "completion"
QUESTION = "question"
RUN = "pygent/run"
"""The `_meta` key of a result that asks the user: the run as it stands, for programs."""


async def followed(
    runs: Runs, run: str, context: Context[Any], wait_s: float, seen: int | None = None
) -> Run | Need | Question | t.InputRequiredResult:
    """A run to its end, or as far as this host and the time allow."""
    modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
    number = runs.answered(run)
    reported = 0

    async def report(at: Sequence[str]) -> None:
        nonlocal reported
        for text in at[reported:]:
            reported += 1
            await context.report_progress(reported, message=text)

    while True:
        found = await runs.follow(run, number, wait_s, report, seen=seen)
        if isinstance(found, Question) and not modern and can_ask(context, found):
            await runs.elicited(run, found.number, await _asked(context, found))
            continue
        if isinstance(found, Run | Question) or not _samples(context):
            return found
        if modern:
            asked: Any = {KEY: t.CreateMessageRequest(params=_params(found))}
            state = json.dumps({"run": run, "number": number})
            return t.InputRequiredResult(input_requests=asked, request_state=state)
        said = await context.session.create_message(**_arguments(found))
        await runs.answer(run, number, _text(said), said.model)
        number += 1


async def brought(runs: Runs, context: Context[Any]) -> str | None:
    """The run that a repeated call goes on with, its reply or answer given; None for a new call."""
    if not context.request_state:
        return None
    state = json.loads(context.request_state)
    answered = (context.input_responses or {}).get(QUESTION)
    if isinstance(answered, t.ElicitResult):
        await runs.elicited(state["run"], state["number"], _plain(answered))
    said = (context.input_responses or {}).get(KEY)
    if isinstance(said, t.CreateMessageResult):
        await runs.answer(state["run"], state["number"], _text(said), said.model)
    return str(state["run"])


def asks(context: Context[Any]) -> bool:
    """Whether this host can ask its user."""
    client = context.session.client_params
    return bool(client and client.capabilities.elicitation is not None)


def can_ask(context: Context[Any], question: Question) -> bool:
    """Whether it can ask its user what a tool of a run asks."""
    client = context.session.client_params
    declared = client.capabilities.elicitation if client else None
    if declared is None or question.elicitation is None:
        return False
    if question.elicitation.get("mode") == "url":
        return declared.url is not None
    return declared.form is not None or declared.url is None


def to_be_asked(question: Question, told: Mapping[str, Any]) -> t.InputRequiredResult:
    """What has a host of the 2026 era ask its user; `told` is the run as it stands."""
    request = t.ElicitRequest.model_validate(
        {"method": "elicitation/create", "params": question.elicitation}, by_name=False
    )
    state = json.dumps({"run": question.run, "number": question.number})
    return t.InputRequiredResult(
        input_requests={QUESTION: request}, request_state=state, _meta={RUN: dict(told)}
    )


async def _asked(context: Context[Any], question: Question) -> dict[str, Any]:
    """What the user of a host of the 2025 era answers."""
    asked = question.elicitation or {}
    session, related = context.session, context.request_id
    if asked.get("mode") == "url":
        id = asked.get("elicitationId") or f"{question.run}-{question.number}"
        return _plain(await session.elicit_url(question.text, asked["url"], id, related))
    return _plain(await session.elicit_form(question.text, asked["requestedSchema"], related))


def _plain(answer: t.ElicitResult) -> dict[str, Any]:
    return answer.model_dump(by_alias=True, mode="json", exclude_none=True, exclude={"meta", "result_type"})


def _samples(context: Context[Any]) -> bool:
    client = context.session.client_params
    return bool(client and client.capabilities.sampling is not None)


def _arguments(need: Need) -> dict[str, Any]:
    messages = [
        t.SamplingMessage(role=message["role"], content=t.TextContent(text=message["text"]))
        for message in need.request["messages"]
    ]
    return {
        "messages": messages,
        "max_tokens": need.request["max_tokens"],
        "system_prompt": need.request["system"] or None,
    }


def _params(need: Need) -> t.CreateMessageRequestParams:
    return t.CreateMessageRequestParams(**_arguments(need))


def _text(said: t.CreateMessageResult) -> str:
    content = said.content if isinstance(said.content, list) else [said.content]
    return "".join(block.text for block in content if isinstance(block, t.TextContent))
