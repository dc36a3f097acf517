"""The tools that begin workflows, follow them, answer them and stop them."""
# ruff: noqa: B006 - pydantic copies a tool's defaults at every call

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from pygent_orchestration.answers import WorkflowAnswer
from pygent_orchestration.orchestration import Orchestration
from pygent_orchestration.standing import Standing
from pygent_orchestration.tools_definitions import CHANGES, READS, Name
from pygent_orchestration.workflows import Workflows
from pygent_shared.server import SuiteServer, answer

BEGINS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
STOPS = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)

Id = Annotated[str, Field(description="A workflow's id, as start_workflow gave it.")]
Step = Annotated[str, Field(description="Which step, where it waits at several; each/0.ok is one in one.")]
Wait = Annotated[
    float, Field(ge=0, le=600, description="Seconds to wait for the end; the workflow goes on without you.")
]
Inputs = Annotated[dict[str, Any], Field(description="By name, as show_workflow has them.")]

FIFTY = 50.0
"""Seconds: many a host gives a call up after sixty."""


def add_workflows(server: SuiteServer[Orchestration], orchestration: Orchestration) -> None:
    """Add them."""

    @server.tool(title="Begin a workflow", annotations=BEGINS)
    async def start_workflow(
        context: Context[Any], name: Name, inputs: Inputs = {}, wait_s: Wait = 0.0
    ) -> Annotated[CallToolResult, WorkflowAnswer]:
        """Begin a workflow. It is durable: it goes on when the connection ends, and after a crash.

        Returns its id and where it stands, at once unless you wait. Next: wait_for_workflow.
        """
        workflows = await orchestration.workflows()
        return await _followed(workflows, await workflows.begin(name, inputs), context, wait_s)

    @server.tool(title="Look at a workflow", annotations=READS)
    async def workflow_status(workflow: Id) -> Annotated[CallToolResult, WorkflowAnswer]:
        """Where a workflow stands: its steps as a tree, with times, results, errors, what its agents used,
        and what it waits for."""
        return _told(await (await orchestration.workflows()).get(workflow))

    @server.tool(title="Wait for a workflow", annotations=READS)
    async def wait_for_workflow(
        context: Context[Any], workflow: Id, wait_s: Wait = FIFTY
    ) -> Annotated[CallToolResult, WorkflowAnswer]:
        """Wait until a workflow has ended, and tell of each step as it ends. After wait_s it answers with
        where the workflow stands; call it again then. What it waits for itself is in `next`."""
        return await _followed(await orchestration.workflows(), workflow, context, wait_s)

    @server.tool(title="Approve", annotations=CHANGES)
    async def approve(
        workflow: Id, step: Step = "", comment: Annotated[str, Field(description="For the record.")] = ""
    ) -> Annotated[CallToolResult, WorkflowAnswer]:
        """Let a workflow that waits for an approval go on. Only with your user's consent. The first answer
        counts; a second one changes nothing."""
        return await _decided(orchestration, workflow, step, comment, approved=True)

    @server.tool(title="Reject", annotations=CHANGES)
    async def reject(
        workflow: Id, step: Step = "", comment: Annotated[str, Field(description="Why not.")] = ""
    ) -> Annotated[CallToolResult, WorkflowAnswer]:
        """Refuse what a workflow asks an approval for: that step fails, with your comment."""
        return await _decided(orchestration, workflow, step, comment, approved=False)

    @server.tool(title="Signal a workflow", annotations=CHANGES)
    async def signal_workflow(
        workflow: Id,
        message: Annotated[Any, Field(description="Any JSON: the step's result.")],
        step: Step = "",
    ) -> Annotated[CallToolResult, WorkflowAnswer]:
        """Give a workflow the message that a step of kind `signal` waits for."""
        workflows = await orchestration.workflows()
        await workflows.signal(workflow, step, message)
        return _told(await workflows.follow(workflow, 1))

    @server.tool(title="Cancel a workflow", annotations=STOPS)
    async def cancel_workflow(
        workflow: Id,
        undo: Annotated[
            bool, Field(description="Take back what was done, of steps with an `undo`, the latest first.")
        ] = True,
    ) -> Annotated[CallToolResult, WorkflowAnswer]:
        """Stop a workflow, the workflows in it and its agents' runs. Steps without an `undo` stay as they
        are; resume_workflow goes on from there."""
        return _told(await (await orchestration.workflows()).cancel(workflow, undo=undo))

    @server.tool(title="Resume a workflow", annotations=BEGINS)
    async def resume_workflow(
        context: Context[Any], workflow: Id, wait_s: Wait = 0.0
    ) -> Annotated[CallToolResult, WorkflowAnswer]:
        """Go on with a workflow that was cancelled, or has failed. One that has failed, or was taken back,
        goes on under a new id: steps that were done well are kept, the others are done again."""
        workflows = await orchestration.workflows()
        return await _followed(workflows, await workflows.resume(workflow), context, wait_s)

    @server.tool(title="Do a part again", annotations=BEGINS)
    async def fork_from(
        context: Context[Any],
        workflow: Id,
        step: Annotated[str, Field(description="The first step to do again.")],
        inputs: Annotated[dict[str, Any], Field(description="Those to change.")] = {},
        newest: Annotated[
            bool, Field(description="By the newest definition, not by the one it had.")
        ] = False,
        wait_s: Wait = 0.0,
    ) -> Annotated[CallToolResult, WorkflowAnswer]:
        """Begin a new workflow that keeps what another did, but for one step and all that come after it.
        The other stays as it is."""
        workflows = await orchestration.workflows()
        forked = await workflows.fork(workflow, step, newest=newest, inputs=inputs)
        return await _followed(workflows, forked, context, wait_s)


async def _decided(
    orchestration: Orchestration, workflow: str, step: str, comment: str, *, approved: bool
) -> CallToolResult:
    workflows = await orchestration.workflows()
    await workflows.decide(workflow, step, comment, approved=approved)
    return _told(await workflows.follow(workflow, 1))


async def _followed(workflows: Workflows, id: str, context: Context[Any], wait_s: float) -> CallToolResult:
    told: set[str] = set()

    async def report(standing: Standing) -> None:
        ended = [node for node in standing.steps if node.state in ("done", "failed", "skipped")]
        for node in ended:
            if node.name not in told:
                told.add(node.name)
                await context.report_progress(len(told), len(standing.steps), f"{node.name} {node.state}")

    return _told(await workflows.follow(id, wait_s, report))


def _told(standing: Standing) -> CallToolResult:
    data = WorkflowAnswer.of(standing)
    return answer(data.text(), data)
