"""A feature's branch into the target branch, and out again where its health command is red.

The one rule: after a red health command the target has, byte for byte, the files it had before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from anyio.to_thread import run_sync
from pydantic import BaseModel, Field

from pygent_orchestration.coding import gates
from pygent_orchestration.coding.gates import Policy, tree
from pygent_orchestration.coding.gates.bench import opened
from pygent_orchestration.coding.gates.demands import Demands
from pygent_orchestration.coding.gates.integrated import integrated
from pygent_orchestration.coding.git import GitFailed, Repository
from pygent_orchestration.coding.merging import Check, turn
from pygent_orchestration.coding.recovery import classed
from pygent_orchestration.coding.work import Failure, Id
from pygent_shared.errors import FileRefused, PygentError

State = Literal["deployed", "rolled_back", "failed"]


class Deploy(BaseModel):
    """What is to be deployed.

    Args:
        feature: its id; deployed again after a rollback, it is deployed under another `step`.
        repository: the folder of a git repository.
        branch: the feature's integration branch.
        target: the branch it is merged into.
        health: a command that exits with 0 where all is well: words, or a text for a shell. It is run as the
            integration gate's is: in the sandbox, in a copy of the files. None: the gates alone decide.
        policy: of the gates on the merged files, as `gates.Policy` has it.
        seconds: that the health command may take.
    """

    feature: Id
    repository: str
    branch: str
    target: str
    health: list[str] | str | None = None
    policy: dict[str, Any] = {}
    seconds: float = Field(default=600.0, gt=0)
    step: str = "deploy"


class Deployed(BaseModel):
    """What came of it: `commit` is the target's last, `tree` its files' name, `before` what they were."""

    state: State
    commit: str = ""
    tree: str = ""
    before: str = ""
    verdict: dict[str, Any] | None = None
    health: str = ""
    failure: Failure | None = None


class _Red(Exception):
    """It is not merged."""

    def __init__(self, failure: Failure, verdict: dict[str, Any] | None = None) -> None:
        self.failure, self.verdict = failure, verdict


async def deploy(folder: Path, asked: Deploy, check: Check = gates.check) -> Deployed:
    """Deploy a feature: to be done in one step of a workflow, as it goes on with what it finds done.

    Args:
        folder: for a worktree meanwhile.
        check: the gates.
    """
    try:
        repository = await run_sync(Repository, asked.repository)
        async with turn(repository):
            return await _deployed(repository, folder, asked, check)
    except PygentError as error:
        return Deployed(state="failed", failure=classed(type(error).__name__, str(error)))


async def _deployed(repository: Repository, folder: Path, asked: Deploy, check: Check) -> Deployed:
    head = await run_sync(repository.begun, asked.target)
    work = await run_sync(repository.begun, asked.branch)
    since = await run_sync(repository.git, "merge-base", head, work)
    commit = await run_sync(repository.made, f"{asked.feature}/{asked.step}", since, head)
    verdict = None
    if not commit:
        if await run_sync(repository.has, head, work):
            why = f'"{asked.target}" has all of "{asked.branch}" already.'
            return Deployed(state="failed", failure=Failure(kind="refused", why=why))
        try:
            commit, verdict = await _merged(repository, folder, asked, head, work, check)
        except _Red as red:
            same = await run_sync(repository.tree, head)
            return Deployed(
                state="failed", commit=head, tree=same, before=same, verdict=red.verdict, failure=red.failure
            )
        await run_sync(repository.move, asked.target, commit, head)
    before = await run_sync(repository.tree, f"{commit}^1")
    failure: Failure | None = Failure(kind="gate_red", why="Its health was red, and it was taken out again.")
    if await run_sync(repository.made, _rollback(asked), commit, head):
        said = ""
    else:
        said, failure = await _health(repository, asked, commit)
    state: State = "deployed"
    if failure is not None:
        try:
            await run_sync(_back, repository, asked, commit)
            state = "rolled_back"
        except (FileRefused, GitFailed) as error:
            why = f'{failure.why}\nIt is still in "{asked.target}": {error}'
            state, failure = "failed", Failure(kind=failure.kind, why=why)
    last = await run_sync(repository.begun, asked.target)
    return Deployed(
        state=state,
        commit=last,
        tree=await run_sync(repository.tree, last),
        before=before,
        verdict=verdict,
        health=said,
        failure=failure,
    )


async def _merged(
    repository: Repository, folder: Path, asked: Deploy, head: str, work: str, check: Check
) -> tuple[str, dict[str, Any]]:
    """The commit to be deployed, whose files the gates saw, and what they said.

    Raises:
        _Red: it conflicts, or a gate is red.
    """
    both, files = await run_sync(repository.merged, head, work)
    if files:
        why = f'"{asked.branch}" conflicts with "{asked.target}" in {", ".join(files)}.'
        raise _Red(Failure(kind="conflict", why=why))
    title, step = f"Feature {asked.feature}", f"{asked.feature}/{asked.step}"
    commit = await run_sync(repository.commit, both, [head, work], title, step)
    async with repository.worktree(commit, folder, files=False) as place:
        verdict = await check(place, head, Policy.model_validate(asked.policy))
    said = verdict.model_dump(mode="json")
    if not verdict.green:
        raise _Red(Failure(kind="gate_red", why=verdict.feedback()), said)
    return commit, said


async def _health(repository: Repository, asked: Deploy, commit: str) -> tuple[str, Failure | None]:
    """What the health command says of the target's files, and what is wrong."""
    if not asked.health:
        return "", None
    words = ["/bin/sh", "-c", asked.health] if isinstance(asked.health, str) else asked.health
    policy = Policy.model_validate(asked.policy)
    demands = Demands(
        policy=policy, lint=False, types=False, coverage=False, deployment=False, integration=words
    )
    try:
        own = await run_sync(tree.environment, repository.top)
        with opened(asked.seconds, own) as bench:
            await run_sync(tree.write, repository.top, commit, bench.tree)
            why, output = await integrated(bench, demands)
    except PygentError as error:
        return str(error), classed(type(error).__name__, str(error))
    said = f"{why}\n{output}".strip()
    return said, Failure(kind="gate_red", why=f"The health command is red: {said}") if why else None


def _rollback(asked: Deploy) -> str:
    """The step that makes the commit that takes it out."""
    return f"{asked.feature}/{asked.step}-rollback"


def _back(repository: Repository, asked: Deploy, commit: str) -> None:
    """Let the target be what it was; where others have gone on from there, without this merge's changes.

    Raises:
        GitFailed: what others did is in the way.
    """
    step = _rollback(asked)
    if (head := repository.begun(asked.target)) == commit:
        repository.move(asked.target, repository.git("rev-parse", f"{commit}^1"), commit)
    elif repository.has(head, commit) and not repository.made(step, commit, head):
        repository.move(asked.target, repository.without(commit, head, step), head)
