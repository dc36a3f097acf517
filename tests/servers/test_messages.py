"""Messages as hosts and agents send them, and what processes that share a Redis hear of each other."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import mcp.types as t
import pytest

from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

from .test_workflow_crashes import CHAIN, define, text, worker
from .test_workflows import PATIENCE, call, orchestration
from .workflow_peers import Peers

pytestmark = pytest.mark.anyio


async def test_a_message_is_given_until_its_reader_is_done_with_it(settings: Settings) -> None:
    async with orchestration(settings) as client:
        sent = await call(client, "send_message", sender="me", to="agent/coder", payload={"say": "hello"})
        for _ in range(2):
            got = await call(client, "receive_messages", reader="agent/coder")
            (row,) = got["messages"]
            assert {key: row[key] for key in ("id", "sender", "type", "payload")} == {
                "id": sent["id"],
                "sender": "me",
                "type": "COORDINATION",
                "payload": {"say": "hello"},
            }
        after = await call(client, "receive_messages", reader="agent/coder", done=[row["receipt"]])
        assert (after["messages"], after["bus"]) == ([], "in-process")


async def test_one_host_asks_and_another_answers(settings: Settings) -> None:
    answers: list[dict[str, Any]] = []
    async with orchestration(settings) as client:

        async def ask() -> None:
            more = {"sender": "a", "to": "b", "payload": {"q": 1}, "wait_s": PATIENCE}
            answers.append(await call(client, "send_message", **more))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            got = await call(client, "receive_messages", reader="b", wait_s=PATIENCE)
            (row,) = got["messages"]
            more = {"to": row["sender"], "payload": {"a": 2}, "correlation_id": row["id"]}
            await call(client, "send_message", sender="b", **more)
        assert answers[0]["answer"]["payload"] == {"a": 2}
        late = await call(client, "send_message", sender="a", to="b", payload={}, wait_s=0.1)
        assert late["next"] == 'Nobody answered in 0.1 s. Look later: receive_messages(reader="a").'


async def test_who_follows_a_topic_is_given_it_and_what_is_for_everybody(settings: Settings) -> None:
    async with orchestration(settings) as client:
        more = {"reader": "me", "topics": ["#design", "*"]}
        assert (await call(client, "receive_messages", **more))["messages"] == []
        for to in ("#design", "*", "#other"):
            await call(client, "send_message", sender="you", to=to, payload={"to": to})
        got = await call(client, "receive_messages", **more)
        assert [row["recipient"] for row in got["messages"]] == ["#design", "*"]


@pytest.mark.parametrize(
    ("tool", "arguments", "why"),
    [
        ("send_message", {"sender": "a b", "to": "c", "payload": {}}, "sender: 'a b' is no address for it"),
        ("send_message", {"sender": "*", "to": "c", "payload": {}}, 'Give one such as "agent/coder".'),
        ("send_message", {"sender": "a", "to": "", "payload": {}}, "to: '' is no address for it"),
        ("send_message", {"sender": "a", "to": "b", "payload": {"x": "y" * 300_000}}, "262,144 are the most"),
        ("send_message", {"sender": "a", "to": "b", "payload": {}, "type": "HEARTBEAT"}, "COORDINATION"),
        ("receive_messages", {"reader": "#design"}, "reader: '#design' is no address for it"),
        ("receive_messages", {"reader": "a", "topics": ["b"]}, "topics: 'b' is no address for it"),
        ("receive_messages", {"reader": "a", "done": ["x"]}, "done: 'x' is no receipt of yours"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_sentence(
    settings: Settings, tool: str, arguments: dict[str, Any], why: str
) -> None:
    async with orchestration(settings) as client:
        assert why in await refusal(client, tool, **arguments)


async def test_the_queue_names_the_process_that_is_at_work(settings: Settings) -> None:
    async with orchestration(settings, Peers()) as client:
        await call(client, "define_workflow", name="w", definition='[steps.s]\ntool = "work__hold"\n')
        await call(client, "start_workflow", name="w", wait_s=0.5)
        queue = await call(client, "queue_status")
        (row,) = queue["workers"]
        assert (row["pid"], row["limit"]) == (os.getpid(), settings.workflow_workers)
        assert queue["running"] == {row["process"]: 1}


async def test_processes_on_one_redis_know_of_each_other_and_hear_what_the_others_do(
    tmp_path: Path, redis_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This one carries nothing out: the steps of which it is told are done by the two others."""
    monkeypatch.setenv("WORKER_REDIS", redis_url)
    shared = replace(settings, data_dir=tmp_path, redis_url=redis_url, workflow_workers=0)
    define(tmp_path, "w", text(CHAIN))
    told: list[str] = []
    done = anyio.Event()

    async def heard(message: object) -> None:
        if isinstance(message, t.ResourceUpdatedNotification):
            told.append(str(message.params.uri))
            done.set()

    async with AsyncExitStack() as stack:
        workers = [stack.enter_context(worker(tmp_path)) for _ in range(2)]
        client = await stack.enter_async_context(
            orchestration(shared, Peers(), mode="legacy", message_handler=heard)
        )
        with anyio.fail_after(PATIENCE):
            while len((queue := await call(client, "queue_status"))["workers"]) < 3:
                await anyio.sleep(0.1)
            assert {row["pid"] for row in queue["workers"]} == {os.getpid(), *(each.pid for each in workers)}
            begun = await call(client, "start_workflow", name="w", inputs={"id": "w-0"})
            await client.session.subscribe_resource(f"workflow://{begun['workflow']}")
            await done.wait()
        assert set(told) == {f"workflow://{begun['workflow']}"}
        ended = await call(client, "wait_for_workflow", workflow=begun["workflow"], wait_s=PATIENCE)
        assert ended["state"] == "done"


async def test_without_its_redis_work_goes_on_and_the_tools_say_what_is_missing(settings: Settings) -> None:
    gone = replace(settings, redis_url="redis://user:secret@127.0.0.1:1/0")
    async with orchestration(gone, Peers()) as client:
        await call(client, "define_workflow", name="w", definition='[steps.s]\ncondition = "1"\n')
        assert (await call(client, "start_workflow", name="w", wait_s=PATIENCE))["value"] == 1
        said = await refusal(client, "send_message", sender="a", to="b", payload={})
        assert 'Server "redis" cannot be used' in said
        assert "secret" not in said
        queue = await call(client, "queue_status")
        assert (queue["workers"], queue["problem"]) == ([], said)
