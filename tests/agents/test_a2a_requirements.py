"""What the protocol (A2A 1.0.1) requires of a server, in our words, asked of the real one.

The bindings are asked for the same things through `Wire`, which speaks raw HTTP, or gRPC without the SDK: no
client library stands between the requirement and what is on the wire.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import pytest
from a2a_serving import TOKEN, heard, serving
from a2a_wire import BINDINGS, Wire, message, refused

from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio


def calls(tool: str, **arguments: Any) -> dict[str, Any]:
    """A reply of a script that calls one of the user's tools."""
    return {"tool_calls": [{"name": f"user__{tool}", "arguments": arguments}]}


SCRIPT: dict[str, list[Any]] = {
    "complete": ["It is done."],
    "ask": [calls("ask", question="When?"), "Thank you."],
    "decline": [calls("decline", why="Not me.")],
    "reply": [calls("reply", text="At six.")],
    "give a file": [calls("give", name="f.txt", base64="dGNr", media_type="text/plain"), ""],
    "give a url": [calls("give", name="f.txt", url="https://example.com/f.txt", media_type="text/plain"), ""],
    "give data": [calls("give", name="data", data={"key": "value", "count": 42}), ""],
    "give chunks": [
        calls("give", name="chunks", text="one ", last=False),
        calls("give", name="chunks", text="two", append=True),
        "Both are given.",
    ],
}


@asynccontextmanager
async def wired(
    settings: Settings, folder: Path, binding: str, push: Literal["anywhere", "off"] = "anywhere"
) -> AsyncIterator[Wire]:
    settings = heard(replace(settings, a2a_push=push), binding)
    async with serving(settings) as served:
        script = folder / "script.json"
        script.write_text(json.dumps(SCRIPT))
        await served.call(
            "create_agent",
            name="tides",
            model=f"scripted:{script}",
            tools=["user__*"],
            more={"description": "d"},
        )
        await served.call("deploy_agent", name="tides")
        url = f"{served.url}/agents/tides"
        yield Wire(url=url, binding=binding, port=settings.a2a_grpc_port, token=TOKEN)


