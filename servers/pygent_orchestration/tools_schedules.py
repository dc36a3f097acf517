"""The tools that begin workflows by the clock, and show the queue."""
# ruff: noqa: B006 - pydantic copies a tool's defaults at every call

from __future__ import annotations

from typing import Annotated, Any

from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from pygent_orchestration import reading
from pygent_orchestration.answers import QueueAnswer, SchedulesAnswer
from pygent_orchestration.answers_messages import WorkerRow
from pygent_orchestration.orchestration import Orchestration
from pygent_orchestration.timetable import Timetable
from pygent_orchestration.tools_definitions import CHANGES, READS, Name
from pygent_shared.errors import ServerUnavailable
from pygent_shared.server import SuiteServer, answer
from pygent_shared.settings import Settings

ENDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False
)

ScheduleName = Annotated[str, Field(description="A schedule's name, from list_schedules.")]


def add_schedules(
    server: SuiteServer[Orchestration], orchestration: Orchestration, settings: Settings
) -> None:
    """Add them."""

    @server.tool(title="Schedule a workflow", annotations=CHANGES)
    async def schedule(
        name: Annotated[str, Field(description="Of the schedule; one of this name is replaced.")],
        workflow: Name,
        cron: Annotated[str, Field(description="minute hour day month weekday: 30 6 * * 1-5")],
        zone: Annotated[str, Field(description="The time zone it is meant in, as Europe/Berlin.")] = "UTC",
        inputs: Annotated[dict[str, Any], Field(description="What each is begun with.")] = {},
    ) -> Annotated[CallToolResult, SchedulesAnswer]:
        """Begin a workflow by the clock, while pygent runs. However many processes run, each time begins one.
        Times at which none runs are left out. Returns all schedules, with their next times."""
        timetable = await orchestration.timetable()
        await timetable.put(reading.workflow_name(name), workflow, cron, zone, inputs)
        return await _listed(timetable)

    @server.tool(title="Take a schedule away", annotations=ENDS)
    async def unschedule(name: ScheduleName) -> Annotated[CallToolResult, SchedulesAnswer]:
        """Take a schedule away; workflows it has begun go on."""
        timetable = await orchestration.timetable()
        await timetable.remove(name)
        return await _listed(timetable)

    @server.tool(title="List schedules", annotations=READS)
    async def list_schedules() -> Annotated[CallToolResult, SchedulesAnswer]:
        """The schedules: what each begins, when next, and when last."""
        return await _listed(await orchestration.timetable())

    @server.tool(title="Pause a schedule", annotations=CHANGES)
    async def pause_schedule(
        name: ScheduleName,
        paused: Annotated[bool, Field(description="False: go on.")] = True,
    ) -> Annotated[CallToolResult, SchedulesAnswer]:
        """Have a schedule begin nothing until it goes on; the times between are left out."""
        timetable = await orchestration.timetable()
        await timetable.pause(name, paused=paused)
        return await _listed(timetable)

    @server.tool(title="Look at the queue", annotations=READS)
    async def queue_status() -> Annotated[CallToolResult, QueueAnswer]:
        """How many workflows wait to be begun, which processes carry how many out, where those are, and the
        limits."""
        status = await (await orchestration.workflows()).queue()
        data = QueueAnswer.of(status, settings.workflow_workers, settings.workflow_limit)
        try:
            present = await (await orchestration.bus()).present()
            data.workers = [WorkerRow.of(beat) for beat in present if beat.payload["executor"]]
        except ServerUnavailable as error:
            data.problem = str(error)
        return answer(data.text(), data)


async def _listed(timetable: Timetable) -> CallToolResult:
    data = SchedulesAnswer.of(await timetable.all())
    return answer(data.text(), data)
