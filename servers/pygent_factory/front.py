"""How a run borrows the host's own model, by whichever way this host allows. All of them drive the same run.

(a) The host samples, 2025 era: it is asked in the middle of the call.
(b) The host samples, 2026 era: the call is answered with what is needed, and made again with the reply.
(c) It does neither: the tool's result says what is needed, and the host's model answers with `continue_run`.
(d) The host takes tasks, and samples: the run's task asks (`tasks.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import mcp.types as t
from mcp.server.mcpserver import Context
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from pygent_factory.runs import Need, Question, Run, Runs
from pygent_shared.tasks.extension import is_offered

KEY = "completion"


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
        if isinstance(found, Run | Question) or not _samples(context) or is_offered():
            return found
        if modern:
            asked: Any = {KEY: completion(found)}
            state = json.dumps({"run": run, "number": number})
            return t.InputRequiredResult(input_requests=asked, request_state=state)
        said = await context.session.create_message(**_arguments(found))
        await runs.answer(run, number, text_of(said), said.model)
        number += 1


async def brought(runs: Runs, context: Context[Any]) -> str | None:
    """The run that a repeated call of form (b) goes on with, its reply given; None for a new call."""
    if not context.request_state:
        return None
    state = json.loads(context.request_state)
    said = (context.input_responses or {}).get(KEY)
    if isinstance(said, t.CreateMessageResult):
        await runs.answer(state["run"], state["number"], text_of(said), said.model)
    return str(state["run"])


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


def completion(need: Need) -> t.CreateMessageRequest:
    """What asks a host's model for what a run needs."""
    return t.CreateMessageRequest(params=t.CreateMessageRequestParams(**_arguments(need)))


def text_of(said: t.CreateMessageResult) -> str:
    """What a host's model said."""
    content = said.content if isinstance(said.content, list) else [said.content]
    return "".join(block.text for block in content if isinstance(block, t.TextContent))
