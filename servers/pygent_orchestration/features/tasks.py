"""The tasks of a feature, carried out: as many at once as may be, those first that most waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pygent_orchestration.carrying_out import FOREVER
from pygent_orchestration.coding.gates.policy import Policy
from pygent_orchestration.coding.work import CODING, Done, Failure, Work
from pygent_orchestration.features import prp
from pygent_orchestration.features.course import Course, Stopped
from pygent_orchestration.features.model import Prp, Request
from pygent_orchestration.features.timeline import tails
from pygent_shared.durable.engine import Engine

if TYPE_CHECKING:
    from pygent_shared.durable.workflow import Place

OF_THE_WHOLE = ("tests", "expected", "holdout", "integration")
"""Of a policy: they pass when all tasks are done."""
LATEST_SECONDS = 1.0
"""Between two looks at a task."""


async def implemented(course: Course, engine: Engine, tasks: Sequence[Prp]) -> None:
    """Have tasks coded and merged into the feature's branch, which has all others. When one fails no other is
    begun; those at work come to their ends.

    Raises:
        Stopped: a task failed.
    """
    from pygent_shared.durable.workflow import Place

    places = {task.id: Place() for task in tasks}
    waits = {task.id: set(task.depends_on) & places.keys() for task in tasks}
    works = {task.id: _work(course, task, whole=is_whole(task, tasks)) for task in tasks}
    tail = tails([task.model_copy(update={"depends_on": sorted(waits[task.id])}) for task in tasks])
    working: dict[asyncio.Task[str], str] = {}
    failed: dict[str, str] = {}
    try:
        while working or (waits and not failed):
            ready = sorted((id for id in waits if not waits[id]), key=lambda id: (-tail[id], id))
            for id in ready[: 0 if failed else course.request.at_once - len(working)]:
                del waits[id]
                working[asyncio.create_task(_coded(course, engine, id, works[id], places[id]))] = id
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


async def _coded(course: Course, engine: Engine, id: str, work: Work, place: Place) -> str:
    """Why a task failed; empty where it is merged."""

    async def do() -> str:
        course.say(f"{id}/running", "task", {"to": "running"}, id)
        below = f"{course.id}/{id}"
        await engine.start(CODING, work.model_dump(mode="json"), id=below)
        status = await engine.wait(below, FOREVER, latest=LATEST_SECONDS)
        why = status.error or f"Its workflow was {status.state}."
        failed = Done(state="failed", branch="", failure=Failure(kind="crash", why=why))
        done = Done.model_validate(status.result) if status.result else failed
        is_merged = done.state == "green"
        to = "merged" if is_merged else "failed"
        course.say(f"{id}/{to}", "task", {"to": to, "result": done.model_dump(mode="json")}, id)
        return "" if is_merged else (done.failure.why if done.failure else why)

    return await place.step(f"task {id}", do, long=True)


def is_whole(task: Prp, tasks: Sequence[Prp]) -> bool:
    """Whether all of some tasks are done when one of them is."""
    before = {other.id: other.depends_on for other in tasks}
    found, new = {task.id}, [task.id]
    while new:
        new = [name for at in new for name in before[at] if name in before and name not in found]
        found.update(new)
    return len(found) == len(before)


def _work(course: Course, task: Prp, *, whole: bool) -> Work:
    request = course.request
    return Work(
        task=f"{course.id}.{task.id}",
        prp=prp.render(task),
        repository=request.repository,
        base=request.start,
        branch=course.branch,
        policy=policy_of(request, task, whole=whole).model_dump(mode="json"),
        coder=request.coder,
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
