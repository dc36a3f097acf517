"""Programs in a workspace: in the sandbox for code that nobody trusts, and not at all where there is none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio.to_thread

from pygent_factory.workspace.git import Worktree
from pygent_shared.sandbox import Sandbox, environment
from pygent_shared.sandbox.run import ENVIRONMENT, Bounds, Ended, run, user

PROCESSES = 128
MEMORY_MB = 2048
FILE_MB = 256


async def ran(worktree: Worktree, argv: list[str], seconds: float, output: int = 16_000) -> Ended:
    """Run a program in the worktree.

    Raises:
        SandboxMissing: this machine cannot give the sandbox.
    """
    if os.geteuid() == 0:
        await anyio.to_thread.run_sync(_hand_over, worktree.folder, await anyio.to_thread.run_sync(user))
    sandbox = Sandbox(
        network=False,
        write=(worktree.folder,),
        read=(worktree.folder / ".git", *(environment.seen(own) if (own := worktree.environment) else ())),
        memory_mb=MEMORY_MB,
        cpu_seconds=int(seconds) + 1,
        processes=PROCESSES,
        file_mb=FILE_MB,
    )
    bounds = Bounds(seconds=seconds, output=output)
    return await run(argv, sandbox, cwd=worktree.folder, environ=_environ(worktree), bounds=bounds)


def python(worktree: Worktree) -> Path:
    """The Python whose packages the repository's code needs: its own environment's, else this one."""
    own = worktree.environment
    return environment.python(own) if own else Path(sys.executable)


def _environ(worktree: Worktree) -> dict[str, str]:
    """Nothing of ours: where programs are, and that caches go to the sandbox's own /tmp."""
    code = [str(place) for place in (worktree.folder, worktree.folder / "src") if place.is_dir()]
    return {
        "PATH": f"{python(worktree).parent}:{ENVIRONMENT['PATH']}",
        "PYTHONPATH": ":".join(code),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MYPY_CACHE_DIR": "/tmp/mypy",
        "RUFF_CACHE_DIR": "/tmp/ruff",
        "COVERAGE_FILE": "/tmp/coverage",
    }


def _hand_over(folder: Path, user: int) -> None:
    """Give what root has made to the user the sandbox is run as."""
    for place, folders, names in os.walk(folder):
        for path in [place, *(os.path.join(place, name) for name in (*folders, *names))]:
            os.chown(path, user, user, follow_symlinks=False)
