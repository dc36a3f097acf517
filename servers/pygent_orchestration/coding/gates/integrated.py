"""L3: a command of the repository's or the policy's, in a copy of the work that it may write to."""

from __future__ import annotations

import shutil

from anyio.to_thread import run_sync

from pygent_orchestration.coding.gates.bench import Bench
from pygent_orchestration.coding.gates.demands import Demands
from pygent_shared.sandbox.run import ENVIRONMENT

PYTHONS = ("python", "python3")
"""Means the Python that the tests are run with."""


async def integrated(bench: Bench, demands: Demands) -> tuple[str, str]:
    """Why the command is red, empty where it exits with 0; and its output.

    Raises:
        SandboxMissing: this machine cannot give the sandbox.
    """
    copy = bench.folder / "integrated"
    await run_sync(lambda: shutil.copytree(bench.tree, copy, symlinks=True))
    bench.given(copy)
    program, *arguments = demands.integration
    words = [str(bench.python) if program in PYTHONS else program, *arguments]
    environ = {
        "PATH": f"{bench.python.parent}:{ENVIRONMENT['PATH']}",
        "PYTHONPATH": str(copy / demands.policy.sources),
    }
    try:
        ended = await bench.ran(words, write=copy, environ=environ)
    except FileNotFoundError:
        return f'there is no program "{program}"', ""
    shown = " ".join(demands.integration)
    why = f"`{shown}` exits with {ended.code}" if ended.code else ""
    return ended.killed or why, ended.output
