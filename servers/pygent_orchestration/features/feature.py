"""The durable workflow of a feature: planned, coded task by task, agreed to, and merged.

The one rule: the workflow decides by what its own steps gave, and writes each decision down as an event; it
never reads the events to decide. So a crash at any place changes nothing but when things happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync

from pygent_orchestration.actions import Actions
from pygent_orchestration.coding.deployment import Deploy, Deployed, deploy
from pygent_orchestration.coding.git import Repository
from pygent_orchestration.coding.merging import Check
from pygent_orchestration.features.course import Course, Stopped
from pygent_orchestration.features.crew import Crew
from pygent_orchestration.features.gathering import gathered
from pygent_orchestration.features.model import Plan, Prp, Request
from pygent_orchestration.features.planner import Planner
from pygent_orchestration.features.store import FeatureStore
from pygent_orchestration.features.tasks import implemented, is_whole
from pygent_shared.durable.engine import Engine
from pygent_shared.durable.failure import Failed

FEATURE = "feature"
ROUNDS = 5
"""Of changes that people may want: of the plan, and of what was done."""
MENDS = 2
"""Tasks to mend what is red as a whole, though each task was green."""
CONTEXT_TOKENS = 4_000


class Building:
    """Carries features out.

    Args:
        store: of features.
        engine: that the tasks are begun with.
        actions: reach the planner, and what is known.
        folder: for worktrees.
        check: the gates.
        crew: who codes.
    """

    def __init__(
        self, store: FeatureStore, engine: Engine, actions: Actions, folder: Path, check: Check, crew: Crew
    ) -> None:
        self._store = store
        self._engine = engine
        self._actions = actions
        self._folder = folder
        self._check = check
        self._crew = crew

    async def work(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The workflow."""
        from pygent_shared.durable import workflow

        course = Course(self._store, workflow.workflow_id(), Request.model_validate(asked))
        try:
            plan = await self._planned(course)
            await course.move("IMPLEMENTATION")
            await self._implemented(course, plan)
            await course.move("REVIEW")
            await self._agreed(course, plan)
            await course.move("DEPLOYMENT")
            await self._deployed(course)
            await course.move("COMPLETED")
        except (Stopped, Failed) as error:
            await course.move("FAILED", str(error))
            return {"state": "FAILED", "error": str(error)}
        return {"state": "COMPLETED"}

    async def _planned(self, course: Course) -> Plan:
        """The plan: the user's own, or a planner's, until people agree to it."""
        request = course.request
        planner = Planner(self._actions, self._crew, course, await self._known(course))
        plan = request.plan or await planner.plan()
        for _ in range(ROUNDS):
            await course.note("planned", plan.model_dump(mode="json"))
            if "plan" not in request.approvals:
                return plan
            verdict, comment = await course.ask("plan", f"Do it so? {_told(plan.tasks)}")
            if verdict == "approve":
                return plan
            plan = await planner.plan(plan, comment)
        raise Stopped(f"The plan was changed {ROUNDS} times, and nobody agreed to it.")

    async def _known(self, course: Course) -> str:
        from pygent_shared.durable import workflow

        async def gather() -> str:
            return (await gathered(self._actions, course.request.text, CONTEXT_TOKENS)).text

        context = await workflow.step("context", gather)
        await course.note("informed", {"context": context})
        return context

    async def _implemented(self, course: Course, plan: Plan) -> None:
        """Have the tasks done that are not, and then the whole judged, where no task was judged as that."""
        await self._begun(course)
        left = [task for task in plan.tasks if task.id not in course.request.done]
        await implemented(course, self._engine, self._crew, left)
        if any(is_whole(task, left) for task in left):
            return
        for _ in range(MENDS):
            if not (why := await self._wrong(course)):
                return
            await self._more(course, plan, f"What was done is merged, and does not hold:\n\n{why}")
        if why := await self._wrong(course):
            raise Stopped(why)

    async def _begun(self, course: Course) -> None:
        """Let there be the feature's branch, though no task is left for it."""
        from pygent_shared.durable import workflow

        async def begin() -> None:
            repository = await run_sync(Repository, course.request.repository)
            await run_sync(repository.open, course.branch, course.request.start)

        await workflow.step("branch", begin)

    async def _wrong(self, course: Course) -> str:
        """Why what is on the feature's branch may not be merged; empty where it may."""
        from pygent_shared.durable import workflow

        async def judge() -> str:
            repository = await run_sync(Repository, course.request.repository)
            base = await run_sync(repository.begun, course.request.target)
            commit = await run_sync(repository.begun, course.branch)
            since = await run_sync(repository.git, "merge-base", base, commit)
            async with repository.worktree(commit, self._folder / course.id, files=False) as place:
                verdict = await self._check(place, since, course.policy)
            return "" if verdict.green else verdict.feedback()

        return await workflow.step("gates", judge)

    async def _more(self, course: Course, plan: Plan, goal: str) -> None:
        """Have one more task done, after all others."""
        taken = {task.id for task in [*plan.tasks, *course.added]}
        id = next(id for id in map("change-{}".format, count(1)) if id not in taken)
        more = _change(id, goal, plan)
        await course.note("added", more.model_dump(mode="json"))
        await implemented(course, self._engine, self._crew, [more])
        course.added.append(more)

    async def _agreed(self, course: Course, plan: Plan) -> None:
        """Have people agree to what was done; what they want otherwise is one more task."""
        request = course.request
        if "deployment" not in request.approvals:
            return
        for _ in range(ROUNDS):
            text = f"Merge {course.branch} into {request.target}? {_told([*plan.tasks, *course.added])}"
            verdict, comment = await course.ask("deployment", text)
            if verdict == "approve":
                return
            await course.move("IMPLEMENTATION", comment)
            await self._more(course, plan, comment)
            await course.move("REVIEW")
        raise Stopped(f"It was changed {ROUNDS} times, and nobody agreed to it.")

    async def _deployed(self, course: Course) -> None:
        """Have it merged into the target, where it stays if it is healthy."""
        from pygent_shared.durable import workflow

        request = course.request
        asked = Deploy(
            feature=course.id,
            repository=request.repository,
            branch=course.branch,
            target=request.target,
            health=request.health or None,
            policy=request.policy,
        )

        async def do() -> dict[str, Any]:
            done = await deploy(self._folder / course.id, asked, self._check)
            return done.model_dump(mode="json")

        deployed = Deployed.model_validate(await workflow.step("deploy", do))
        await course.note("deployed", deployed.model_dump(mode="json"))
        if deployed.state != "deployed":
            back = f"It was merged, and taken out of {request.target} again. "
            why = deployed.failure.why if deployed.failure else ""
            raise Stopped(f"{back if deployed.state == 'rolled_back' else ''}{why}")


def _told(tasks: Sequence[Prp]) -> str:
    """Tasks in a question."""
    return "\n".join(
        [f"{len(tasks)} task(s):", *(f"- {task.id}: {task.goal.splitlines()[0]}" for task in tasks)]
    )


def _change(id: str, comment: str, plan: Plan) -> Prp:
    """The task of changing what was done as a person wants it."""
    paths = sorted({path for task in plan.tasks for path in task.paths})
    whole = all(task.paths for task in plan.tasks)
    return Prp(
        id=id,
        goal=comment,
        justification="All else of the feature is done, and this is to be otherwise.",
        context="\n".join([plan.summary, *(f"{task.id}: {task.goal}" for task in plan.tasks)]),
        validation_criteria=plan.requirements,
        paths=paths if whole else [],
    )
