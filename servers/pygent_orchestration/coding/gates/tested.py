"""L2: the tests that decide, run against the work."""

from __future__ import annotations

import shutil
from pathlib import Path
from secrets import token_hex

from anyio.to_thread import run_sync

from pygent_orchestration.coding.gates import report
from pygent_orchestration.coding.gates.bench import Bench, has, left
from pygent_orchestration.coding.gates.demands import Demands
from pygent_orchestration.coding.gates.policy import Policy
from pygent_shared.errors import FileRefused

RUNNER = Path(__file__).with_name("runner.py")
NO_COVERAGE = "-"
_CANARY = f"def {report.CANARY}(pygent_words):\n    raise AssertionError(pygent_words())\n"


async def tested(bench: Bench, demands: Demands) -> tuple[str, str]:
    """Why the tests are no proof, empty where they are; and what pytest printed.

    Raises:
        FileRefused: there are no such tests.
        SandboxMissing: this machine cannot give the sandbox.
    """
    if demands.coverage:
        has(bench, "coverage", "counting the lines that tests run")
    covers = str(bench.config / demands.cover) if demands.cover else ""
    place, sources = "tested", bench.tree / demands.policy.sources
    why, output = await proven(
        bench,
        demands.policy,
        place,
        bench.python,
        sources,
        seen=bench.tree,
        covers=covers if demands.coverage else NO_COVERAGE,
    )
    if not why and demands.coverage:
        why = _uncovered(left(bench.folder / place, "coverage"), demands.least_cover)
    return why, output


async def proven(
    bench: Bench,
    policy: Policy,
    place: str,
    python: Path,
    sources: Path,
    *,
    seen: Path,
    covers: str = NO_COVERAGE,
) -> tuple[str, str]:
    """Why the tests of the policy are no proof, empty where they are; and what pytest printed.

    Args:
        place: a new name on the bench.
        python: that they are run with.
        sources: where the work is imported from.
        seen: what of the work is shown.
        covers: the file with the rules of coverage; empty for none.

    Raises:
        FileRefused: there are no such tests.
        SandboxMissing: this machine cannot give the sandbox.
    """
    assert policy.tests is not None
    has(bench, "pytest", "running tests")
    out = bench.place(place)
    trusted = bench.folder / f"{place}-trusted"
    tests, canary = trusted / "tests", trusted / "canary" / f"{report.CANARY}.py"
    canary.parent.mkdir(parents=True)
    canary.write_text(_CANARY)
    least = await run_sync(_copied, policy.tests, tests)
    secret = token_hex(16)
    (out / "secret").write_text(secret)
    bench.given(out)
    words = [str(python), "-I", str(RUNNER), str(out), str(bench.seconds), covers, str(sources)]
    read = (seen, trusted, RUNNER, *([bench.config] if covers else []))
    ended = await bench.ran([*words, str(tests), str(canary)], write=out, read=read)
    if ended.killed:
        return ended.killed, ended.output
    found = left(out, "report.xml")
    return report.wrong(found, secret=secret, expected=policy.expected, least=least), ended.output


def _uncovered(share: bytes | None, least: float) -> str:
    """Why too few lines were run; empty where enough were."""
    try:
        found = float(share or b"0")
    except ValueError:
        found = 0.0
    return "" if found >= least else f"the tests run {found:.1f} % of the lines, and {least:g} % must be"


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
