"""A coding task, carried out: a coder's run, the gates, a review, the merge; and what failed, mended or told.

The one rule: each step can be done again. A run has an id of ours, a commit says which step made it, and what
a step finds to be done it does not do twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync

from pygent_orchestration.actions import Actions
from pygent_orchestration.coding import gates, knowledge, review
from pygent_orchestration.coding.gates import Policy, Verdict
from pygent_orchestration.coding.git import Repository
from pygent_orchestration.coding.merging import Check, Merge, Merged, merge
from pygent_orchestration.coding.recovery import RECOVERIES
from pygent_orchestration.coding.runs import Place, Ran, Runs
from pygent_orchestration.coding.steps import Ended, step, wait
from pygent_orchestration.coding.told import told
from pygent_orchestration.coding.work import Attempt, Done, Failure, Work

OWN = "pygent-task/"
"""What the branch of a task begins with, while it is worked on and where it has failed."""
STUCK = 2
"""Attempts in a row that change nothing, or repeat what was there before."""

Tell = Callable[[str, str], None]
"""Is told what a task waits for: the task, and the rest."""


class Coding:
    """Carries tasks out: `work` is the workflow `CODING`.

    Args:
        actions: how agents and the memory are reached.
        folder: for worktrees.
        tell: is told what a task waits for.
        check: the gates.
    """

    def __init__(
        self,
        actions: Actions,
        folder: Path,
        tell: Tell = lambda task, text: None,
        check: Check = gates.check,
    ) -> None:
        self._actions = actions
        self._folder = folder
        self._tell = tell
        self._check = check

    async def work(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The workflow. What it is given is `Work`, and what it gives `Done`, both as JSON."""
        from pygent_shared.durable import workflow

        work = Work.model_validate(asked)
        key = hashlib.sha256(workflow.workflow_id().encode()).hexdigest()[:24]
        runs = Runs(self._actions, lambda text: self._tell(work.task, text))
        task = _Task(work, key, self._folder / key, self._actions, runs, self._check)
        try:
            done = await task.done()
        except BaseException as error:
            if workflow.is_stopped(error):
                with anyio.CancelScope(shield=True):
                    await runs.stop()
            raise
        return done.model_dump(mode="json")


