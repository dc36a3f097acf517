"""Workflows as the tasks of clients that have the tasks extension: an approval is a form for the user."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import mcp.types as t

from pygent_orchestration.answers import WorkflowAnswer, waiting
from pygent_orchestration.execution import APPROVAL
from pygent_orchestration.orchestration import Orchestration
from pygent_orchestration.tools_workflows import FIFTY
from pygent_shared.durable.status import UNENDED
from pygent_shared.server import answer
from pygent_shared.tasks.work import Stand, form, takes_forms

TOOLS = dict.fromkeys(("start_workflow", "wait_for_workflow", "resume_workflow", "fork_from"), FIFTY)
"""Those that tasks are made of, with the seconds that each waits."""

FIELDS = {
    "approve": {"type": "boolean", "description": "Whether it may go on."},
    "comment": {"type": "string", "description": "For the record."},
}


class WorkflowTasks:
    """`pygent_shared.tasks.work.Work`: a handle is a workflow's id."""

    def __init__(self, orchestration: Orchestration) -> None:
        self._orchestration = orchestration

    async def handle(self, data: Mapping[str, Any]) -> str:
        return str(data["workflow"])

    async def look(self, handle: str, client: t.ClientCapabilities) -> Stand:
        workflows = await self._orchestration.workflows()
        standing = await workflows.get(handle)
        changed = datetime.fromisoformat(standing.began_at) + timedelta(seconds=standing.seconds)
        data = WorkflowAnswer.of(standing)
        if standing.state == "cancelled":
            return Stand(changed=changed, message=data.next, is_cancelled=True)
        if standing.is_over:
            return Stand(changed=changed, result=answer(data.text(), data))
        asks: dict[str, t.InputRequest] = {}
        if takes_forms(client):
            decided = workflows.decided(handle)
            asks = {
                name: form(row.waits, **FIELDS)
                for name, row in waiting(data.steps)
                if row.waits_for == APPROVAL and name not in decided
            }
        return Stand(changed=changed, message=data.next, asks=asks)

    async def answer(self, handle: str, key: str, answer: Mapping[str, Any]) -> None:
        filled = t.ElicitResult.model_validate(answer, by_name=False)
        if filled.action == "cancel":  # the user has not decided
            return
        given = filled.content or {}
        workflows = await self._orchestration.workflows()
        is_approved = filled.action == "accept" and given.get("approve") is True
        await workflows.decide(handle, key, str(given.get("comment") or ""), approved=is_approved)

    async def cancel(self, handle: str) -> None:
        workflows = await self._orchestration.workflows()
        if (await workflows.get(handle)).state in UNENDED:
            await workflows.cancel(handle)
