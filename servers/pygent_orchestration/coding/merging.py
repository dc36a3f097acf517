"""The merge queue of a repository: one merge at a time, in whichever process, and what is merged has
passed the gates as it is after the merge.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync
from pydantic import BaseModel

from pygent_orchestration.coding.gates import Policy, Verdict
from pygent_orchestration.coding.git import Repository
from pygent_shared import locks

LOOK_SECONDS = 0.1

Check = Callable[[Path, str, Policy], Awaitable[Verdict]]
"""`gates.check`."""


class Merge(BaseModel):
    """What is to be merged: `work`, made after `start`, into a branch.

    Args:
        step: what makes the merge, for its trailer.
        own: the branch that `work` is the last commit of.
    """

    title: str
    step: str
    start: str
    work: str
    own: str
    into: str


class Merged(BaseModel):
    """What came of it.

    Args:
        commit: the branch's, with the work; "" where it could not be merged.
        again: the commit on the work's own branch from which it has to be mended: both sides, merged.
        tree: its files.
        start: what `again` is measured against: the last commit of the branch it is to be merged into.
        files: those that both sides changed, with the conflicts marked.
        verdict: of the gates on the merged files; None where these are the very ones the gates saw before.
    """

    commit: str = ""
    again: str = ""
    tree: str = ""
    start: str = ""
    files: list[str] = []
    verdict: dict[str, Any] | None = None


def turn(repository: Repository) -> AbstractAsyncContextManager[None]:
    """Wait for this repository's queue to be free, and have it. A process that dies gives it back."""
    return locks.turn(repository.kept / "pygent" / "merging.lock", LOOK_SECONDS)


async def merge(repository: Repository, asked: Merge, policy: Policy, check: Check, folder: Path) -> Merged:
    """Merge green work into a branch, once.

    Where the branch has gone on since the work began, the merged files are judged before the branch is moved;
    if they conflict, or are red, the branch stays and the work's own branch has both sides.

    Args:
        folder: for a worktree meanwhile.

    Raises:
        FileRefused: the branch is checked out somewhere, with changes that no commit has.
        GitFailed: git says no.
        SandboxMissing: the gates cannot run here.
    """
    async with turn(repository):
        head = await run_sync(repository.begun, asked.into)
        if made := await run_sync(repository.made, asked.step, asked.start, head):
            return Merged(commit=made)
        tree, files = await run_sync(repository.merged, head, asked.work)
        if files:
            return await run_sync(_back, repository, asked, head, tree, Merged(files=files))
        parents = [head, asked.work]
        commit = await run_sync(repository.commit, tree, parents, asked.title, asked.step)
        merged = Merged(commit=commit)
        if tree != await run_sync(repository.tree, asked.work):
            async with repository.worktree(commit, folder, files=False) as place:
                verdict = await check(place, head, policy)
            merged.verdict = verdict.model_dump(mode="json")
            if not verdict.green:
                return await run_sync(_back, repository, asked, head, tree, merged)
        await run_sync(repository.move, asked.into, commit, head)
        return merged


def _back(repository: Repository, asked: Merge, head: str, tree: str, merged: Merged) -> Merged:
    """Put both sides on the work's own branch, once, to be mended there."""
    step = f"{asked.step}-again-{asked.work[:12]}"
    at = repository.begun(asked.own)
    if not (again := repository.made(step, asked.work, at)):
        again = repository.commit(tree, [asked.work, head], f"With {asked.into}: {asked.title}", step)
        repository.move(asked.own, again, at)
    return merged.model_copy(update={"commit": "", "tree": tree, "again": again, "start": head})
