"""L2: the tests that decide, run against the work."""

from __future__ import annotations

import shutil
from pathlib import Path
from secrets import token_hex

from anyio.to_thread import run_sync

from pygent_orchestration.coding.gates import report
from pygent_orchestration.coding.gates.bench import Bench, left
from pygent_orchestration.coding.gates.demands import Demands
from pygent_shared.errors import FileRefused

RUNNER = Path(__file__).with_name("runner.py")
_CANARY = f"def {report.CANARY}(pygent_words):\n    raise AssertionError(pygent_words())\n"


async def tested(bench: Bench, demands: Demands) -> tuple[str, str]:
    """Why the tests are no proof, empty where they are; and what pytest printed.

    Raises:
        FileRefused: there are no such tests.
        SandboxMissing: this machine cannot give the sandbox.
    """
    policy = demands.policy
    assert policy.tests is not None
    tests, canary, out = bench.folder / "tests", bench.folder / "canary", bench.place("tested")
    least = await run_sync(_copied, policy.tests, tests)
    canary.mkdir()
    (canary / f"{report.CANARY}.py").write_text(_CANARY)
    secret = token_hex(16)
    (out / "secret").write_text(secret)
    bench.given(out)
    covers = "-" if not demands.coverage else str(bench.config / demands.cover) if demands.cover else ""
    sources = bench.tree / policy.sources
    words = [str(bench.python), "-I", str(RUNNER), str(out), str(bench.seconds), covers, str(sources)]
    ended = await bench.ran(
        [*words, str(tests), str(canary / f"{report.CANARY}.py")],
        write=out,
        read=(bench.tree, tests, canary, bench.config, RUNNER),
    )
    if ended.killed:
        return ended.killed, ended.output
    found = left(out, "report.xml")
    why = report.wrong(found, secret=secret, expected=policy.expected, least=least)
    return why or _uncovered(left(out, "coverage"), demands), ended.output


def _uncovered(share: bytes | None, demands: Demands) -> str:
    """Why too few lines were run; empty where enough were."""
    if not demands.coverage:
        return ""
    try:
        found = float(share or b"0")
    except ValueError:
        found = 0.0
    least = demands.least_cover
    return (
        "" if found >= least else f"{found:.1f} % of the lines are run by the tests, and {least:g} % must be"
    )


def _copied(folder: Path, to: Path) -> int:
    """Copy the tests; returns how many there are, at least."""
    if not folder.is_dir():
        raise FileRefused(folder, "is no folder of tests", "Give a folder outside the worktree.")
    try:
        shutil.copytree(folder, to, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        return report.least(to)
    except (OSError, SyntaxError, ValueError) as error:
        why = f"cannot be taken for tests: {error}"
        raise FileRefused(folder, why, "Give a folder of Python files.") from error
