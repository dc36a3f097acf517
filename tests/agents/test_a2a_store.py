"""What the store keeps, on either database: the same tests for both."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from a2a.server.cluster.task_store import ConcurrentTaskModificationError
from a2a.server.cluster.version import TaskVersion
from a2a.server.context import ServerCallContext
from a2a.types.a2a_pb2 import (
    Artifact,
    ListTasksRequest,
    Message,
    Part,
    Task,
    TaskArtifactUpdateEvent,
    TaskPushNotificationConfig,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from a2a.utils.errors import InvalidParamsError

from pygent_a2a.identity import acting_for
from pygent_a2a.leases import Leases
from pygent_a2a.outbox import Outbox
from pygent_a2a.retention import DAY, Retention
from pygent_a2a.store import Engine
from pygent_a2a.store_sqlite import SqliteEngine
from pygent_a2a.tasks import FOLD, Keep, keep_of

pytestmark = pytest.mark.anyio

WORKING, INPUT = TaskState.TASK_STATE_WORKING, TaskState.TASK_STATE_INPUT_REQUIRED
COMPLETED, CANCELED = TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_CANCELED
ALICE, BOB = acting_for("alice"), acting_for("bob")
_moment = count(1)

Opened = Callable[[], Engine]


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Opens one database, as often as is wanted: each is another process's, as far as the store can tell."""
    engines: list[Engine] = []
    url = ""
    if request.param == "postgres":
        import psycopg

        base = cast(str, request.getfixturevalue("postgres"))
        name = f"a2a_{uuid4().hex}"
        with psycopg.connect(base, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        url = base.replace("@/postgres?", f"@/{name}?")

    def another() -> Engine:
        from pygent_a2a.store_postgres import PostgresEngine

        made: Engine = PostgresEngine(url) if url else SqliteEngine(tmp_path / "a2a.db")
        engines.append(made)
        return made

    yield another
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(opened: Opened) -> Engine:
    return opened()


@pytest.fixture
def keep(engine: Engine) -> Keep:
    return kept(engine)


def kept(engine: Engine, agent: str = "tides", seconds: float = 10.0) -> Keep:
    leases = Leases(engine, seconds=seconds)
    leases.begin()
    return keep_of(agent, leases)


def task(id: str = "", state: TaskState = WORKING, **more: Any) -> Task:
    made = Task(id=id or uuid4().hex, status=TaskStatus(state=state), **({"context_id": "c"} | more))
    made.status.timestamp.FromSeconds(1_700_000_000 + next(_moment))
    return made


def chunk(of: Task, text: str, *, append: bool = True) -> TaskArtifactUpdateEvent:
    artifact = Artifact(artifact_id="a", parts=[Part(text=text)])
    return TaskArtifactUpdateEvent(task_id=of.id, context_id="c", artifact=artifact, append=append)


async def begin(keep: Keep, of: Task, context: ServerCallContext = ALICE) -> TaskVersion:
    return await keep.tasks.save(of, event=of, prev=None, prev_version=TaskVersion.MISSING, context=context)


async def add(keep: Keep, of: Task, text: str, version: TaskVersion) -> TaskVersion:
    event = chunk(of, text, append=bool(of.artifacts))
    if of.artifacts:
        of.artifacts[0].parts.extend(event.artifact.parts)
    else:
        of.artifacts.append(event.artifact)
    return await keep.tasks.save(of, event=event, prev=None, prev_version=version, context=ALICE)


async def move(keep: Keep, of: Task, state: TaskState, version: TaskVersion) -> TaskVersion:
    of.status.state = state
    event = TaskStatusUpdateEvent(task_id=of.id, context_id="c", status=of.status)
    return await keep.tasks.save(of, event=event, prev=None, prev_version=version, context=ALICE)


async def texts(keep: Keep, of: Task, after: TaskVersion) -> list[str]:
    """What is streamed of a task that has ended."""
    return [
        each.event.artifact.parts[0].text if isinstance(each.event, TaskArtifactUpdateEvent) else "status"
        async for each in keep.events.subscribe(of.id, after=after)
    ]


async def test_a_task_is_kept_as_it_was_said_however_many_events_made_it(keep: Keep, opened: Opened) -> None:
    made = task(history=[Message(message_id="m", parts=[Part(text="when?")])])
    made.metadata.update({"run": "r1"})
    version = await begin(keep, made)
    for number in range(FOLD + 10):
        version = await add(keep, made, f"{number} ", version)
    again = await kept(opened()).tasks.get(made.id, ALICE)
    assert again is not None
    assert again.task == made
    assert again.version == version


async def test_a_task_and_the_log_after_it_have_each_event_once_at_every_moment(keep: Keep) -> None:
    made = task()
    versions = [await begin(keep, made)]
    seen = []
    for number in range(12):
        versions.append(await add(keep, made, str(number), versions[-1]))
        found = await keep.tasks.get(made.id, ALICE)
        assert found is not None
        seen.append(([part.text for part in found.task.artifacts[0].parts], found.version))
    await move(keep, made, COMPLETED, versions[-1])
    for had, version in seen:
        assert had + await texts(keep, made, version) == [*map(str, range(12)), "status"]


async def test_a_stream_gets_what_another_replica_writes_while_it_waits(keep: Keep, opened: Opened) -> None:
    made, other = task(), kept(opened())
    version = await begin(keep, made)
    stream = asyncio.create_task(texts(other, made, version))
    for text in ("one", "two"):
        await asyncio.sleep(0.1)
        version = await add(keep, made, text, version)
    await move(keep, made, COMPLETED, version)
    assert await asyncio.wait_for(stream, 10) == ["one", "two", "status"]


async def test_of_two_changes_of_one_version_the_second_is_refused(keep: Keep) -> None:
    made = task()
    version = await begin(keep, made)
    await add(keep, made, "one", version)
    with pytest.raises(ConcurrentTaskModificationError):
        await move(keep, made, COMPLETED, version)
    with pytest.raises(ConcurrentTaskModificationError):
        await begin(keep, made)
    found = await keep.tasks.get(made.id, ALICE)
    assert found is not None
    assert found.task.status.state == WORKING


async def test_a_request_to_cancel_overtakes_what_is_written_meanwhile_and_keeps_it(
    keep: Keep, opened: Opened
) -> None:
    made, other = task(), kept(opened())
    before = await begin(keep, made)
    stale = Task()
    stale.CopyFrom(made)
    after = await add(keep, made, "late", before)
    await move(other, stale, CANCELED, before)
    found = await keep.tasks.get(made.id, ALICE)
    assert found is not None
    assert (found.task.status.state, found.task.artifacts[0].parts[0].text) == (CANCELED, "late")
    with pytest.raises(ConcurrentTaskModificationError):
        await add(keep, made, "too late", after)
    assert [held.id for held in keep.leases.ended_elsewhere()] == [made.id]
    keep.leases.release(keep.leases.ended_elsewhere()[0])
    assert keep.leases.ended_elsewhere() == []


async def test_tasks_are_nobody_elses_and_no_other_agents(keep: Keep, engine: Engine) -> None:
    made, other_agent = task(), kept(engine, "moon")
    await begin(keep, made)
    for tasks, context in ((keep.tasks, BOB), (other_agent.tasks, ALICE)):
        assert await tasks.get(made.id, context) is None
        assert (await tasks.list(ListTasksRequest(), context)).total_size == 0
        await tasks.delete(made.id, context)
        with pytest.raises(ConcurrentTaskModificationError):
            await tasks.save(made, event=None, prev=None, prev_version=TaskVersion(1), context=context)
    assert await keep.tasks.get(made.id, ALICE) is not None


async def test_lists_go_on_where_the_page_ended_whatever_began_meanwhile(keep: Keep) -> None:
    made = [task(f"t{number}") for number in range(5)]
    for each in made:
        await begin(keep, each)
    first = await keep.tasks.list(ListTasksRequest(page_size=2), ALICE)
    await begin(keep, task("new"))
    rest = ListTasksRequest(page_size=9, page_token=first.next_page_token)
    second = await keep.tasks.list(rest, ALICE)
    assert [each.id for each in (*first.tasks, *second.tasks)] == ["t4", "t3", "t2", "t1", "t0"]
    assert (first.total_size, second.next_page_token) == (5, "")
    with pytest.raises(InvalidParamsError):
        await keep.tasks.list(ListTasksRequest(page_token="nonsense"), ALICE)


async def test_lists_are_of_a_context_a_state_or_a_time(keep: Keep) -> None:
    old, other, ended = task("old"), task("other", context_id="d"), task("ended", COMPLETED)
    for each in (old, other, ended):
        await begin(keep, each)
    since = ListTasksRequest(status_timestamp_after=other.status.timestamp)
    asked = (ListTasksRequest(context_id="d"), ListTasksRequest(status=COMPLETED), since)
    found = [[each.id for each in (await keep.tasks.list(one, ALICE)).tasks] for one in asked]
    assert found == [["other"], ["ended"], ["ended", "other"]]


async def test_a_message_is_taken_once_by_its_id_and_its_words(keep: Keep, opened: Opened) -> None:
    message, other = Message(message_id="m", parts=[Part(text="go")]), kept(opened())
    key = keep.sent.key(message, ALICE)
    assert await keep.sent.take(key, "t1") is None
    assert await other.sent.take(other.sent.key(message, ALICE), "t2") == ("t1", None)
    await keep.sent.answered(key, Message(message_id="answer"))
    assert await keep.sent.take(key, "t3") == ("t1", Message(message_id="answer"))
    others = Message(message_id="m", parts=[Part(text="stop")])
    assert await keep.sent.take(keep.sent.key(others, ALICE), "t4") is None
    assert await keep.sent.take(keep.sent.key(message, BOB), "t5") is None
    await keep.sent.untake(key)
    assert await keep.sent.take(key, "t6") is None


async def test_a_message_is_another_one_after_a_while(engine: Engine) -> None:
    leases, message = Leases(engine), Message(message_id="m", parts=[Part(text="go")])
    forgetful, keeping = keep_of("tides", leases, repeat=0), keep_of("tides", leases)
    key = keeping.sent.key(message, ALICE)
    for task in ("t1", "t2"):
        assert await forgetful.sent.take(key, task) is None
    assert await keeping.sent.take(key, "t3") == ("t2", None)


async def test_what_a_dead_replica_worked_on_is_taken_over_once_and_the_dead_one_may_not_come_back(
    opened: Opened,
) -> None:
    dead, first, second = (kept(opened(), seconds=0.3) for _ in range(3))
    made, asking = task(), task()
    version = await begin(dead, made)
    await move(dead, asking, INPUT, await begin(dead, asking))
    assert first.leases.orphans() == []
    assert first.leases.works_elsewhere(made.id)
    await asyncio.sleep(0.4)
    for living in (first, second):
        living.leases.beat()
    (orphan,) = first.leases.orphans()
    assert (orphan.id, orphan.owner) == (made.id, "tides/alice")
    assert [first.leases.adopt(orphan), second.leases.adopt(orphan)] == [True, False]
    assert second.leases.orphans() == []
    found = await dead.tasks.get(made.id, ALICE)
    assert found is not None
    for known in (version, found.version):
        with pytest.raises(ConcurrentTaskModificationError):
            await add(dead, made, "from beyond", known)
    assert await move(first, made, COMPLETED, found.version)


async def test_what_a_replica_that_ends_worked_on_is_the_others_at_once(opened: Opened) -> None:
    ending, other = kept(opened()), kept(opened())
    made = task()
    await begin(ending, made)
    ending.leases.end()
    assert [held.id for held in other.leases.orphans()] == [made.id]


def test_a_killed_process_of_this_machine_is_known_to_be_dead_at_once(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from pygent_a2a.leases import Leases;"
        "from pygent_a2a.store_sqlite import SqliteEngine;"
        "leases = Leases(SqliteEngine(Path(sys.argv[1]))); leases.begin();"
        "print(leases.replica, flush=True); time.sleep(60)"
    )
    path = tmp_path / "a2a.db"
    with subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        replica = child.stdout.readline().strip()
        with closing(SqliteEngine(path)) as engine:
            assert not engine.is_gone(replica)
            os.kill(child.pid, signal.SIGKILL)
            child.wait(10)
            assert engine.is_gone(replica)


async def test_what_is_to_be_pushed_is_written_with_the_change_and_comes_in_order(
    keep: Keep, engine: Engine
) -> None:
    made, outbox = task(), Outbox(engine)
    version = await begin(keep, made)
    config = TaskPushNotificationConfig(url="https://example.com/hook", token="t")
    assert (await keep.targets.set_info(made.id, config, ALICE)).id == made.id
    for text in ("one", "two"):
        version = await add(keep, made, text, version)
    assert outbox.waiting() == 2
    (first,) = outbox.due(10, lease=60)
    assert b"one" in first.event
    assert outbox.due(10, lease=60) == []
    outbox.postpone(first, 0)
    ((again),) = outbox.due(10, lease=60)
    assert (again.id, again.attempts) == (first.id, 1)
    outbox.done(again)
    (second,) = outbox.due(10, lease=60)
    assert b"two" in second.event
    assert outbox.give_up(second) == 1
    assert (outbox.waiting(), outbox.next_due()) == (0, None)


async def test_targets_are_their_owners_and_go_with_what_was_to_be_sent_there(
    keep: Keep, engine: Engine
) -> None:
    made, outbox = task(), Outbox(engine)
    version = await begin(keep, made)
    for id in ("x", "y"):
        config = TaskPushNotificationConfig(id=id, url=f"https://example.com/{id}")
        await keep.targets.set_info(made.id, config, ALICE)
    await add(keep, made, "one", version)
    assert await keep.targets.get_info(made.id, BOB) == []
    await keep.targets.delete_info(made.id, BOB)
    assert len(await keep.targets.get_info_for_dispatch(made.id)) == 2
    await keep.targets.delete_info(made.id, ALICE, "x")
    assert [config.id for config in await keep.targets.get_info(made.id, ALICE)] == ["y"]
    assert outbox.waiting() == 1


async def test_old_tasks_go_with_all_that_is_theirs_and_parked_ones_are_ended_first(
    keep: Keep, engine: Engine
) -> None:
    ended, parked, running = task("ended"), task("parked"), task("running")
    await keep.sent.take(keep.sent.key(Message(message_id="m"), ALICE), "ended")
    await move(keep, ended, COMPLETED, await begin(keep, ended))
    await move(keep, parked, INPUT, await begin(keep, parked))
    await begin(keep, running)
    retention = Retention(engine, ended=30, parked=7)
    await retention.sweep()
    assert (await keep.tasks.list(ListTasksRequest(), ALICE)).total_size == 3
    with engine.writing() as execute:
        execute("UPDATE a2a_task SET since = since - ?", (40 * DAY,))
    await retention.sweep()
    left = {each.id: each.status for each in (await keep.tasks.list(ListTasksRequest(), ALICE)).tasks}
    assert set(left) == {"parked", "running"}
    assert left["parked"].state == TaskState.TASK_STATE_FAILED
    assert left["parked"].message.parts[0].text == "Nobody answered within 7 days."
    for table in ("a2a_event", "a2a_message"):
        assert engine.query(f"SELECT count(*) FROM {table} WHERE task = 'ended'") == [(0,)]


async def test_nothing_is_let_go_where_zero_days_are_set(keep: Keep, engine: Engine) -> None:
    ended = task("ended")
    await move(keep, ended, COMPLETED, await begin(keep, ended))
    with engine.writing() as execute:
        execute("UPDATE a2a_task SET since = 0", ())
    await Retention(engine, ended=0, parked=0).sweep()
    assert await keep.tasks.get("ended", ALICE) is not None


def test_two_processes_may_make_the_tables_at_once(opened: Opened) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(lambda _: opened(), range(4)))
    assert all(engine.query("SELECT count(*) FROM a2a_task") == [(0,)] for engine in engines)