class _Task:
    """One, on its way."""

    def __init__(
        self, work: Work, key: str, folder: Path, actions: Actions, runs: Runs, check: Check
    ) -> None:
        self._work = work
        self._key = key
        self._folder = folder
        self._actions = actions
        self._agents = runs
        self._check = check
        self._policy = Policy.model_validate(work.policy)
        self._branch = f"{OWN}{work.task}"
        self._title = f"{work.task}: {knowledge.goal_of(work.prp)}"
        self._attempts: list[Attempt] = []
        self._start = ""
        """What its work is measured against."""
        self._at = ""
        """The last commit of its own branch."""
        self._files: list[str] = []
        """Those in which both sides of a merge have to be made one."""
        self._seen: list[str] = []
        """The trees that were not accepted, and the first."""
        self._in_vain = 0

    async def done(self) -> Done:
        """The whole of it."""
        try:
            commit = await self._tried()
            done = Done(state="green", branch=self._work.branch, commit=commit, attempts=self._attempts)
        except Ended as error:
            branch = self._branch if self._at else ""
            done = Done(state="failed", branch=branch, commit=self._at, attempts=self._attempts)
            done.failure = error.failure
        await self._noted(done, "keep outcome", lambda: knowledge.keep(self._actions, self._work, done))
        if self._at:
            await self._noted(done, "tidy", lambda: run_sync(self._tidy, done.state == "green"))
        return done

    async def _noted(self, done: Done, name: str, do: Callable[[], Awaitable[str]]) -> None:
        """Do something after the end, which changes no outcome: what hinders it is noted."""
        try:
            note = await step(name, do)
        except Ended as error:
            note = error.failure.why
        done.notes += [note] if note else []

    async def _tried(self) -> str:
        """Attempts until one is merged; returns the commit that has it."""
        known = await step("look for outcomes", lambda: knowledge.found(self._actions, self._work.prp))
        begun = await step("begin", lambda: run_sync(self._begun))
        self._start = self._at = begun["commit"]
        self._seen.append(begun["tree"])
        why = ""
        for number in range(1, self._work.attempts + 1):
            self._attempts.append(attempt := Attempt())
            task = told(self._work.prp, known, why, self._files)
            try:
                return await self._attempt(f"attempt-{number}", attempt, task)
            except Ended as error:
                failure = attempt.failure = error.failure
                if not RECOVERIES[failure.kind].is_told:
                    raise
                why = failure.why
        raise Ended(failure)

    def _begun(self) -> dict[str, Any]:
        """Make sure of the integration branch, and of the task's own, which begins there."""
        repository = Repository(self._work.repository)
        repository.open(self._work.branch, self._work.base)
        at = repository.begun(self._work.branch)
        if repository.head(self._branch) != at:
            repository.aside(self._branch)
            repository.move(self._branch, at, "")
        return {"commit": at, "tree": repository.tree(at)}

    async def _attempt(self, name: str, attempt: Attempt, task: str) -> str:
        """One attempt; returns the commit that has it merged.

        Raises:
            Ended: it failed.
        """
        ran = await self._run(name, self._work.coder, task, self._work.repository)
        attempt.run, attempt.usage = ran.run, ran.usage
        taken = await step(f"{name} commit", lambda: run_sync(self._taken, name, ran.place))
        self._at = attempt.commit = taken["commit"]
        if ran.failure is not None:
            raise Ended(ran.failure)
        self._look_at(taken)
        judged = await step(f"{name} gates", self._judged)
        attempt.verdict = judged
        self._must(Verdict.model_validate(judged))
        if self._work.reviewer:
            attempt.review = (await self._reviewed(name)).model_dump(mode="json")
            if not (said := review.Review.model_validate(attempt.review)).is_good:
                raise Ended(Failure(kind="review", why=said.feedback()))
        return await self._merged(name, attempt)

    def _taken(self, name: str, place: Place) -> dict[str, Any]:
        """Take a run's work over, as a commit of the task's own branch, once."""
        repository = Repository(self._work.repository)
        made = f"{self._work.task}/{name}"
        at = repository.begun(self._branch)
        if place.commit and not repository.made(made, self._at, at):
            tree = repository.tree(place.commit)
            if tree != repository.tree(at):
                commit = repository.commit(tree, [self._at], self._title, made)
                repository.move(self._branch, commit, self._at)
                at = commit
        if not place.error:
            repository.drop_run(place.branch, place.folder)
        marked = repository.marked(at, self._files) if self._files else []
        return {"commit": at, "tree": repository.tree(at), "marked": marked}

    def _look_at(self, taken: dict[str, Any]) -> None:
        """What needs no gate to be seen."""
        if taken["marked"]:
            why = f"A conflict is still marked in {', '.join(taken['marked'])}."
            raise Ended(Failure(kind="conflict", why=why))
        if taken["tree"] not in self._seen:
            self._seen.append(taken["tree"])
            self._in_vain = 0
            return
        self._in_vain += 1
        if self._in_vain == STUCK:
            why = f"{self._work.coder} changed nothing, or what it had before, {STUCK} times in a row."
            raise Ended(Failure(kind="stuck", why=why))
        why = "You changed nothing, or made it again what it was before. " + self._before()
        raise Ended(Failure(kind="gate_red", why=why))

    def _before(self) -> str:
        """Why the attempt before failed."""
        earlier = [attempt.failure.why for attempt in self._attempts if attempt.failure]
        return earlier[-1] if earlier else ""

    async def _judged(self) -> dict[str, Any]:
        """What the gates say of the last commit."""
        repository = await run_sync(Repository, self._work.repository)
        async with repository.worktree(self._at, self._folder, files=False) as place:
            verdict = await self._check(place, self._start, self._policy)
        return verdict.model_dump(mode="json")

    def _must(self, verdict: Verdict) -> None:
        if not verdict.green:
            raise Ended(Failure(kind="gate_red", why=verdict.feedback()))

    async def _reviewed(self, name: str) -> review.Review:
        """What the reviewer says, asked again where that is of no use."""
        reviewer, wrong = self._work.reviewer, ""
        in_code = await step(f"{name} reviewer", lambda: self._agents.works_in_code(reviewer))
        diff = await step(f"{name} diff", lambda: run_sync(self._diff))
        for asked in range(1, review.ASKED + 1):
            task = review.task(self._work.prp, diff, wrong)
            ran = await self._run(
                f"{name} review-{asked}", reviewer, task, self._work.repository if in_code else ""
            )
            if ran.failure is not None:
                raise Ended(ran.failure.model_copy(update={"kind": "tool_error"}))
            await step(f"{name} review-{asked} tidy", partial(run_sync, self._drop, ran.place))
            try:
                return review.read(ran.answer)
            except review.NoReview as error:
                wrong = str(error)
        why = f"{reviewer} gave no review, {review.ASKED} times: {wrong}"
        raise Ended(Failure(kind="tool_error", why=why))

    async def _merged(self, name: str, attempt: Attempt) -> str:
        """The commit of the integration branch with the work.

        Raises:
            Ended: merged with what others did meanwhile it is not good.
        """
        asked = Merge(
            title=self._title,
            step=f"{self._work.task}/merge",
            start=self._start,
            work=self._at,
            own=self._branch,
            into=self._work.branch,
        )

        async def do() -> dict[str, Any]:
            repository = await run_sync(Repository, self._work.repository)
            merged = await merge(repository, asked, self._policy, self._check, self._folder)
            return merged.model_dump(mode="json")

        merged = Merged.model_validate(await step(f"{name} merge", do))
        attempt.verdict = merged.verdict or attempt.verdict
        if merged.commit:
            return merged.commit
        self._at, self._start, self._files = merged.again, merged.start, merged.files
        self._seen = [merged.tree]
        if merged.files:
            why = f"It conflicts with what was merged meanwhile, in {', '.join(merged.files)}."
            raise Ended(Failure(kind="conflict", why=why))
        why = f"Merged with what others did meanwhile it is red. {self._feedback(merged)}"
        raise Ended(Failure(kind="gate_red", why=why))

    async def _run(self, name: str, agent: str, task: str, repository: str) -> Ran:
        """A run of an agent, and again where its failure's class says so."""
        number, branch = 0, self._branch if repository else ""

        async def do(id: str) -> dict[str, Any]:
            ran = await self._agents.done(agent, task, repository, branch, id=id, seconds=self._work.seconds)
            return ran.model_dump(mode="json")

        for again in count():
            id = f"{self._key}-{name.replace(' ', '-')}-{number}"
            ran = Ran.model_validate(await step(name, partial(do, id)))
            if ran.failure is None or again >= RECOVERIES[ran.failure.kind].again:
                return ran
            number += ran.ended
            await wait(ran.failure, again)
        raise AssertionError

    def _feedback(self, merged: Merged) -> str:
        return Verdict.model_validate(merged.verdict).feedback()

    def _diff(self) -> str:
        return Repository(self._work.repository).diff(self._start, self._at, review.MOST_DIFF)

    def _drop(self, place: Place) -> None:
        """Have no more of a run whose work is not needed."""
        Repository(self._work.repository).drop_run(place.branch, place.folder)

    def _tidy(self, is_merged: bool) -> str:
        """Leave no worktree, and no branch that is merged. There is nothing to be said of it."""
        repository = Repository(self._work.repository)
        repository.clear(self._folder)
        if is_merged:
            repository.drop(self._branch)
        return ""
