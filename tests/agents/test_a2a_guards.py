"""What the SDK leaves open and is closed here: each was seen with the SDK alone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from a2a.server.context import ServerCallContext
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    SubscribeToTaskRequest,
    Task,
    TaskState,
)
from a2a.utils.errors import (
    ExtensionSupportRequiredError,
    InternalError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a_scripted import Scripted, card, said, speaking_to

from pygent_a2a import handler as handler_module
from pygent_a2a.guards import GuardedExecutor
from pygent_a2a.handler import TaskHandler
from pygent_a2a.identity import acting_for
from pygent_a2a.keeper import Keeper
from pygent_a2a.leases import Leases
from pygent_a2a.retention import Retention
from pygent_a2a.store_sqlite import SqliteEngine
from pygent_a2a.tasks import Keep, keep_of

pytestmark = pytest.mark.anyio

COMPLETED, FAILED = TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_FAILED
CANCELED, INPUT = TaskState.TASK_STATE_CANCELED, TaskState.TASK_STATE_INPUT_REQUIRED
PATIENCE = 10.0


def alice() -> ServerCallContext:
    return acting_for("alice")


@pytest.fixture
def keep(tmp_path: Path) -> AsyncIterator[Keep]:
    with closing(SqliteEngine(tmp_path / "a2a.db")) as engine:
        yield kept(engine)


def kept(engine: SqliteEngine, agent: str = "tides") -> Keep:
    leases = Leases(engine)
    leases.begin()
    return keep_of(agent, leases)


def handler(keep: Keep | None, executor: Scripted | None = None, **more: Any) -> TaskHandler:
    return TaskHandler("tides", executor or Scripted(), card(), keep=keep, **more)


async def sent(to: TaskHandler, text: str, **more: Any) -> Task:
    answer = await asyncio.wait_for(to.on_message_send(said(text, **more), alice()), PATIENCE)
    assert isinstance(answer, Task)
    return answer


def told(task: Task) -> str:
    return task.status.message.parts[0].text if task.status.message.parts else ""


async def test_a_follow_up_that_names_its_task_alone_stays_in_its_context(keep: Keep) -> None:
    served = handler(keep)
    asked = await sent(served, "ask when?")
    answered = await sent(served, "done", task_id=asked.id)
    assert (asked.status.state, answered.status.state) == (INPUT, COMPLETED)
    assert (answered.id, answered.context_id) == (asked.id, asked.context_id)
    assert [message.parts[0].text for message in answered.history] == ["ask when?", "when?", "done"]


async def test_an_executor_that_says_nothing_fails_its_task_and_nobody_waits(keep: Keep) -> None:
    task = await sent(handler(keep), "nothing")
    assert (task.status.state, told(task)) == (FAILED, "The agent ended without a result.")


async def test_an_executor_that_ends_without_an_end_fails_its_task(keep: Keep) -> None:
    task = await sent(handler(keep), "work\nsay half")
    assert task.status.state == FAILED
    assert task.artifacts[0].parts[0].text == "half"


async def test_what_an_executor_raises_is_in_the_log_and_its_caller_gets_the_reference(
    keep: Keep, caplog: pytest.LogCaptureFixture
) -> None:
    task = await sent(handler(keep), "work\nraise the password is hunter2")
    assert task.status.state == FAILED
    assert "hunter2" not in str(task.status)
    reference = told(task).rpartition(" ")[2]
    assert any(reference in record.message and "hunter2" in record.message for record in caplog.records)


async def test_an_executor_that_takes_too_long_is_given_up() -> None:
    served = TaskHandler("tides", Scripted(), card())
    guarded = GuardedExecutor(Scripted(), seconds=0.05)
    served.agent_executor = served._active_task_registry._agent_executor = guarded
    task = await sent(served, "wait 30")
    assert (task.status.state, told(task)) == (FAILED, "The agent was given up after 0.05 s.")


async def test_what_an_executor_notes_of_a_task_is_kept_though_the_task_was_begun_already(
    keep: Keep,
) -> None:
    task = await sent(handler(keep), "task r1\nwork\ndone")
    assert dict(task.metadata.items()) == {"run": "r1"}
    assert task.history[0].parts[0].text == "task r1\nwork\ndone"


async def test_a_message_alone_may_answer(keep: Keep) -> None:
    served = handler(keep, opens=False)
    again = said("answer at six", id="m")
    for _ in range(2):
        params = type(again)()
        params.CopyFrom(again)
        answer = await served.on_message_send(params, alice())
        assert isinstance(answer, Message)
        assert answer.parts[0].text == "at six"


async def test_a_message_that_is_sent_twice_is_carried_out_once(keep: Keep) -> None:
    served = handler(keep)
    first, again = await asyncio.gather(
        *(sent(served, "work\nwait 0.2\nsay once\ndone", id="m") for _ in range(2))
    )
    assert first.id == again.id
    assert [len(task.artifacts[0].parts) for task in (first, again)] == [1, 1]
    listed = await served.on_list_tasks(ListTasksRequest(), alice())
    assert listed.total_size == 1
    other = await sent(served, "done", id="m")
    assert other.id != first.id


async def test_a_message_that_is_streamed_twice_streams_the_same_task(keep: Keep) -> None:
    served = handler(keep)
    begun = [event async for event in served.on_message_send_stream(said("say x\ndone", id="m"), alice())]
    again = [event async for event in served.on_message_send_stream(said("say x\ndone", id="m"), alice())]
    assert isinstance(begun[0], Task)
    assert [type(event) for event in again] == [Task]
    assert again[0].id == begun[0].id
    assert again[0].status.state == COMPLETED


async def test_a_message_that_was_refused_may_be_sent_again(keep: Keep) -> None:
    served = handler(keep)
    for _ in range(2):
        with pytest.raises(TaskNotFoundError):
            await served.on_message_send(said("done", id="m", task_id="nowhere"), alice())


async def test_tasks_of_two_agents_on_one_database_never_meet(keep: Keep) -> None:
    tides, engine = handler(keep), keep.leases.engine
    moon = TaskHandler("moon", Scripted(), card(), keep=keep_of("moon", keep.leases))
    assert engine is keep.leases.engine
    task = await sent(tides, "ask when?")
    assert (await moon.on_list_tasks(ListTasksRequest(), alice())).total_size == 0
    for request in (moon.on_get_task(GetTaskRequest(id=task.id), alice()), sent(moon, "x", task_id=task.id)):
        with pytest.raises(TaskNotFoundError):
            await request
    with pytest.raises(TaskNotFoundError):
        await tides.on_get_task(GetTaskRequest(id=task.id), acting_for("bob"))
    with pytest.raises(TaskNotFoundError):
        await tides.on_cancel_task(CancelTaskRequest(id=task.id), acting_for("bob"))


async def test_what_a_card_requires_is_required(keep: Keep) -> None:
    served = TaskHandler("tides", Scripted(), card("urn:needed"), keep=keep)
    with pytest.raises(ExtensionSupportRequiredError, match="urn:needed"):
        await served.on_message_send(said("done"), alice())
    with pytest.raises(ExtensionSupportRequiredError):
        await anext(served.on_message_send_stream(said("done"), alice()))
    context = alice()
    context.requested_extensions.add("urn:needed")
    answer = await served.on_message_send(said("done"), context)
    assert isinstance(answer, Task)
    assert answer.status.state == COMPLETED


async def test_what_the_database_says_reaches_no_client(keep: Keep, caplog: pytest.LogCaptureFixture) -> None:
    served = handler(keep)
    with keep.leases.engine.writing() as execute:
        execute("ALTER TABLE a2a_task RENAME TO elsewhere", ())
    async with speaking_to(served) as client:
        asked = {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "t"}}
        rpc = (await client.post("/", json=asked)).text
        rest = (await client.get("/tasks/t")).text
        send = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": _json(said("done"))}
        streamed = (await client.post("/", json=send | {"method": "SendStreamingMessage"})).text
    for answer in (rpc, rest, streamed):
        assert "a2a_task" not in answer
        assert "no such table" not in answer
        assert "Reference: " in answer
        reference = answer.partition("Reference: ")[2][:12]
        assert any(reference in record.message for record in caplog.records)


async def test_errors_of_ours_are_hidden_and_the_protocols_are_not(keep: Keep) -> None:
    served = handler(keep)
    with pytest.raises(TaskNotFoundError):
        await served.on_get_task(GetTaskRequest(id="nowhere"), alice())
    with keep.leases.engine.writing() as execute:
        execute("ALTER TABLE a2a_task RENAME TO elsewhere", ())
    with pytest.raises(InternalError) as caught:
        await served.on_get_task(GetTaskRequest(id="nowhere"), alice())
    assert caught.value.__cause__ is None


async def test_a_task_that_waits_for_its_caller_holds_nothing_in_memory(
    keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_module, "PARKED_SECONDS", 0.05)
    served = handler(keep)
    parked = [await sent(served, "ask when?") for _ in range(10)]
    async with asyncio.timeout(PATIENCE):
        while [each for each in asyncio.all_tasks() if each.get_name().startswith(("producer", "consumer"))]:
            await asyncio.sleep(0.02)
    assert served._active_task_registry._active_tasks == {}
    assert (await sent(served, "done", task_id=parked[3].id)).status.state == COMPLETED


async def test_a_task_that_was_let_go_of_is_cancelled_where_it_works_too(
    keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_module, "PARKED_SECONDS", 0.05)
    executor = Scripted()
    served = handler(keep, executor)
    task = await sent(served, "ask when?")
    await asyncio.sleep(0.2)
    ended = await served.on_cancel_task(CancelTaskRequest(id=task.id), alice())
    assert ended is not None
    assert (ended.status.state, executor.cancelled) == (CANCELED, [task.id])


async def test_who_subscribes_gets_each_part_once_whenever_that_is(keep: Keep) -> None:
    served = handler(keep)
    script = "\n".join(f"say {number}\nwait 0.005" for number in range(40))
    begun = said(f"work\n{script}\ndone")
    begun.configuration.return_immediately = True
    task = await served.on_message_send(begun, alice())
    assert isinstance(task, Task)
    request = SubscribeToTaskRequest(id=task.id)

    async def parts(after: float) -> list[str]:
        await asyncio.sleep(after)
        got: list[str] = []
        async for event in served.on_subscribe_to_task(request, alice()):
            if isinstance(event, Task):
                got = [part.text for artifact in event.artifacts for part in artifact.parts]
            elif hasattr(event, "artifact"):
                got += [part.text for part in event.artifact.parts]
        return got

    subscribers = (parts(number / 100) for number in range(12))
    for got in await asyncio.wait_for(asyncio.gather(*subscribers), PATIENCE):
        assert got == [str(number) for number in range(40)]


async def test_a_task_that_has_ended_cannot_be_subscribed_to(keep: Keep) -> None:
    served = handler(keep)
    task = await sent(served, "done")
    with pytest.raises(UnsupportedOperationError):
        await anext(served.on_subscribe_to_task(SubscribeToTaskRequest(id=task.id), alice()))


def keeper(keep: Keep, served: TaskHandler) -> Keeper:
    async def handler_of(agent: str) -> TaskHandler | None:
        return served if agent == "tides" else None

    return Keeper(keep.leases, handler_of, Retention(keep.leases.engine, ended=30, parked=7), seconds=0.05)


async def test_what_a_dead_server_left_goes_on_at_another_and_a_stream_sees_it(
    keep: Keep, tmp_path: Path
) -> None:
    first = handler(keep)
    begun = said("work\nsay one\nwait 60")
    begun.configuration.return_immediately = True
    task = await first.on_message_send(begun, alice())
    assert isinstance(task, Task)
    with closing(SqliteEngine(tmp_path / "a2a.db")) as engine:
        other, executor = kept(engine), Scripted()
        second = handler(other, executor)
        got: list[str] = []

        async def follow() -> None:
            async for event in second.on_subscribe_to_task(SubscribeToTaskRequest(id=task.id), alice()):
                if isinstance(event, Task):
                    got.extend(part.text for each in event.artifacts for part in each.parts)
                elif hasattr(event, "artifact"):
                    got.append(event.artifact.parts[0].text)

        following = asyncio.create_task(follow())
        async with asyncio.timeout(PATIENCE):
            while got != ["one"]:
                await asyncio.sleep(0.02)
        await first.aclose()
        keep.leases.end()
        await keeper(other, second).look()
        await asyncio.wait_for(following, PATIENCE)
        assert got == ["one", "and on"]
        ended = await second.on_get_task(GetTaskRequest(id=task.id), alice())
        assert ended is not None
        assert ended.status.state == COMPLETED


async def test_work_that_nothing_can_go_on_with_ends_with_the_reason(keep: Keep, tmp_path: Path) -> None:
    first = handler(keep)
    begun = said("work\nwait 60")
    begun.configuration.return_immediately = True
    task = await first.on_message_send(begun, alice())
    assert isinstance(task, Task)
    await first.aclose()
    keep.leases.end()
    with closing(SqliteEngine(tmp_path / "a2a.db")) as engine:
        other = kept(engine)
        second = handler(other, resumes=False)
        await keeper(other, second).look()
        async with asyncio.timeout(PATIENCE):
            while (found := await second.on_get_task(GetTaskRequest(id=task.id), alice())) is None or (
                found.status.state != FAILED
            ):
                await asyncio.sleep(0.02)
    assert "restarted" in told(found)


async def test_a_task_that_works_elsewhere_is_cancelled_there_and_takes_no_more_messages(
    keep: Keep, tmp_path: Path
) -> None:
    executor = Scripted()
    here = handler(keep, executor)
    begun = said("work\nwait 60")
    begun.configuration.return_immediately = True
    task = await here.on_message_send(begun, alice())
    assert isinstance(task, Task)
    with closing(SqliteEngine(tmp_path / "a2a.db")) as engine:
        elsewhere = handler(kept(engine))
        with pytest.raises(UnsupportedOperationError):
            await elsewhere.on_message_send(said("done", task_id=task.id), alice())
        ended = await elsewhere.on_cancel_task(CancelTaskRequest(id=task.id), alice())
        assert ended is not None
        assert (ended.status.state, executor.cancelled) == (CANCELED, [])
        await keeper(keep, here).look()
        assert executor.cancelled == [task.id]
        assert keep.leases.ended_elsewhere() == []


async def test_a_keeper_that_ends_leaves_its_tasks_to_others(keep: Keep, tmp_path: Path) -> None:
    here = handler(keep)
    begun = said("work\nwait 60")
    begun.configuration.return_immediately = True
    task = await here.on_message_send(begun, alice())
    assert isinstance(task, Task)
    with closing(SqliteEngine(tmp_path / "a2a.db")) as engine:
        other = kept(engine)
        running = asyncio.create_task(keeper(keep, here).run())
        await asyncio.sleep(0.2)
        assert other.leases.orphans() == []
        await here.aclose()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert [held.id for held in other.leases.orphans()] == [task.id]


async def test_a_keeper_that_fails_tries_again(keep: Keep, caplog: pytest.LogCaptureFixture) -> None:
    with keep.leases.engine.writing() as execute:
        execute("ALTER TABLE a2a_task RENAME TO elsewhere", ())
    running = asyncio.create_task(keeper(keep, handler(keep)).run())
    async with asyncio.timeout(PATIENCE):
        while sum("tried again" in record.message for record in caplog.records) < 2:
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_json_rpc_answers_only_json(keep: Keep) -> None:
    async with speaking_to(handler(keep)) as client:
        answer = await client.post("/", content=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.json()["error"]["code"] == -32005


SPANS = """
import anyio, sys
from pathlib import Path
from pygent_a2a.front import build_front
from pygent_shared.settings import Settings

async def main():
    front = build_front(Settings(data_dir=Path(sys.argv[1])), None)
    async with front.running(None):
        await front._opened()
        from a2a.utils import telemetry
        print(telemetry.otel_installed, telemetry.otel_enabled)

anyio.run(main)
"""


def test_the_sdk_makes_no_spans_unless_they_are_wanted(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL")}
    command = [sys.executable, "-c", SPANS, tmp_path]
    told = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60)
    assert told.stdout.split() == ["True", "False"], told.stderr


def _json(message: Any) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    found: dict[str, Any] = MessageToDict(message)
    return found
