"""kill -9 in the middle of workflows: all come to their ends, and only what was in flight is done again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest

from pygent_orchestration import reading
from pygent_orchestration.store import MIGRATIONS, Store, now
from pygent_shared.database import Database

from .workflow_worker import at_work

pytestmark = pytest.mark.anyio

WORKER = Path(__file__).with_name("workflow_worker.py")
PATIENCE = 90.0

DAG = {
    "plan": [],
    "models": ["plan"],
    "ui": ["plan"],
    "api": ["models"],
    "db": ["models"],
    "tests_api": ["api"],
    "tests_db": ["db"],
    "docs": ["ui"],
    "review": ["tests_api", "tests_db", "docs"],
}
CHAIN = {"s0": [], "s1": ["s0"], "s2": ["s1"], "s3": ["s2"], "s4": ["s3"]}


def text(graph: dict[str, list[str]], concurrency: int = 3) -> str:
    steps = [
        f'[steps.{name}]\nneeds = {needs}\ntool = "work__do"\nwith.what = "{{{{ inputs.id }}}}.{name}"\n'
        for name, needs in graph.items()
    ]
    return f"concurrency = {concurrency}\n[inputs.id]\n{''.join(steps)}"


def define(folder: Path, name: str, source: str) -> None:
    database = Database(folder / "orchestration.db", MIGRATIONS)
    Store(database).define(name, reading.definition(source, "toml"), now())
    database.close()


@contextmanager
def worker(
    folder: Path, store: str = "", name: str = "none", count: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """A process at work; it is killed at the end of the block if it still is."""
    asked = [sys.executable, WORKER, folder, store, name, str(count)]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def calls(folder: Path) -> list[list[str]]:
    """Of each call, the process and what it was."""
    done = folder / "done"
    return [line.split() for line in done.read_text().splitlines()] if done.exists() else []


def has_begun(folder: Path, pid: int) -> None:
    """Wait until a process has begun all that it was to begin."""
    deadline = time.monotonic() + PATIENCE
    while [str(pid), "begun"] not in calls(folder):
        assert time.monotonic() < deadline, calls(folder)
        time.sleep(0.02)


def until(folder: Path, count: int, pid: int = 0) -> None:
    """Wait for so many calls, of one process if one is named."""
    deadline = time.monotonic() + PATIENCE
    while len([1 for other, what, *_ in calls(folder) if "." in what and pid in (0, int(other))]) < count:
        assert time.monotonic() < deadline, calls(folder)
        time.sleep(0.02)


def again(folder: Path, killed: int) -> list[str]:
    """What was done twice: once by the process that was killed, and once by another."""
    by: dict[str, list[int]] = defaultdict(list)
    for pid, what, *_ in calls(folder):
        if "." in what:
            by[what].append(int(pid))
    for what, pids in by.items():
        assert len(pids) == 1 or (len(pids) == 2 and pids[0] == killed != pids[1]), (what, pids)
    return [what for what, pids in by.items() if len(pids) == 2]


async def all_done(folder: Path, store: str, ids: list[str]) -> None:
    orchestration = at_work(folder, store)
    async with orchestration.lifespan(None):
        workflows = await orchestration.workflows()
        for id in ids:
            standing = await workflows.follow(id, PATIENCE)
            assert (standing.state, {node.state for node in standing.steps}) == ("done", {"done"}), standing


@pytest.mark.parametrize(("graph", "in_flight"), [(CHAIN, 1), (DAG, 3)], ids=["chain", "dag"])
async def test_after_kill_9_only_the_steps_in_flight_are_done_again(
    tmp_path: Path, graph: dict[str, list[str]], in_flight: int
) -> None:
    define(tmp_path, "w", text(graph))
    with worker(tmp_path, name="w", count=1) as process:
        await anyio.to_thread.run_sync(until, tmp_path, 4)
        process.kill()
        process.wait()
        assert process.stdout is not None
        assert process.stdout.read() == b""
    await all_done(tmp_path, "", ["w-0"])
    assert len(again(tmp_path, process.pid)) <= in_flight
    done = [what.partition(".")[2] for _, what, *_ in calls(tmp_path) if "." in what]
    assert set(done) == set(graph)
    assert all(done.index(before) < done.index(name) for name, needs in graph.items() for before in needs)


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
async def test_of_three_processes_two_finish_what_the_third_was_at(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres") if store == "postgresql" else ""
    define(tmp_path, store, text(CHAIN))
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(worker(tmp_path, url))
        first = stack.enter_context(worker(tmp_path, url, store, 9))
        await anyio.to_thread.run_sync(has_begun, tmp_path, first.pid)
        await anyio.to_thread.run_sync(until, tmp_path, 4, first.pid)
        first.kill()
        await anyio.to_thread.run_sync(until, tmp_path, 9 * len(CHAIN))
        await all_done(tmp_path, url, [f"{store}-{number}" for number in range(9)])
    assert len(again(tmp_path, first.pid)) <= 3  # as many as a process is at, here
    assert len({pid for pid, what, *_ in calls(tmp_path) if "." in what}) >= 3
    assert not [line for line in calls(tmp_path) if "connects" in line]


async def test_an_approval_outlasts_the_process_that_asked_for_it(tmp_path: Path) -> None:
    source = text({"before": []}) + '[steps.ok]\napproval = "Go?"\nneeds = ["before"]\n'
    source += '[steps.after]\nneeds = ["ok"]\ntool = "work__do"\nwith = { what = "{{ inputs.id }}.after" }\n'
    define(tmp_path, "w", source)
    with worker(tmp_path, name="w", count=1) as process:
        database = Database(tmp_path / "orchestration.db", MIGRATIONS)
        with anyio.fail_after(PATIENCE):
            while not Store(database).noted("w-0"):
                await anyio.sleep(0.02)
        await anyio.sleep(0.2)  # the request stands, and nobody has answered
        database.close()
        process.kill()
    orchestration = at_work(tmp_path, "")
    async with orchestration.lifespan(None):
        workflows = await orchestration.workflows()
        assert (await workflows.get("w-0")).state in ("running", "waiting")
        await workflows.decide("w-0", "", "yes", approved=True)
        assert (await workflows.follow("w-0", PATIENCE)).state == "done"
        assert [event.kind for event in await workflows.history("w-0")].count("approved") == 1
    assert [what for _, what, *_ in calls(tmp_path) if "." in what] == ["w-0.before", "w-0.after"]
