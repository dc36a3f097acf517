"""The workspaces of runs: asked for when a run begins, made and kept as steps of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync

from pygent_factory.workspace import git
from pygent_factory.workspace.git import Source, Worktree
from pygent_factory.workspace.tools import PREFIX, SANDBOXED
from pygent_shared.durable.failure import Failed
from pygent_shared.durable.status import Step
from pygent_shared.errors import FileRefused, InvalidArgument, SandboxMissing
from pygent_shared.sandbox.run import missing

log = logging.getLogger(__name__)

BEGIN = "begin workspace"
"""The step that makes it."""
DIRTY = "The repository has changes that are in no commit: the work began without them."


class Workspaces:
    """Worktrees in a folder of ours, each on a branch `pygent/RUN`; both stay when the run has ended.

    Args:
        folder: where they are made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def asked(
        self, tools: Sequence[Mapping[str, Any]], path: str, branch: str
    ) -> dict[str, Any] | None:
        """What a run with these tools begins with, for JSON; None where it needs no workspace.

        Raises:
            InvalidArgument: it needs one and none is named, or the other way round.
            SandboxMissing: it runs programs, and this machine has no sandbox for them.
            FileRefused, UnknownName: there is no such repository, or no such branch.
        """
        mine = [item["name"] for item in tools if item["name"].startswith(PREFIX)]
        if not mine and not path:
            return None
        if not path:
            cure = 'Name a git repository: run_agent(…, workspace="/path/of/it").'
            raise InvalidArgument("workspace", "is missing, and this agent works in one", cure)
        if not mine:
            cure = "Leave it out, or configure_agent(…, tools=[…, 'workspace__*'])."
            raise InvalidArgument("workspace", "is of no use to an agent without workspace tools", cure)
        if set(mine) & set(SANDBOXED) and (lacking := await run_sync(missing)):
            raise SandboxMissing(f"this agent runs code, and {lacking.why}", lacking.cure)
        return (await run_sync(git.source, path, branch)).model_dump(mode="json")

    async def begin(self, run: str, asked: Mapping[str, Any]) -> Worktree:
        """Make it: a step of the run."""
        from pygent_shared.durable import workflow

        async def make() -> dict[str, Any]:
            source = Source.model_validate(asked)
            made = await run_sync(git.begin, source, self._folder / run, f"pygent/{run}")
            return made.model_dump(mode="json")

        return Worktree.model_validate(await workflow.step(BEGIN, make))

    async def keep(self, run: str, worktree: Worktree, asked: Mapping[str, Any], task: str) -> dict[str, Any]:
        """Commit what was done: a step of the run. What cannot be committed stays in the folder."""
        from pygent_shared.durable import workflow

        async def commit() -> dict[str, Any]:
            kept = await run_sync(git.keep, worktree, _message(run, task))
            return kept.model_dump(mode="json")

        try:
            kept = await workflow.step("keep workspace", commit)
        except Failed as error:
            kept = {"folder": str(worktree.folder), "branch": worktree.branch, "error": str(error)}
        return {**kept, "repository": str(worktree.repository), "note": DIRTY if asked["dirty"] else ""}

    async def stopped(self, run: str, worktree: Worktree, task: str) -> None:
        """Commit what a run did that was cancelled, and takes no more steps. What cannot be committed stays
        in the folder."""
        try:
            await run_sync(git.keep, worktree, _message(run, task))
        except (git.GitFailed, FileRefused) as error:
            log.warning("What run %s did is uncommitted in %s: %s", run, worktree.folder, error)

    async def left(self, worktree: Worktree) -> dict[str, Any]:
        """What there is of the workspace of a run that was cancelled."""
        try:
            left = (await run_sync(git.left, worktree)).model_dump(mode="json")
            loose = worktree.folder.exists() and await run_sync(git.loose, worktree)
            note = f"Not all of it is in a commit: the rest is in {worktree.folder}." if loose else ""
        except (git.GitFailed, FileRefused) as error:
            left = {"folder": str(worktree.folder), "branch": worktree.branch, "error": str(error)}
            note = f"What is in no commit is in {worktree.folder}."
        return {**left, "repository": str(worktree.repository), "note": note}


def made(steps: Sequence[Step]) -> Worktree | None:
    """The worktree that was made in a run; None where it has none."""
    found = next((step.result for step in steps if step.name == BEGIN and step.result), None)
    return found and Worktree.model_validate(found)


def _message(run: str, task: str) -> str:
    """Of a run's commit."""
    return f"{' '.join(task.split())[:72]}\n\nPygent-Run: {run}"
