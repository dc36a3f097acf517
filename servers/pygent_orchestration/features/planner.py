"""A planner's runs: until it gives a plan that can be done, or its tries are over."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
from anyio.to_thread import run_sync

from pygent_orchestration.actions import Actions, Red
from pygent_orchestration.assignment import Candidate
from pygent_orchestration.coding.git import Repository
from pygent_orchestration.coding.recovery import RECOVERIES, classed, pause
from pygent_orchestration.coding.runs import Ran, Runs
from pygent_orchestration.coding.work import Failure
from pygent_orchestration.features import planning
from pygent_orchestration.features.course import Course, Stopped
from pygent_orchestration.features.crew import Crew, doable
from pygent_orchestration.features.model import Plan
from pygent_orchestration.features.planning import Unusable
from pygent_shared.errors import PygentError

TRIES = 3
"""That it has for each plan."""
SECONDS = 3600.0
"""That one run of it may take."""


class Planner:
    """Plans a feature.

    Args:
        crew: who codes, where the feature names nobody.
        context: what is known that bears on it.
    """

    def __init__(self, actions: Actions, crew: Crew, course: Course, context: str) -> None:
        self._crew = crew
        self._course = course
        self._context = context
        self._runs = Runs(actions, self._tell)
        self._count = 0

    async def plan(self, before: Plan | None = None, wrong: str = "") -> Plan:
        """A plan that can be done.

        Args:
            before: one that a person wants otherwise.
            wrong: what is to be otherwise.

        Raises:
            Stopped: there is none in three tries, or it cannot be asked.
        """
        why = wrong
        for _ in range(TRIES):
            said = await self._answered(before, why)
            try:
                if "failure" in said:
                    raise Unusable(said["failure"]["why"])
                plan = planning.read(said["answer"], self._course.policy)
                return plan if self._course.request.coder else doable(plan, _crew(said["crew"]))
            except Unusable as error:
                await self._course.note("refused", {"why": str(error), "run": said["run"]})
                why = "\n".join(filter(None, (wrong, str(error))))
        name = self._course.request.planner
        raise Stopped(f"{name} gave no plan that can be done in {TRIES} tries. The last: {why}")

    async def _answered(self, before: Plan | None, wrong: str) -> dict[str, Any]:
        """What it answers: asked again where its failure's class says so.

        Raises:
            Stopped: it is of no use to ask it anything.
        """
        from pygent_shared.durable import workflow

        said, again = await self._asked(before, wrong), 0
        while "failure" in said:
            failure = Failure.model_validate(said["failure"])
            recovery = RECOVERIES[failure.kind]
            if again == recovery.again:
                if recovery.is_told:
                    break
                raise Stopped(f"{self._course.request.planner} gave no plan: {failure.why}")
            await workflow.step("wait", partial(anyio.sleep, pause(recovery, again)))
            said, again = await self._asked(before, wrong), again + 1
        return said

    async def _asked(self, before: Plan | None, wrong: str) -> dict[str, Any]:
        """What one run answers: a step of the workflow. Done again under the same id, it is the same run."""
        from pygent_shared.durable import workflow

        self._count += 1
        run = f"{self._course.id}-plan-{self._count}"

        async def ask() -> dict[str, Any]:
            try:
                crew = await self._able()
                ran = await self._ran(run, before, wrong, crew)
            except (Red, PygentError) as error:
                failure = classed(type(error).__name__, str(error))
                return {"failure": failure.model_dump(), "run": ""}
            if ran.failure is not None:
                return {"failure": ran.failure.model_dump(), "run": ran.run}
            return {"answer": ran.answer, "run": ran.run, "crew": crew}

        try:
            return await workflow.step(f"plan {self._count}", ask)
        except BaseException as error:
            if workflow.is_stopped(error):
                with anyio.CancelScope(shield=True):
                    await self._runs.stop()
            raise

    async def _able(self) -> list[list[str]]:
        """What each who may code can be asked for, where nobody is named."""
        request = self._course.request
        found = [] if request.coder else await self._crew.candidates(request)
        return [sorted(each.capabilities) for each in found]

    async def _ran(self, run: str, before: Plan | None, wrong: str, crew: list[list[str]]) -> Ran:
        course, request = self._course, self._course.request
        repository = await run_sync(Repository, request.repository)
        commit = await run_sync(repository.begun, request.start)
        files = await run_sync(repository.git, "ls-tree", "-r", "--name-only", commit)
        task = planning.asked(
            request.text, files.splitlines(), self._context, course.policy, before, wrong, crew
        )
        in_code = await self._runs.works_in_code(request.planner)
        place, branch = (request.repository, request.start) if in_code else ("", "")
        ran = await self._runs.done(request.planner, task, place, branch, id=run, seconds=SECONDS)
        if not ran.place.error:
            await run_sync(repository.drop_run, ran.place.branch, ran.place.folder)
        return ran

    def _tell(self, text: str) -> None:
        self._course.say(f"waits/plan-{self._count}", "waits", {"text": text})


def _crew(able: list[list[str]]) -> list[Candidate]:
    """Who may code, by what each can be asked for."""
    return [Candidate(name=str(number), capabilities=frozenset(each)) for number, each in enumerate(able)]
