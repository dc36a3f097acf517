"""Runs as the tasks of clients that have the tasks extension.

A run that needs the host's model, or its user, asks for them in the task, of a client that has declared that
it can; of another the task ends there, as the call would, and `continue_run` goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import mcp.types as t

from pygent_factory.factory import Factory
from pygent_factory.front import can_ask, completion, elicitation, plain, text_of
from pygent_factory.runs import GOING, Need, Question, Run
from pygent_factory.tools_runs import FIFTY, told
from pygent_shared.tasks.work import Stand, form, takes_forms

TOOLS = dict.fromkeys(("run_agent", "chat", "continue_run", "resume_run"), FIFTY)
"""Those that tasks are made of, with the seconds that each waits."""

COMPLETION = "completion"
ELICITATION = "elicitation"
QUESTION = "question"
UNANSWERED = "The user gave no answer."


class RunTasks:
    """`pygent_shared.tasks.work.Work`: a handle is a run, and how often it had been answered, and had spoken,
    when its task began.
    """

    def __init__(self, factory: Factory) -> None:
        self._factory = factory

    async def handle(self, data: Mapping[str, Any]) -> str:
        runs, run = await self._factory.runs(), data["run"]
        return json.dumps([run, runs.answered(run), len(await runs.said(run))])

    async def look(self, handle: str, client: t.ClientCapabilities) -> Stand:
        runs = await self._factory.runs()
        run, answered, heard = json.loads(handle)
        found = await runs.follow(run, runs.answered(run), 0)
        at = found if isinstance(found, Run) else await runs.get(run)
        changed = datetime.fromisoformat(at.started_at) + timedelta(seconds=at.seconds)
        if at.state == "cancelled":
            return Stand(changed=changed, is_cancelled=True)
        asks: dict[str, t.InputRequest]
        lends, fills_in = client.sampling is not None, takes_forms(client)
        if isinstance(found, Need) and lends:
            asks = {f"{COMPLETION} {found.number}": completion(found)}
            return Stand(changed=changed, message=f"Run {run} needs your model.", asks=asks)
        if isinstance(found, Question) and can_ask(client, found):
            asks = {f"{ELICITATION} {found.number}": elicitation(found)}
            return Stand(changed=changed, message=f"A tool of run {run} asks its user.", asks=asks)
        if isinstance(found, Question) and found.elicitation is None and fills_in:
            asks = {f"{QUESTION} {found.number}": form(found.text, answer={"type": "string"})}
            return Stand(changed=changed, message=f"Run {run} asks its user.", asks=asks)
        said = await runs.said(run)
        is_over = (runs.answered(run) > answered and not lends) or (_asks(said[heard:]) and not fills_in)
        if isinstance(found, Run) and found.state in GOING and not is_over:
            return Stand(changed=changed, message=f"Run {run} of {found.agent} goes on.")
        need = None if isinstance(found, Run) else found
        return Stand(changed=changed, result=told(self._factory, at, need, said))

    async def answer(self, handle: str, key: str, answer: Mapping[str, Any]) -> None:
        runs = await self._factory.runs()
        run = json.loads(handle)[0]
        kind, _, number = key.partition(" ")
        if kind == COMPLETION:
            said = t.CreateMessageResult.model_validate(answer, by_name=False)
            await runs.answer(run, int(number), text_of(said), said.model)
            return
        filled = t.ElicitResult.model_validate(answer, by_name=False)
        if kind == ELICITATION:
            await runs.elicited(run, int(number), plain(filled))
            return
        text = str((filled.content or {}).get("answer") or UNANSWERED)
        await runs.reply(Question(run=run, number=int(number), text=""), text)

    async def cancel(self, handle: str) -> None:
        runs = await self._factory.runs()
        run = json.loads(handle)[0]
        if (await runs.get(run)).state in GOING:
            await runs.cancel(run)


def _asks(said: Sequence[Mapping[str, Any]]) -> bool:
    """Whether there is a question for the user in what a run said."""
    return any(what["kind"] == "question" for what in said)