@pytest.fixture(params=BINDINGS)
async def wire(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> AsyncIterator[Wire]:
    async with wired(settings, tmp_path, request.param) as made:
        yield made


def state(task: dict[str, Any]) -> str:
    return str(task["status"]["state"]).removeprefix("TASK_STATE_").lower()


async def test_a_message_begins_a_task_that_is_had_until_it_is_asked_for(wire: Wire) -> None:
    task = await wire.task("complete")
    assert state(task) == "completed"
    assert task["id"] != task["contextId"]
    assert task["history"][0]["parts"] == [{"text": "complete"}]
    assert await wire.ask("GetTask", id=task["id"]) == task
    other = await wire.task("complete")
    assert other["id"] != task["id"]
    assert other["contextId"] != task["contextId"]


async def test_history_is_as_long_as_is_asked(wire: Wire) -> None:
    task = await wire.task("ask")
    none = await wire.ask("GetTask", id=task["id"], historyLength=0)
    last = await wire.ask("GetTask", id=task["id"], historyLength=1)
    assert "history" not in none
    assert [each["messageId"] for each in last["history"]] == [task["history"][-1]["messageId"]]
    short = await wire.task("complete", configuration={"historyLength": 0})
    assert "history" not in short


async def test_history_has_what_was_said_in_its_order_and_times_are_utc(wire: Wire) -> None:
    asked = await wire.task("ask")
    await wire.ask("SendMessage", message=message("at six", taskId=asked["id"]))
    ended = await wire.ask("GetTask", id=asked["id"])
    said = [(each["role"], each["parts"][0]["text"]) for each in ended["history"]]
    asks = [("ROLE_USER", "ask"), ("ROLE_AGENT", "When?"), ("ROLE_USER", "at six")]
    assert [each for each in said if each in asks] == asks
    assert ended["status"]["timestamp"].endswith("Z")
    assert ended["status"]["timestamp"] > asked["status"]["timestamp"]


async def test_a_context_that_the_client_names_is_taken(wire: Wire) -> None:
    found = (await wire.ask("SendMessage", message=message("complete", contextId="of-mine")))["task"]
    assert found["contextId"] == "of-mine"


async def test_who_does_not_want_to_wait_does_not(wire: Wire) -> None:
    begun = await wire.task("ask", configuration={"returnImmediately": True})
    assert state(begun) in ("submitted", "working")


async def test_a_question_is_answered_in_the_same_task_and_context(wire: Wire) -> None:
    asked = await wire.task("ask")
    assert state(asked) == "input_required"
    assert asked["status"]["message"]["role"] == "ROLE_AGENT"
    said = message("at six", taskId=asked["id"])
    answered = (await wire.ask("SendMessage", message=said))["task"]
    assert (answered["id"], answered["contextId"], state(answered)) == (
        asked["id"],
        asked["contextId"],
        "completed",
    )
    assert (
        await refused(wire, "SendMessage", message=message("more", taskId=asked["id"]))
        == "UNSUPPORTED_OPERATION"
    )


async def test_a_context_that_is_not_the_tasks_is_refused(wire: Wire) -> None:
    asked = await wire.task("ask")
    wrong = message("at six", taskId=asked["id"], contextId="elsewhere")
    assert await refused(wire, "SendMessage", message=wrong) == "INVALID_PARAMS"


async def test_an_agent_may_decline_and_may_answer_without_a_task(wire: Wire) -> None:
    declined = await wire.task("decline")
    assert (state(declined), declined["status"]["message"]["parts"]) == ("rejected", [{"text": "Not me."}])
    answer = await wire.ask("SendMessage", message=message("reply"))
    assert answer.keys() == {"message"}
    assert (answer["message"]["role"], answer["message"]["parts"]) == ("ROLE_AGENT", [{"text": "At six."}])


async def test_artifacts_are_texts_files_urls_and_data(wire: Wire) -> None:
    shown = {
        "complete": {"text": "It is done."},
        "give a file": {"raw": "dGNr", "mediaType": "text/plain"},
        "give a url": {"url": "https://example.com/f.txt", "mediaType": "text/plain"},
        "give data": {"data": {"key": "value", "count": 42}},
    }
    for said, part in shown.items():
        (artifact,) = (await wire.task(said))["artifacts"]
        assert artifact["artifactId"]
        assert part.items() <= artifact["parts"][0].items()


async def test_what_is_unknown_or_impossible_is_refused_by_its_name(wire: Wire) -> None:
    ended = await wire.task("complete")
    for method in ("GetTask", "CancelTask", "SubscribeToTask"):
        assert await refused(wire, method, id="nowhere") == "TASK_NOT_FOUND"
    assert await refused(wire, "SendMessage", message=message("x", taskId="nowhere")) == "TASK_NOT_FOUND"
    assert await refused(wire, "CancelTask", id=ended["id"]) == "TASK_NOT_CANCELABLE"
    assert await refused(wire, "SubscribeToTask", id=ended["id"]) == "UNSUPPORTED_OPERATION"
    assert await refused(wire, "SendMessage", message={"role": "ROLE_USER"}) == "INVALID_PARAMS"
    file = {"raw": "dGNr", "mediaType": "application/x-nobody-knows"}
    for method in ("SendMessage", "SendStreamingMessage"):
        reason = await refused(wire, method, message=message("", parts=[file]))
        assert reason == "CONTENT_TYPE_NOT_SUPPORTED"


async def test_an_open_task_is_cancelled(wire: Wire) -> None:
    asked = await wire.task("ask")
    cancelled = await wire.ask("CancelTask", id=asked["id"])
    assert (cancelled["id"], state(cancelled)) == (asked["id"], "canceled")
    assert state(await wire.ask("GetTask", id=asked["id"])) == "canceled"


async def test_lists_have_pages_filters_and_artifacts_where_they_are_asked_for(wire: Wire) -> None:
    tasks = [await wire.task("complete") for _ in range(3)]
    asked = await wire.task("ask")
    first = await wire.ask("ListTasks", pageSize=2)
    assert [task["id"] for task in first["tasks"]] == [asked["id"], tasks[2]["id"]]
    assert (first["totalSize"], first["pageSize"]) == (4, 2)
    second = await wire.ask("ListTasks", pageSize=2, pageToken=first["nextPageToken"])
    assert [task["id"] for task in second["tasks"]] == [tasks[1]["id"], tasks[0]["id"]]
    assert second["nextPageToken"] == ""
    assert not any(task.get("artifacts") for task in first["tasks"])
    full = await wire.ask("ListTasks", includeArtifacts="true" if wire.binding == "HTTP+JSON" else True)
    assert sum(bool(task.get("artifacts")) for task in full["tasks"]) == 3
    by_state = await wire.ask("ListTasks", status="TASK_STATE_INPUT_REQUIRED")
    by_context = await wire.ask("ListTasks", contextId=tasks[0]["contextId"])
    assert [task["id"] for task in by_state["tasks"]] == [asked["id"]]
    assert [task["id"] for task in by_context["tasks"]] == [tasks[0]["id"]]
    for wrong in ({"pageSize": 0}, {"pageSize": 101}, {"pageToken": "nonsense"}, {"historyLength": -1}):
        assert await refused(wire, "ListTasks", **wrong) == "INVALID_PARAMS"


async def test_a_stream_begins_with_its_task_and_ends_with_its_end(wire: Wire) -> None:
    events = await wire.events("SendStreamingMessage", message=message("give chunks"))
    assert [*events[0]] == ["task"]
    updates = [event["artifactUpdate"] for event in events if "artifactUpdate" in event]
    said = [update["artifact"]["parts"][0]["text"] for update in updates]
    assert said == ["one ", "two", "Both are given."]
    assert [update.get("append", False) for update in updates[:2]] == [False, True]
    assert [update.get("lastChunk", False) for update in updates[:2]] == [False, True]
    assert state(events[-1]["statusUpdate"]) == "completed"
    task, context = events[0]["task"]["id"], events[0]["task"]["contextId"]
    for event in events[1:]:
        (update,) = event.values()
        assert (update["taskId"], update["contextId"]) == (task, context)
    kept = await wire.ask("GetTask", id=task)
    assert [part["text"] for part in kept["artifacts"][0]["parts"]] == ["one ", "two"]


async def test_a_stream_may_be_one_message(wire: Wire) -> None:
    (only,) = await wire.events("SendStreamingMessage", message=message("reply"))
    assert only["message"]["parts"] == [{"text": "At six."}]


async def test_every_stream_of_a_task_has_the_same_events_and_one_that_ends_ends_alone(wire: Wire) -> None:
    asked = await wire.task("ask")
    streams: list[list[dict[str, Any]]] = []

    async def follow() -> None:
        streams.append(await wire.events("SubscribeToTask", id=asked["id"]))

    async def give_up() -> None:
        with anyio.move_on_after(2.0):
            await follow()

    async with anyio.create_task_group() as tasks:
        for stream in (follow, follow, give_up):
            tasks.start_soon(stream)
        await anyio.sleep(3.0)  # they have begun, and one has ended
        assert streams == []
        await wire.ask("SendMessage", message=message("at six", taskId=asked["id"]))
    one, other = streams
    assert one == other
    assert [*one[0]] == ["task"]
    assert (one[0]["task"]["id"], state(one[-1]["statusUpdate"])) == (asked["id"], "completed")
    assert [event for event in one if "artifactUpdate" in event]


@pytest.mark.parametrize("binding", BINDINGS)
async def test_where_nothing_is_pushed_that_is_said(settings: Settings, tmp_path: Path, binding: str) -> None:
    async with wired(settings, tmp_path, binding, "off") as wire:
        task = (await wire.task("ask"))["id"]
        made = {"taskId": task, "id": "c1", "url": "https://example.com/hook"}
        reasons = {await refused(wire, "CreateTaskPushNotificationConfig", **made)}
        for method in ("GetTaskPushNotificationConfig", "DeleteTaskPushNotificationConfig"):
            reasons.add(await refused(wire, method, taskId=task, id="c1"))
        reasons.add(await refused(wire, "ListTaskPushNotificationConfigs", taskId=task))
    assert reasons == {"PUSH_NOTIFICATION_NOT_SUPPORTED"}


async def test_push_configs_are_made_had_listed_and_removed(wire: Wire) -> None:
    task = (await wire.task("ask"))["id"]
    config = {"taskId": task, "id": "c1", "url": "https://example.com/hook", "token": "t"}
    assert await wire.ask("CreateTaskPushNotificationConfig", **config) == config
    assert await wire.ask("GetTaskPushNotificationConfig", taskId=task, id="c1") == config
    assert (await wire.ask("ListTaskPushNotificationConfigs", taskId=task))["configs"] == [config]
    for _ in range(2):  # to remove it twice is no error
        await wire.ask("DeleteTaskPushNotificationConfig", taskId=task, id="c1")
    assert (await wire.ask("ListTaskPushNotificationConfigs", taskId=task)).get("configs", []) == []
    gone = await refused(wire, "GetTaskPushNotificationConfig", taskId=task, id="c1")
    nowhere = await refused(wire, "CreateTaskPushNotificationConfig", **config | {"taskId": "nowhere"})
    assert {gone, nowhere} == {"TASK_NOT_FOUND"}


async def test_the_extended_card_is_an_agents_card(wire: Wire) -> None:
    card = await wire.ask("GetExtendedAgentCard")
    assert card["name"] == "tides"
    assert card["supportedInterfaces"][0]["url"].startswith("http")


async def test_versions_that_are_not_served_are_refused_and_patches_do_not_count(wire: Wire) -> None:
    for version in ("99.0", "2.0", "nonsense"):
        other = replace(wire, version=version)
        assert await refused(other, "GetTask", id="nowhere") == "VERSION_NOT_SUPPORTED"
    assert await refused(replace(wire, version=""), "GetTask", id="nowhere") == "VERSION_NOT_SUPPORTED"
    assert await refused(replace(wire, version="1.0.1"), "GetTask", id="nowhere") == "TASK_NOT_FOUND"


async def test_a_card_says_how_the_agent_is_reached_and_is_kept_by_clients(
    settings: Settings, tmp_path: Path
) -> None:
    async with wired(settings, tmp_path, "JSONRPC") as wire:
        async with httpx.AsyncClient(trust_env=False) as nobody:
            first = await nobody.get(f"{wire.url}/.well-known/agent-card.json")
            tag = {"If-None-Match": first.headers["etag"]}
            again = await nobody.get(str(first.url), headers=tag)
    card = first.json()
    assert first.headers["content-type"].startswith("application/json")
    assert "max-age" in first.headers["cache-control"]
    assert first.headers["last-modified"].endswith("GMT")
    assert (again.status_code, again.content) == (304, b"")
    for name in ("name", "description", "version", "capabilities", "defaultInputModes", "defaultOutputModes"):
        assert card[name]
    assert card["capabilities"]["streaming"] is card["capabilities"]["pushNotifications"] is True
    new = [each for each in card["supportedInterfaces"] if each["protocolVersion"] == "1.0"]
    assert [each["protocolBinding"] for each in new] == ["JSONRPC", "HTTP+JSON"]
    for skill in card["skills"]:
        assert {"id", "name", "description", "tags"} <= skill.keys()


async def test_both_bindings_know_the_same_task_in_the_same_words(settings: Settings, tmp_path: Path) -> None:
    async with wired(settings, tmp_path, "JSONRPC") as wire:
        rest = replace(wire, binding="HTTP+JSON")
        task = await wire.task("complete")
        assert await rest.ask("GetTask", id=task["id"]) == task
        assert (await rest.ask("ListTasks"))["totalSize"] == 1
