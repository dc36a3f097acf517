"""The tasks of a feature, carried out: as many at once as may be, those first that most waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pygent_orchestration.actions import Red
from pygent_orchestration.carrying_out import FOREVER
from pygent_orchestration.coding.gates.policy import Policy
from pygent_orchestration.coding.work import CODING, Done, Failure, Work
from pygent_orchestration.features import prp
from pygent_orchestration.features.course import Course, Stopped
from pygent_orchestration.features.crew import Crew
from pygent_orchestration.features.model import Prp, Request
from pygent_orchestration.features.timeline import tails
from pygent_shared.durable.engine import Engine
from pygent_shared.errors import PygentError

if TYPE_CHECKING:
    from pygent_shared.durable.workflow import Place

OF_THE_WHOLE = ("tests", "expected", "holdout", "integration")
"""Of a policy: they pass when all tasks are done."""
LATEST_SECONDS = 1.0
"""Between two looks at a task."""


async def implemented(course: Course, engine: Engine, crew: Crew, tasks: Sequence[Prp]) -> None:
    """Have tasks coded and merged into the feature's branch, which has all others. When one fails no other is
    begun; those at work come to their ends.

    Raises:
        Stopped: a task failed.
    """
    from pygent_shared.durable.workflow import Place

    places = {task.id: Place() for task in tasks}
    waits = {task.id: set(task.depends_on) & places.keys() for task in tasks}
    todo = {task.id: _Todo(course, engine, crew, task, is_whole(task, tasks)) for task in tasks}
    tail = tails([task.model_copy(update={"depends_on": sorted(waits[task.id])}) for task in tasks])
    working: dict[asyncio.Task[str], str] = {}
    failed: dict[str, str] = {}
    try:
        while working or (waits and not failed):
            ready = sorted((id for id in waits if not waits[id]), key=lambda id: (-tail[id], id))
            for id in ready[: 0 if failed else course.request.at_once - len(working)]:
                del waits[id]
                working[asyncio.create_task(todo[id].done(places[id]))] = id
            ended, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                id = working.pop(task)
                if why := task.result():
                    failed[id] = why
                for others in waits.values():
                    others.discard(id)
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    if failed:
        id = min(failed)
        raise Stopped(f'Task "{id}" failed: {failed[id]}')


class _Todo:
    """One of them. `is_whole`: all others are done when it is."""

    def __init__(self, course: Course, engine: Engine, crew: Crew, task: Prp, is_whole: bool) -> None:
        self._course = course
        self._engine = engine
        self._crew = crew
        self._task = task
        self._is_whole = is_whole

    async def done(self, place: Place) -> str:
        """Why it failed; empty where it is merged."""
        return await place.step(f"task {self._task.id}", self._coded, long=True)

    async def _coded(self) -> str:
        course, id = self._course, self._task.id
        try:
            coder = course.coder(id) or await self._crew.coder(course.request, self._task)
        except (Red, PygentError) as error:
            return str(error)
        course.say(f"{id}/running", "task", {"to": "running", "coder": coder}, id)
        work = _work(course, self._task, coder, whole=self._is_whole)
        below = f"{course.id}/{id}"
        await self._engine.start(CODING, work.model_dump(mode="json"), id=below)
        status = await self._engine.wait(below, FOREVER, latest=LATEST_SECONDS)
        why = status.error or f"Its workflow was {status.state}."
        failed = Done(state="failed", branch="", failure=Failure(kind="crash", why=why))
        done = Done.model_validate(status.result) if status.result else failed
        is_merged = done.state == "green"
        to = "merged" if is_merged else "failed"
        course.say(f"{id}/{to}", "task", {"to": to, "result": done.model_dump(mode="json")}, id)
        return "" if is_merged else (done.failure.why if done.failure else why)


def is_whole(task: Prp, tasks: Sequence[Prp]) -> bool:
    """Whether all of some tasks are done when one of them is."""
    before = {other.id: other.depends_on for other in tasks}
    found, new = {task.id}, [task.id]
    while new:
        new = [name for at in new for name in before[at] if name in before and name not in found]
        found.update(new)
    return len(found) == len(before)


def _work(course: Course, task: Prp, coder: str, *, whole: bool) -> Work:
    request = course.request
    return Work(
        task=f"{course.id}.{task.id}",
        prp=prp.render(task),
        repository=request.repository,
        base=request.start,
        branch=course.branch,
        policy=policy_of(request, task, whole=whole).model_dump(mode="json"),
        coder=coder,
        reviewer=request.reviewer,
        attempts=request.attempts,
    )


def policy_of(request: Request, task: Prp, *, whole: bool) -> Policy:
    """What the gates hold a task to. What decides over the whole feature decides over a task only where the
    whole is there when it is done.
    """
    held = {name: value for name, value in request.policy.items() if whole or name not in OF_THE_WHOLE}
    paths = {"paths": task.paths} if task.paths else {}
    return Policy.model_validate({**held, **paths, **request.policies.get(task.id, {})})
