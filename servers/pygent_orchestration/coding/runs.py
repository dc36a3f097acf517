"""A run of an agent for a task: begun once, waited for, and what came of it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
from pydantic import BaseModel, Field

from pygent_orchestration.actions import FACTORY, Actions, Red, Tell
from pygent_orchestration.coding.recovery import classed
from pygent_orchestration.coding.work import Failure
from pygent_shared.errors import PygentError

STOP_SECONDS = 60.0
"""That a run is waited for which was told to stop."""
_WORKS = "workspace__"


class Place(BaseModel):
    """Where the factory says that a run's work lies."""

    branch: str = ""
    folder: Path = Path()
    commit: str = Field(default="", pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?$")
    error: str = ""


class Ran(BaseModel):
    """What came of a run. `ended`: it is over, and the same again is another run."""

    run: str = ""
    ended: bool = False
    answer: Any = None
    usage: dict[str, Any] = {}
    place: Place = Place()
    failure: Failure | None = None


class Runs:
    """Runs of one task's agents.

    Args:
        actions: how the factory is reached.
        tell: is told what a run waits for.
    """

    def __init__(self, actions: Actions, tell: Tell) -> None:
        self._actions = actions
        self._tell = tell
        self._going = ""

    async def done(
        self, name: str, task: str, repository: str, branch: str, *, id: str, seconds: float
    ) -> Ran:
        """A run once it is over, or cannot be had; under the same id it is the same run."""
        ran = Ran()
        try:
            ran.run = self._going = await self._actions.begin(name, task, repository, branch, id=id)
            await self._gone_on(ran.run)
            found: dict[str, Any] = {}
            with anyio.move_on_after(seconds):
                found = await self._actions.waited(ran.run, self._tell)
            if not found:
                found = await self._stopped(ran.run)
                ran.failure = Failure(kind="timeout", why=f"It took more than {seconds:g} s.")
        except (Red, PygentError) as error:
            ran.failure = classed(type(error).__name__, str(error))
            return ran
        self._going = ""
        ran.ended, ran.answer, ran.usage = True, found.get("answer"), found.get("usage") or {}
        ran.place = Place.model_validate(found.get("workspace") or {})
        if ran.failure is None and found["state"] != "done":
            why = found.get("error") or f"Run {ran.run} of {name} was cancelled."
            ran.failure = (
                Failure(kind="refused", why=why)
                if found.get("declined") or found["state"] == "cancelled"
                else classed("", why)
            )
        return ran

    async def stop(self) -> None:
        """Have the run that is at work go no further; one that cannot be reached ends by its own limits."""
        if self._going:
            with suppress(Red, PygentError):
                await self._actions.stop(self._going)

    async def works_in_code(self, name: str) -> bool:
        """Whether an agent has tools of a workspace, and so needs one."""
        shown = await self._actions.tool(f"{FACTORY}show_agent", {"name": name})
        return any(tool.startswith(_WORKS) for tool in shown["spec"].get("tools", ()))

    async def _gone_on(self, run: str) -> None:
        """Have a run go on that was stopped with its task, which is resumed now."""
        now = {"run": run, "wait_s": 0}
        if (await self._actions.tool(f"{FACTORY}get_run", now))["state"] == "cancelled":
            await self._actions.tool(f"{FACTORY}resume_run", now)

    async def _stopped(self, run: str) -> dict[str, Any]:
        await self._actions.stop(run)
        with anyio.move_on_after(STOP_SECONDS):
            return await self._actions.waited(run, self._tell)
        return {"state": "cancelled"}
