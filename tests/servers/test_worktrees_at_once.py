"""Many worktrees of one repository come and go at once: of the factory's runs, and of coding tasks."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from pygent_factory.workspace import git
from pygent_orchestration.coding.git import Repository

TASKS = 8
EACH = 5


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "repository"
    who = ("-c", "user.name=T", "-c", "user.email=t@localhost")
    for words in (
        ("init", "-q", "-b", "main", str(place)),
        ("commit", "-q", "--allow-empty", "-m", "Nothing"),
    ):
        subprocess.run(["git", *who, *words], cwd=place if place.exists() else tmp_path, check=True)
    return place


def test_runs_and_tasks_at_once_leave_nothing_and_fail_nowhere(place: Path, tmp_path: Path) -> None:
    begun, kept = git.source(str(place)), Repository(place)

    async def gate(name: str) -> None:
        async with kept.worktree(begun.commit, tmp_path / f"task-{name}"):
            pass

    def work(number: int) -> None:
        for count in range(EACH):
            name = f"{number}-{count}"
            run = git.begin(begun, tmp_path / f"run-{name}", f"pygent/{name}")
            anyio.run(gate, name)
            kept.drop_run(run.branch, run.folder)

    with ThreadPoolExecutor(TASKS) as threads:
        list(threads.map(work, range(TASKS)))
    assert kept.git("worktree", "list").count("\n") == 0
    assert kept.git("for-each-ref", "--format=%(refname:short)", "refs/heads") == "main"


def test_a_run_is_dropped_that_was_dropped_halfway_before(place: Path, tmp_path: Path) -> None:
    run = git.begin(git.source(str(place)), tmp_path / "run", "pygent/run")
    kept = Repository(place)
    kept.clear(run.folder)
    kept.drop_run(run.branch, run.folder)
    assert kept.head("pygent/run") == ""
