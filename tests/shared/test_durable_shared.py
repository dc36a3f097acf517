"""Several at work on one store: engines in a process, processes on a queue, and the clock."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from pygent_shared.durable.engine import Engine, Limits
from pygent_shared.errors import InvalidArgument, NotAllowed, UnknownName

from .durable_worker import counting
from .test_durable import PATIENCE, lines, until, worker

pytestmark = pytest.mark.anyio


async def twice(number: int) -> int:
    return 2 * number


async def test_two_servers_of_a_process_share_a_store_and_either_may_end_first(tmp_path: Path) -> None:
    one, other = (Engine(tmp_path / "durable.db", name=name, limits=Limits()) for name in ("one", "other"))
    one.workflow("one", twice)
    other.workflow("other", twice)
    async with one.running():
        async with other.running():
            await other.enqueue("other", 1, id="b")
            assert (await other.wait("b", PATIENCE)).result == 2
        await one.enqueue("one", 2, id="a")
        assert (await one.wait("a", PATIENCE)).result == 4
        async with other.running():
            await other.enqueue("other", 3, id="c")
            assert (await other.wait("c", PATIENCE)).result == 6


async def test_a_process_has_one_store_at_a_time(tmp_path: Path) -> None:
    async with Engine(tmp_path / "a.db").running():
        with pytest.raises(NotAllowed, match="one data_dir"):
            async with Engine(tmp_path / "b.db").running():
                raise AssertionError


@pytest.mark.parametrize("limits", [Limits(each=2), Limits(all=2)], ids=["each", "all"])
async def test_a_queue_keeps_to_its_limit(tmp_path: Path, limits: Limits) -> None:
    engine = Engine(tmp_path / "durable.db", limits=limits)
    at, most, go = 0, 0, asyncio.Event()

    async def busy() -> None:
        nonlocal at, most
        at, most = at + 1, max(most, at + 1)
        await go.wait()
        at -= 1

    engine.workflow("busy", busy)
    async with engine.running():
        for number in range(5):
            await engine.enqueue("busy", id=str(number))
        with anyio.fail_after(PATIENCE):
            while at < 2:
                await anyio.sleep(0.01)
        status = await engine.queue_status()
        assert (status.waiting, list(status.running.values())) == (3, [2])
        go.set()
        for number in range(5):
            assert (await engine.wait(str(number), PATIENCE)).state == "done"
    assert most == 2


async def test_work_from_a_queue_is_done_in_the_loop_of_the_server(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "durable.db", limits=Limits())

    async def where() -> int:
        return threading.get_ident()

    engine.workflow("where", where)
    async with engine.running():
        await engine.enqueue("where", id="w")
        assert (await engine.wait("w", PATIENCE)).result == threading.get_ident()


async def test_what_an_engine_was_at_when_it_ended_goes_on_when_it_runs_again(tmp_path: Path) -> None:
    begun = asyncio.Event()
    engine = Engine(tmp_path / "durable.db", limits=Limits())
    first = True

    async def waits() -> str:
        begun.set()
        if first:
            await asyncio.sleep(3600)
        return "done"

    engine.workflow("waits", waits)
    async with engine.running():
        await engine.start("waits", id="s")
        await engine.enqueue("waits", id="q")
        await begun.wait()
    first = False
    async with engine.running():
        for id in "sq":
            assert (await engine.wait(id, PATIENCE)).result == "done"


async def test_steps_done_at_once_keep_their_places_whichever_ends_first(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "durable.db")
    done: Counter[str] = Counter()
    held = asyncio.Event()

    async def both() -> list[Any]:
        from pygent_shared.durable import workflow

        slow, quick = workflow.Place(), workflow.Place()

        async def wait() -> str:
            await held.wait()
            done["slow"] += 1
            return "slow"

        async def go() -> str:
            done["quick"] += 1
            return "quick"

        return await asyncio.gather(slow.step("slow", wait), quick.step("quick", go))

    engine.workflow("both", both)
    async with engine.running():
        await engine.start("both", id="b")
        with anyio.fail_after(PATIENCE):
            while not await engine.steps("b"):
                await anyio.sleep(0.01)
    async with engine.running():
        held.set()
        assert (await engine.wait("b", PATIENCE)).result == ["slow", "quick"]
        assert [(step.number, step.name) for step in await engine.steps("b")] == [(1, "slow"), (2, "quick")]
    assert done == {"slow": 1, "quick": 1}


async def test_a_workflow_is_cancelled_with_those_below_it_and_in_the_middle_of_a_step(
    tmp_path: Path,
) -> None:
    engine = Engine(tmp_path / "durable.db")
    begun = asyncio.Event()

    async def inner() -> str | None:
        from pygent_shared.durable import workflow

        begun.set()
        said = await workflow.signalled("go", PATIENCE)
        return str(said)

    async def outer() -> Any:
        from pygent_shared.durable import workflow

        async def ask() -> Any:
            await engine.start("inner", id="o/in")
            return (await engine.wait("o/in", PATIENCE)).result

        return await workflow.Place().step("ask", ask, long=True)

    engine.workflow("inner", inner)
    engine.workflow("outer", outer)
    async with engine.running():
        await engine.start("outer", id="o")
        await begun.wait()
        await engine.cancel("o")
        assert [(await engine.status(id)).state for id in ("o", "o/in")] == ["cancelled"] * 2
        await engine.resume("o")
        await engine.signal("o/in", "go", "went")
        assert (await engine.wait("o", PATIENCE)).result == "went"


def scheduled(folder: Path) -> Engine:
    engine = Engine(folder / "durable.db", name="clock")

    async def ticks(at: str, word: str) -> list[str]:
        return [at, word]

    engine.workflow("ticks", ticks)
    return engine


async def test_a_schedule_begins_work_is_paused_goes_on_and_is_taken_away(tmp_path: Path) -> None:
    engine = scheduled(tmp_path)
    async with engine.running():
        await engine.schedule("s", "ticks", "* * * * * *", "Europe/Berlin", "tide")

        async def ran() -> list[str]:
            names = await engine._dbos.list_workflows_async(name="ticks", status="SUCCESS")
            return [item.workflow_id for item in names]

        with anyio.fail_after(PATIENCE):
            while not (began := await ran()):
                await anyio.sleep(0.05)
        at, word = (await engine.status(began[0])).result
        assert (at[-6:] in ("+01:00", "+02:00"), word) == (True, "tide")
        await engine.pause_schedule("s", paused=True)
        (row,) = await engine.schedules()
        assert (row.paused, row.next, row.zone, row.cron) == (True, None, "Europe/Berlin", "* * * * * *")
        await engine.pause_schedule("s", paused=False)
        assert (await engine.schedules())[0].next is not None
        await engine.unschedule("s")
        assert await engine.schedules() == []


async def test_no_time_of_a_schedule_begins_two_workflows_in_two_processes(tmp_path: Path) -> None:
    with worker(tmp_path, "--tick"):
        engine = counting(tmp_path)
        async with engine.running():
            await anyio.to_thread.run_sync(until, tmp_path, 4, "tick ")
            await engine.unschedule("tick")
    times = Counter(line.split()[-1] for line in lines(tmp_path) if line.startswith("tick"))
    assert set(times.values()) == {1}


async def test_a_schedule_that_cannot_be_is_refused(tmp_path: Path) -> None:
    engine = scheduled(tmp_path)
    async with engine.running():
        with pytest.raises(InvalidArgument, match="'every day' is no cron expression"):
            await engine.schedule("s", "ticks", "every day", "UTC", "")
        with pytest.raises(InvalidArgument, match="'Mars' is no time zone"):
            await engine.schedule("s", "ticks", "* * * * *", "Mars", "")
        with pytest.raises(UnknownName, match='no workflow "tocks"'):
            await engine.schedule("s", "tocks", "* * * * *", "UTC", "")
        assert await engine.schedules() == []


async def test_a_queue_and_its_limits_are_on_postgresql_too(postgres: str) -> None:
    engine = Engine(postgres, name="queue", limits=Limits(each=2, all=3))
    engine.workflow("twice", twice)
    async with engine.running():
        for number in range(6):
            await engine.enqueue("twice", number, id=f"q{number}")
        assert [(await engine.wait(f"q{n}", PATIENCE)).result for n in range(6)] == [0, 2, 4, 6, 8, 10]


async def test_an_engine_that_is_ended_while_it_begins_leaves_nothing_behind(tmp_path: Path) -> None:
    from pygent_shared.durable.keeper import Keeper

    keeper = Keeper(Engine(tmp_path / "a.db"))
    keeper.begin()
    await asyncio.sleep(0.05)
    await keeper.off()
    async with Engine(tmp_path / "b.db").running():
        pass
    assert list((tmp_path / "executors").iterdir()) == []


async def test_an_engine_that_cannot_begin_says_so_and_is_tried_again(tmp_path: Path) -> None:
    from pygent_shared.durable.keeper import Keeper

    keeper = Keeper(Engine(tmp_path / "a.db"))
    async with Engine(tmp_path / "b.db").running():
        with pytest.raises(NotAllowed):
            await keeper.on()
    await keeper.on()
    await keeper.off()
