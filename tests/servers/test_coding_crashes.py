"""kill -9 in the middle of coding tasks: they come to their ends, and nothing is in the repository twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from anyio.to_thread import run_sync

from pygent_orchestration.coding.work import Done

from .coding_peers import git, repository
from .coding_worker import GOOD, engine_of

pytestmark = pytest.mark.anyio

WORKER = Path(__file__).with_name("coding_worker.py")
PATIENCE = 90.0


@contextmanager
def worker(folder: Path, dies: str, count: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process at work; it is killed at the end of the block if it still is."""
    asked = [sys.executable, WORKER, folder, dies, str(count)]
    with subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def noted(folder: Path, what: str) -> list[str]:
    """The lines of the log that begin so, after the process."""
    done = folder / "done"
    lines = done.read_text().splitlines() if done.exists() else []
    return [rest for _, _, rest in (line.partition(" ") for line in lines) if rest.startswith(what)]


def until(folder: Path, what: str, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(noted(folder, what)) < count:
        assert time.monotonic() < deadline, noted(folder, "")
        time.sleep(0.02)


async def ended(folder: Path, count: int) -> list[Done]:
    """The tasks, finished by this process where they are not yet."""
    engine = engine_of(folder)
    async with engine.running():
        found = [await engine.wait(f"task-{number}", PATIENCE) for number in range(count)]
    assert [(status.state, status.error) for status in found] == [("done", "")] * count
    return [Done.model_validate(status.result) for status in found]


def made(place: Path) -> list[str]:
    """The steps that made the commits of the feature, sorted."""
    form = "--format=%(trailers:key=PyGent-Task,valueonly,separator=%x2C)"
    return sorted(git(place, "log", form, "main..feature/f").splitlines())


def clean(place: Path) -> bool:
    """Whether there is nothing in the repository but what is the user's, and the feature."""
    branches = git(place, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    return (branches, git(place, "worktree", "list").count("\n")) == (["feature/f", "main"], 0)


async def test_killed_after_each_change_of_a_branch_before_it_is_written_down_none_is_made_twice(
    tmp_path: Path,
) -> None:
    place = repository(tmp_path / "repository", {"README": "Doubles.\n"})

    def kill_over_and_over() -> None:
        for _ in range(5):  # the feature, the task's own, two attempts, the merge
            with worker(tmp_path, "move", 1) as process:
                process.wait(PATIENCE)

    await run_sync(kill_over_and_over)
    [done] = await ended(tmp_path, 1)
    assert [line.split()[1] for line in noted(tmp_path, "moved")] == [
        "feature/f",
        *["pygent-task/t0"] * 3,
        "feature/f",
    ]
    assert (done.state, len(done.attempts)) == ("green", 2)
    assert made(place) == ["t0/attempt-1", "t0/attempt-2", "t0/merge"]
    assert git(place, "show", "feature/f:t0.py") == GOOD.strip()
    assert len(noted(tmp_path, "run")) == 2
    assert clean(place)


@pytest.mark.parametrize(("moment", "count"), [("run", 2), ("gates", 5)])
async def test_killed_in_the_middle_of_a_run_or_of_gates_two_tasks_are_finished_by_another_process(
    tmp_path: Path, moment: str, count: int
) -> None:
    place = repository(tmp_path / "repository", {"README": "Doubles.\n"})
    with worker(tmp_path, moment, 2) as process:
        await run_sync(until, tmp_path, moment, count)
        process.kill()
    both = await ended(tmp_path, 2)
    assert [(done.state, len(done.attempts)) for done in both] == [("green", 2)] * 2
    steps = ("attempt-1", "attempt-2", "merge")
    assert made(place) == sorted(f"t{number}/{step}" for number in range(2) for step in steps)
    runs = noted(tmp_path, "run")
    assert len({*runs}) == 4
    assert len(runs) <= 4 + 2  # a run is the factory's to go on with, and the one of these tests died too
    assert len(noted(tmp_path, "gates")) <= 5 + 2  # two in flight were done again, at most
    assert clean(place)
