"""How a run borrows the host's own model, by whichever way this host allows. All of them drive the same run.

(a) The host samples, 2025 era: it is asked in the middle of the call.
(b) The host samples, 2026 era: the call is answered with what is needed, and made again with the reply.
(c) It does neither: the tool's result says what is needed, and the host's model answers with `continue_run`.
(d) The host takes tasks, and samples: the run's task asks (`tasks.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import mcp.types as t
from mcp.server.mcpserver import Context
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from pygent_factory.runs import Need, Question, Run, Runs
from pygent_shared.tasks.extension import is_offered
from pygent_shared.tasks.work import takes_forms

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
        if is_offered():  # what it asks is asked in the task
            return found
        if isinstance(found, Question) and not modern and can_ask(declared(context), found):
            await runs.elicited(run, found.number, await _asked(context, found))
            continue
        if isinstance(found, Run | Question) or not _samples(context):
            return found
        if modern:
            asked: Any = {KEY: completion(found)}
            state = json.dumps({"run": run, "number": number})
            return t.InputRequiredResult(input_requests=asked, request_state=state)
        said = await context.session.create_message(**_arguments(found))
        await runs.answer(run, number, text_of(said), said.model)
        number += 1


async def brought(runs: Runs, context: Context[Any]) -> str | None:
    """The run that a repeated call goes on with, its reply or answer given; None for a new call."""
    if not context.request_state:
        return None
    state = json.loads(context.request_state)
    answered = (context.input_responses or {}).get(QUESTION)
    if isinstance(answered, t.ElicitResult):
        await runs.elicited(state["run"], state["number"], plain(answered))
    said = (context.input_responses or {}).get(KEY)
    if isinstance(said, t.CreateMessageResult):
        await runs.answer(state["run"], state["number"], text_of(said), said.model)
    return str(state["run"])


def declared(context: Context[Any]) -> t.ClientCapabilities:
    """What this host can do."""
    client = context.session.client_params
    return client.capabilities if client else t.ClientCapabilities()


def asks(context: Context[Any]) -> bool:
    """Whether this host can ask its user."""
    return declared(context).elicitation is not None


def can_ask(client: t.ClientCapabilities, question: Question) -> bool:
    """Whether a host that declared this can ask its user what a tool of a run asks."""
    if question.elicitation is None or client.elicitation is None:
        return False
    return client.elicitation.url is not None if _is_address(question) else takes_forms(client)


def elicitation(question: Question) -> t.ElicitRequest:
    """What a tool of a run asks its user, as MCP has it."""
    asked = {"method": "elicitation/create", "params": question.elicitation}
    return t.ElicitRequest.model_validate(asked, by_name=False)


def to_be_asked(question: Question, told: Mapping[str, Any]) -> t.InputRequiredResult:
    """What has a host of the 2026 era ask its user; `told` is the run as it stands."""
    state = json.dumps({"run": question.run, "number": question.number})
    return t.InputRequiredResult(
        input_requests={QUESTION: elicitation(question)}, request_state=state, _meta={RUN: dict(told)}
    )


async def _asked(context: Context[Any], question: Question) -> dict[str, Any]:
    """What the user of a host of the 2025 era answers."""
    asked = question.elicitation or {}
    session, related = context.session, context.request_id
    if _is_address(question):
        id = asked.get("elicitationId") or f"{question.run}-{question.number}"
        return plain(await session.elicit_url(question.text, asked["url"], id, related))
    return plain(await session.elicit_form(question.text, asked["requestedSchema"], related))


def _is_address(question: Question) -> bool:
    """Whether its user is to go to an address to answer it."""
    return (question.elicitation or {}).get("mode") == "url"


def plain(answer: t.ElicitResult) -> dict[str, Any]:
    """What a user answered, as JSON has it."""
    return answer.model_dump(by_alias=True, mode="json", exclude_none=True, exclude={"meta", "result_type"})


def _samples(context: Context[Any]) -> bool:
    return declared(context).sampling is not None


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


def completion(need: Need) -> t.CreateMessageRequest:
    """What asks a host's model for what a run needs."""
    return t.CreateMessageRequest(params=t.CreateMessageRequestParams(**_arguments(need)))


def text_of(said: t.CreateMessageResult) -> str:
    """What a host's model said."""
    content = said.content if isinstance(said.content, list) else [said.content]
    return "".join(block.text for block in content if isinstance(block, t.TextContent))
