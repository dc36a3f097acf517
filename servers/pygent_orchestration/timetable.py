"""Workflows that are begun by the clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pygent_orchestration.reading import given
from pygent_orchestration.store import Store
from pygent_orchestration.workflows import Workflows
from pygent_shared.durable.engine import Engine
from pygent_shared.errors import UnknownName

if TYPE_CHECKING:
    from pygent_shared.durable.schedules import Schedule

TICK = "tick"
_SIGNS = re.compile(r"[^0-9A-Za-z-]")


class Timetable:
    """The schedules, and what each begins.

    Args:
        store: knows that there are some, so that the engine is begun for them.
        engine: has them.
        workflows: what is begun.
    """

    def __init__(self, store: Store, engine: Engine, workflows: Workflows) -> None:
        self._store = store
        self._engine = engine
        self._workflows = workflows
        engine.workflow(TICK, self._tick)

    async def put(self, name: str, workflow: str, cron: str, zone: str, inputs: Mapping[str, Any]) -> None:
        """Begin a workflow by the clock, each time by its newest definition.

        Raises:
            UnknownName, InvalidArgument: there is none, or the inputs, cron expression or zone are unusable.
        """
        given(self._workflows.library.get(workflow)[1].inputs, inputs)
        argument = {"schedule": name, "workflow": workflow, "inputs": dict(inputs)}
        await self._engine.schedule(name, TICK, cron, zone, argument)
        self._store.clock(name, on=True)

    async def remove(self, name: str) -> None:
        """Take a schedule away. Raises UnknownName: there is none."""
        await self._known(name)
        await self._engine.unschedule(name)
        self._store.clock(name, on=False)

    async def pause(self, name: str, *, paused: bool) -> None:
        """Have a schedule begin nothing for a while, or go on. Raises UnknownName: there is none."""
        await self._known(name)
        await self._engine.pause_schedule(name, paused=paused)

    async def all(self) -> list[Schedule]:
        """The schedules, by name."""
        return await self._engine.schedules()

    async def _known(self, name: str) -> None:
        known = [schedule.name for schedule in await self.all()]
        if name not in known:
            raise UnknownName("schedule", name, known, "See them: list_schedules().")

    async def _tick(self, at: str, argument: dict[str, Any]) -> str:
        """What a schedule begins: the workflow that it is for."""
        from pygent_shared.durable import workflow

        id = f"{argument['schedule']}-{_SIGNS.sub('', at)}"

        async def begin() -> str:
            return await self._workflows.begin(argument["workflow"], argument["inputs"], id=id)

        return await workflow.step("begin", begin)
