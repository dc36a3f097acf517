"""What work must pass before it is merged: `await check(worktree, base, policy)` judges a worktree's HEAD."""

from __future__ import annotations

import time
from pathlib import Path

from anyio.to_thread import run_sync

from pygent_orchestration.coding.gates import paths, tree
from pygent_orchestration.coding.gates.policy import Policy
from pygent_orchestration.coding.gates.verdict import Gate, Verdict

__all__ = ["Gate", "Policy", "Verdict", "check"]


async def check(worktree: Path, base: str, policy: Policy) -> Verdict:
    """Judge what is committed in a worktree.

    Args:
        worktree: its HEAD is judged; no file of it is looked at.
        base: the commit that the work began with: what differs from it is the work.
        policy: what is demanded.

    Raises:
        FileRefused: there is no such worktree or commit, or no such tests.
        SandboxMissing: this machine has no sandbox for code that nobody trusts.
    """
    begun = await run_sync(tree.commit, worktree, base)
    last = await run_sync(tree.commit, worktree)
    return Verdict.of(last, [await run_sync(_touched, worktree, begun, last, policy)])


def _touched(worktree: Path, base: str, last: str, policy: Policy) -> Gate:
    began = time.monotonic()
    tests = () if policy.tests is None else (place.name for place in policy.tests.rglob("*.py"))
    changes = tree.changes(worktree, base, last)
    bad = list(paths.refused(changes, policy.paths, sources=policy.sources, tests=tests))
    return Gate(
        level=0,
        name="paths",
        green=not bad,
        seconds=time.monotonic() - began,
        output="\n".join(bad),
        why="the work touches files that are not its own. Undo that." if bad else "",
    )
