"""Workflows go on where they were, whatever ends the process; and the engine's sharp edges are off."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import apsw
import pytest

from pygent_shared.durable.engine import Engine
from pygent_shared.durable.executor import FileExecutor, PostgresExecutor
from pygent_shared.durable.failure import Failed
from pygent_shared.errors import UnknownName

from .durable_worker import counting

pytestmark = pytest.mark.anyio

WORKER = Path(__file__).with_name("durable_worker.py")
PATIENCE = 60


@contextmanager
def worker(folder: Path, *ids: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process at work; it is killed at the end of the block if it still is."""
    process = subprocess.Popen(
        [sys.executable, WORKER, folder, *ids], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def lines(folder: Path) -> list[str]:
    done = folder / "done"
    return done.read_text().splitlines() if done.exists() else []


def until(folder: Path, count: int, what: str = "") -> None:
    """Wait for so many lines with something in them."""
    deadline = time.monotonic() + PATIENCE
    while len([line for line in lines(folder) if what in line]) < count:
        assert time.monotonic() < deadline, lines(folder)
        time.sleep(0.02)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    made = counting(tmp_path)
    async with made.running():
        yield made


async def test_after_kill_9_another_process_goes_on_and_repeats_only_the_step_in_flight(
    tmp_path: Path,
) -> None:
    with worker(tmp_path, "w") as first:
        until(tmp_path, 5, " w ")
        first.kill()
        first.wait()
    async with (engine := counting(tmp_path)).running():
        status = await engine.wait("w", PATIENCE)
        assert (status.state, status.result) == ("done", {"total": 285, "said": None})
        assert [step.name for step in await engine.steps("w")][:3] == [
            "square 0",
            "DBOS.setEvent",
            "square 1",
        ]
    times = Counter(line.split()[2] for line in lines(tmp_path) if " w " in line)
    assert set(times) == set(map(str, range(10)))
    assert sum(times.values()) <= 11


async def test_a_second_process_on_the_store_leaves_what_a_living_one_is_at_alone(tmp_path: Path) -> None:
    with worker(tmp_path, "a") as first:
        until(tmp_path, 2, " a ")
        with worker(tmp_path, "b") as second:
            until(tmp_path, 10, " a ")
            until(tmp_path, 10, " b ")
    done = [line.split() for line in lines(tmp_path) if " a " in line or " b " in line]
    assert Counter((pid, id) for pid, id, _ in done) == {
        (str(first.pid), "a"): 10,
        (str(second.pid), "b"): 10,
    }


async def test_of_three_processes_two_take_over_what_the_third_left(tmp_path: Path) -> None:
    with worker(tmp_path), worker(tmp_path), worker(tmp_path, "a", "b", "c") as third:
        until(tmp_path, 6, f"{third.pid} ")
        third.kill()
        async with (engine := counting(tmp_path)).running():
            for id in "abc":
                assert (await engine.wait(id, PATIENCE)).result == {"total": 285, "said": None}
    repeated = Counter(tuple(line.split()[1:]) for line in lines(tmp_path) if line.split()[1] in "abc")
    assert all(times <= 2 for times in repeated.values())
    assert sum(repeated.values()) <= 33


async def test_nothing_is_printed_and_nothing_connects_anywhere(tmp_path: Path) -> None:
    with worker(tmp_path, "w") as process:
        until(tmp_path, 10, " w ")
        process.terminate()
        process.wait()
        assert process.stdout is not None
        assert process.stdout.read() == b""
    assert not [line for line in lines(tmp_path) if "connect" in line]


async def test_a_message_is_waited_for_and_two_of_one_key_are_one(engine: Engine) -> None:
    await engine.start("count", "w", 1, True, id="w")
    assert await engine.seen("w", "so far", PATIENCE) == 0
    for _ in range(2):
        await engine.signal("w", "word", {"go": True}, key="k")
    assert (await engine.wait("w", PATIENCE)).result == {"total": 0, "said": {"go": True}}
    assert [value async for value in engine.stream("w", "said")] == [{"go": True}]


async def test_starting_an_id_again_does_nothing(engine: Engine, tmp_path: Path) -> None:
    for _ in range(2):
        assert await engine.start("count", "w", 2, id="w") == "w"
        assert (await engine.wait("w", PATIENCE)).state == "done"
    assert len([line for line in lines(tmp_path) if " w " in line]) == 2


async def test_that_something_was_cancelled_is_no_error_in_the_log_but_a_defect_is(engine: Engine) -> None:
    from dbos import error as stops

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    said: list[str] = []
    log, kept = logging.getLogger("dbos"), Kept()
    log.addHandler(kept)
    try:
        for error in (stops.DBOSAwaitedWorkflowCancelledError("w"), stops.DBOSWorkflowCancelledError("w")):
            log.error("cancelled", exc_info=error)
        log.error("broken", exc_info=ValueError("a defect"))
    finally:
        log.removeHandler(kept)
    assert said == ["broken"]


async def test_what_was_cancelled_goes_on_after_the_last_step_it_did(engine: Engine, tmp_path: Path) -> None:
    await engine.start("count", "w", 6, id="w")
    await anyio.to_thread.run_sync(until, tmp_path, 2, " w ")
    await engine.cancel("w")
    assert (await engine.wait("w", PATIENCE)).state == "cancelled"
    await engine.resume("w")
    assert (await engine.wait("w", PATIENCE)).result == {"total": 55, "said": None}
    assert len([line for line in lines(tmp_path) if " w " in line]) <= 7


async def test_a_step_is_stopped_with_its_workflow_and_done_anew_when_that_goes_on(
    engine: Engine, tmp_path: Path
) -> None:
    begun: list[str] = []
    stopped = anyio.Event()

    async def long() -> str:
        from pygent_shared.durable import workflow

        async def wait() -> str:
            begun.append("wait")
            try:
                await anyio.sleep(60 if len(begun) == 1 else 0)
            except anyio.get_cancelled_exc_class():
                stopped.set()
                raise
            return "waited"

        return await workflow.step("wait", wait)

    engine.workflow("long", long)
    await engine.start("long", id="l")
    with anyio.fail_after(PATIENCE):
        while not begun:
            await anyio.sleep(0.01)
        await engine.cancel("l")
        await stopped.wait()
    assert (await engine.wait("l", PATIENCE)).state == "cancelled"
    await engine.resume("l")
    assert (await engine.wait("l", PATIENCE)).result == "waited"


async def test_what_goes_on_does_so_in_the_loop_of_whoever_opened_the_engine(tmp_path: Path) -> None:
    loops = []

    async def waits() -> str:
        from pygent_shared.durable import workflow

        loops.append(asyncio.get_running_loop())
        return str(await workflow.signalled("go", PATIENCE))

    engine = Engine(tmp_path / "durable.db")
    engine.workflow("waits", waits)
    async with engine.running():
        await engine.start("waits", id="w")
        with anyio.fail_after(PATIENCE):
            while not loops:
                await anyio.sleep(0.01)
        await engine.cancel("w")
        await engine.resume("w")
        await engine.signal("w", "go", "on")
        assert (await engine.wait("w", PATIENCE)).result == "on"
    assert loops == [asyncio.get_running_loop()] * 2


async def test_a_fork_shares_the_steps_before_it(engine: Engine, tmp_path: Path) -> None:
    await engine.start("count", "w", 4, id="w")
    await engine.wait("w", PATIENCE)
    fork = await engine.fork("w", 5)
    assert (await engine.wait(fork, PATIENCE)).result == {"total": 14, "said": None}
    assert len([line for line in lines(tmp_path) if " w " in line]) == 4 + 2


async def test_a_workflow_that_fails_says_why(engine: Engine) -> None:
    async def fails() -> None:
        raise ValueError("the tide was low")

    engine.workflow("fails", fails)
    await engine.start("fails", id="f")
    status = await engine.wait("f", PATIENCE)
    assert (status.state, status.error) == ("failed", "the tide was low")


async def test_an_error_of_a_step_is_the_same_when_the_workflow_is_run_again(engine: Engine) -> None:
    met: list[tuple[str, str]] = []

    async def catches() -> str:
        from pygent_shared.durable import workflow

        async def fails() -> None:
            raise ValueError("low")

        try:
            await workflow.step("fails", fails)
        except Failed as error:
            met.append((error.kind, str(error)))
        await workflow.signalled("word", 60)
        return "caught"

    engine.workflow("catches", catches)
    await engine.start("catches", id="c")
    assert await engine.seen("c", "none", 0.3) is None
    await engine.cancel("c")
    await engine.resume("c")
    await engine.signal("c", "word", "go")
    assert (await engine.wait("c", PATIENCE)).result == "caught"
    assert met == [("ValueError", "low")] * 2


async def test_unknown_workflows_and_ids_are_named(engine: Engine) -> None:
    with pytest.raises(UnknownName, match=r'no workflow "cuont".*count'):
        await engine.start("cuont")
    with pytest.raises(UnknownName, match='no workflow "x"'):
        await engine.status("x")


async def test_work_of_another_version_is_left_to_those_who_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worker(tmp_path, "w") as first:
        until(tmp_path, 3, " w ")
        first.kill()
        first.wait()
    monkeypatch.setenv("VERSION", "2")
    async with (newer := counting(tmp_path)).running():
        assert await newer.recover() == []
        assert (await newer.status("w")).state == "running"
    monkeypatch.setenv("VERSION", "1")
    async with (same := counting(tmp_path)).running():
        assert (await same.wait("w", PATIENCE)).state == "done"


async def test_state_is_kept_as_json_and_the_file_in_write_ahead_mode(engine: Engine, tmp_path: Path) -> None:
    await engine.start("count", "w", 2, id="w")
    await engine.wait("w", PATIENCE)
    with apsw.Connection(str(tmp_path / "durable.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
        kept = [
            str(connection.execute(f"SELECT * FROM {table}").fetchall())
            for table in ("workflow_input", "operation_outputs", "workflow_output")
        ]
    assert '{"args":["w",2],"kwargs":{}}' in kept[0]
    assert "'square 1', '1'" in kept[1]
    assert '{"total":1,"said":null}' in kept[2]


def test_a_process_that_ended_is_dead_at_once_and_a_living_one_is_not(tmp_path: Path) -> None:
    one, other = FileExecutor(tmp_path), FileExecutor(tmp_path)
    assert not one.is_dead(other.id)
    assert not one.is_dead(one.id)
    other.close()
    assert one.is_dead(other.id)
    assert one.is_dead("never")
    one.close()
    assert list(tmp_path.iterdir()) == []


def test_with_postgresql_too(postgres: str) -> None:
    one, other = PostgresExecutor(postgres), PostgresExecutor(postgres)
    assert not one.is_dead(other.id)
    assert not one.is_dead(one.id)
    other.close()
    deadline = time.monotonic() + PATIENCE
    while not one.is_dead(other.id):
        assert time.monotonic() < deadline
    assert one.is_dead("never")
    one.close()


async def test_workflows_run_on_postgresql(postgres: str) -> None:
    async def adds(one: int, other: int) -> int:
        from pygent_shared.durable import workflow

        async def add() -> int:
            return one + other

        return await workflow.step("add", add)

    engine = Engine(postgres)
    engine.workflow("adds", adds)
    async with engine.running():
        await engine.start("adds", 1, 2, id="pg")
        assert (await engine.wait("pg", PATIENCE)).result == 3


def test_the_engine_is_not_imported_before_it_runs() -> None:
    check = "import sys, pygent_shared.durable.engine as e; print({'dbos', 'sqlalchemy'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
