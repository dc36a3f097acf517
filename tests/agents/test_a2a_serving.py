"""Agents of the factory as A2A clients find and use them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from a2a.client import Client
from a2a.client.errors import A2AClientError
from a2a.helpers import get_message_text, get_stream_response_text, new_text_message
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskState,
)
from a2a.utils.errors import A2AError
from a2a_serving import Served, heard, serving
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.protobuf.json_format import ParseDict

from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

BINDINGS = pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON", "GRPC"])


def calls(tool: str, **arguments: Any) -> dict[str, Any]:
    """A reply of a script that calls one of the user's tools."""
    return {"tool_calls": [{"name": f"user__{tool}", "arguments": arguments}]}


def said(text: str, task: str = "", context: str = "") -> SendMessageRequest:
    message = new_text_message(text, role=Role.ROLE_USER)
    message.task_id, message.context_id = task, context
    return SendMessageRequest(message=message)


async def streamed(client: Client, request: SendMessageRequest) -> list[StreamResponse]:
    return [event async for event in client.send_message(request)]


def states(events: list[StreamResponse]) -> list[str]:
    found = [event.status_update.status.state for event in events if event.HasField("status_update")]
    return [TaskState.Name(state).removeprefix("TASK_STATE_").lower() for state in found]


async def ended(client: Client, task: str) -> Task:
    return await client.get_task(GetTaskRequest(id=task))


@BINDINGS
async def test_a_deployed_agent_is_found_asked_and_answers(
    settings: Settings, tmp_path: Path, binding: str
) -> None:
    async with serving(heard(settings, binding)) as served:
        await served.deploy("tides", ["At six."], tmp_path, description="Knows the tides.")
        index = (await served.http.get(f"{served.url}/agents")).json()
        assert [row["name"] for row in index["agents"]] == ["tides"]
        client = await served.client("tides", binding)
        events = await streamed(client, said("When does the tide turn?"))
        task = await ended(client, events[0].task.id)
    assert events[0].HasField("task")
    shown = [event for event in events if event.HasField("artifact_update")]
    assert [get_stream_response_text(event) for event in shown] == ["At six."]
    assert states(events)[-1] == "completed"
    assert [artifact.parts[0].text for artifact in task.artifacts] == ["At six."]


async def test_cards_are_open_and_calls_are_not(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings) as served:
        await served.deploy("tides", ["At six."], tmp_path)
        card = await served.card("tides")
        async with httpx.AsyncClient(trust_env=False) as nobody:
            call = await nobody.post(f"{served.url}/agents/tides/", json={})
    assert (card.status_code, card.json()["name"]) == (200, "tides")
    assert call.status_code == 401


async def test_cards_are_for_callers_alone_where_that_is_set(settings: Settings, tmp_path: Path) -> None:
    async with serving(replace(settings, a2a="token")) as served:
        await served.deploy("tides", ["At six."], tmp_path)
        assert (await served.card("tides")).status_code == 401


async def test_a_card_says_what_its_agent_declares(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings) as served:
        await served.deploy(
            "tides",
            ["At six."],
            tmp_path,
            description="Knows the tides.",
            capabilities=["tide-times", "moon"],
        )
        card = (await served.card("tides")).json()
    assert card["description"] == "Knows the tides."
    assert [(skill["id"], skill["name"]) for skill in card["skills"]] == [
        ("tide-times", "tide times"),
        ("moon", "moon"),
    ]
    assert card["securitySchemes"]["bearer"]["httpAuthSecurityScheme"]["scheme"] == "bearer"
    assert card["supportedInterfaces"][0]["url"] == f"{served.url}/agents/tides/"


async def test_agents_appear_pause_and_retire_without_a_restart(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings) as served:

        async def shown() -> list[str]:
            await anyio.sleep(1.1)  # what is known of agents is believed for a second
            index = (await served.http.get(f"{served.url}/agents")).json()
            return [row["name"] for row in index["agents"]]

        assert await shown() == []
        await served.deploy("tides", ["At six."], tmp_path)
        assert await shown() == ["tides"]
        client = await served.client("tides")
        done = await streamed(client, said("When?"))
        await served.call("pause_agent", name="tides")
        assert await shown() == []
        assert (await served.card("tides")).status_code == 404
        refused = await streamed(client, said("And now?"))
        assert states(refused)[-1] == "rejected"
        assert (await ended(client, done[0].task.id)).artifacts[0].parts[0].text == "At six."
        await served.call("deploy_agent", name="tides")
        assert await shown() == ["tides"]
        await served.call("configure_agent", name="tides", more={"description": "Another."})
        await shown()
        assert (await served.card("tides")).json()["description"] == "Another."
        await served.call("retire_agent", name="tides")
        assert await shown() == []


async def test_what_the_client_has_is_not_sent_again(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings) as served:
        await served.deploy("tides", ["At six."], tmp_path)
        first = await served.card("tides")
        tag = first.headers["etag"]
        url = str(first.request.url)
        again = await served.http.get(url, headers={"If-None-Match": tag})
        await served.call("configure_agent", name="tides", more={"description": "Another."})
        await anyio.sleep(1.1)
        changed = await served.http.get(url, headers={"If-None-Match": tag})
    assert first.headers["cache-control"] == "public, max-age=60"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (changed.status_code, changed.headers["etag"] != tag) == (200, True)


async def test_a_card_is_signed_with_the_key_that_is_published(settings: Settings, tmp_path: Path) -> None:
    from a2a.utils.signing import InvalidSignaturesError, create_signature_verifier
    from jwt import PyJWK

    pem = tmp_path / "cards.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    async with serving(replace(settings, a2a_key=str(pem), a2a_legacy="off")) as served:
        await served.deploy("tides", ["At six."], tmp_path, description="Kennt die Gezeiten: Ebbe & Flut, ü.")
        document = (await served.card("tides")).json()
        keys = (await served.http.get(f"{served.url}/.well-known/jwks.json")).json()["keys"]
    asked: list[tuple[str | None, str | None]] = []

    def key_of(kid: str | None, jku: str | None) -> PyJWK:
        asked.append((kid, jku))
        return PyJWK(next(one for one in keys if one["kid"] == kid))

    verify = create_signature_verifier(key_of, ["ES256"])
    verify(ParseDict(document, AgentCard()))
    assert asked == [(keys[0]["kid"], f"{served.url}/.well-known/jwks.json")]
    with pytest.raises(InvalidSignaturesError):
        verify(ParseDict({**document, "description": "Something else."}, AgentCard()))


@BINDINGS
async def test_who_may_call_an_agent_learns_more_of_it(
    settings: Settings, tmp_path: Path, binding: str
) -> None:
    from a2a.types import GetExtendedAgentCardRequest

    async with serving(heard(settings, binding)) as served:
        await served.deploy("tides", ["At six."], tmp_path, description="Knows the tides.")
        client = await served.client("tides", binding)
        card = await client.get_extended_agent_card(GetExtendedAgentCardRequest())
    assert card.description.startswith("Knows the tides. Model scripted:")


@BINDINGS
async def test_what_a_run_tells_and_gives_comes_as_it_does(
    settings: Settings, tmp_path: Path, binding: str
) -> None:
    replies = [
        calls("tell", text="I look it up."),
        calls("give", name="table", text="six ", last=False),
        calls("give", name="table", text="and noon", append=True),
        calls("give", name="numbers", data={"hours": [6, 12]}),
        calls("give", name="log.txt", base64="c2l4", media_type="text/plain"),
        "Done.",
    ]
    async with serving(heard(settings, binding)) as served:
        await served.deploy("tides", replies, tmp_path, tools=["user__*"])
        client = await served.client("tides", binding)
        events = await streamed(client, said("When?"))
        task = await ended(client, events[0].task.id)
    told = [get_message_text(event.status_update.status.message) for event in events]
    assert "I look it up." in told
    chunks = [event.artifact_update for event in events if event.HasField("artifact_update")]
    assert [(one.artifact.artifact_id, one.append, one.last_chunk) for one in chunks] == [
        ("table", False, False),
        ("table", True, True),
        ("numbers", False, True),
        ("log.txt", False, True),
        ("answer", False, True),
    ]
    by_name = {one.artifact_id: one for one in task.artifacts}
    assert [part.text for part in by_name["table"].parts] == ["six ", "and noon"]
    assert by_name["numbers"].parts[0].data.struct_value["hours"] == [6, 12]
    file = by_name["log.txt"].parts[0]
    assert (file.raw, file.media_type, file.filename) == (b"six", "text/plain", "log.txt")
    assert list(by_name) == ["table", "numbers", "log.txt", "answer"]


@BINDINGS
async def test_an_agents_question_is_answered_with_another_message(
    settings: Settings, tmp_path: Path, binding: str
) -> None:
    replies = [calls("ask", question="At which harbour?"), "At six."]
    async with serving(heard(settings, binding)) as served:
        await served.deploy("tides", replies, tmp_path, tools=["user__ask"])
        client = await served.client("tides", binding)
        asked = await streamed(client, said("When does the tide turn?"))
        waits = asked[-1].status_update.status
        assert (waits.state, get_message_text(waits.message)) == (
            TaskState.TASK_STATE_INPUT_REQUIRED,
            "At which harbour?",
        )
        first = asked[0].task
        answered = await streamed(client, said("Brest", first.id, first.context_id))
        task = await ended(client, first.id)
        trace = await served.factory.read_resource(f"run://{first.id}")
    assert states(answered)[-1] == "completed"
    assert task.artifacts[0].parts[0].text == "At six."
    assert "Brest" in str(trace)


async def test_a_run_that_needs_a_model_asks_its_caller_for_the_reply(settings: Settings) -> None:
    async with serving(settings) as served:
        await served.call("create_agent", name="tides", model="host")
        await served.call("deploy_agent", name="tides")
        client = await served.client("tides")
        asked = await streamed(client, said("When does the tide turn?"))
        waits = asked[-1].status_update.status
        assert waits.state == TaskState.TASK_STATE_INPUT_REQUIRED
        messages = waits.message.parts[1].data.struct_value["messages"]
        assert messages[0]["text"] == "When does the tide turn?"
        first = asked[0].task
        answered = await streamed(client, said("At six.", first.id, first.context_id))
    assert states(answered)[-1] == "completed"
    assert [get_stream_response_text(one) for one in answered if one.HasField("artifact_update")] == [
        "At six."
    ]


async def test_a_declined_task_is_rejected_and_a_failed_one_fails(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings) as served:
        await served.deploy("no", [calls("decline", why="That I do not do.")], tmp_path, tools=["user__*"])
        await served.deploy("broken", [], tmp_path)
        declined = (await streamed(await served.client("no"), said("Do it.")))[-1].status_update.status
        failed = (await streamed(await served.client("broken"), said("Do it.")))[-1].status_update.status
    assert declined.state == TaskState.TASK_STATE_REJECTED
    assert get_message_text(declined.message) == "That I do not do."
    assert failed.state == TaskState.TASK_STATE_FAILED
    assert "has 0 replies" in get_message_text(failed.message)


@BINDINGS
async def test_an_agent_that_replies_at_once_answers_with_a_message_and_no_task(
    settings: Settings, tmp_path: Path, binding: str
) -> None:
    async with serving(heard(settings, binding)) as served:
        await served.deploy("tides", [calls("reply", text="At six.")], tmp_path, tools=["user__reply"])
        client = await served.client("tides", binding)
        events = await streamed(client, said("When?"))
        listed = await client.list_tasks(ListTasksRequest())
    assert [get_message_text(event.message) for event in events] == ["At six."]
    assert list(listed.tasks) == []


async def test_why_agents_cannot_be_reached_is_told_to_nobody(settings: Settings) -> None:
    url = "postgresql://secret-host.invalid:1/tasks"
    async with serving(replace(settings, a2a_database=url)) as served:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as nobody:
            answer = await nobody.get(f"{served.url}/agents")
    assert answer.status_code == 503
    assert "secret-host" not in answer.text


@BINDINGS
async def test_a_cancelled_task_cancels_its_run(settings: Settings, tmp_path: Path, binding: str) -> None:
    async with serving(heard(settings, binding)) as served:
        await served.deploy("tides", [calls("ask", question="Where?")], tmp_path, tools=["user__ask"])
        client = await served.client("tides", binding)
        first = (await streamed(client, said("When?")))[0].task
        cancelled = await client.cancel_task(CancelTaskRequest(id=first.id))
        run = await served.call("get_run", run=first.id)
        with pytest.raises((A2AError, A2AClientError), match="cancel"):
            await client.cancel_task(CancelTaskRequest(id=first.id))
    assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
    assert run["state"] == "cancelled"


async def test_a_context_is_a_conversation(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings) as served:
        await served.call("create_agent", name="tides", model="host")
        await served.call("deploy_agent", name="tides")
        client = await served.client("tides")
        first = (await streamed(client, said("My harbour is Brest.")))[0].task
        await streamed(client, said("Noted.", first.id, first.context_id))
        later = await streamed(client, said("Which is it?", context=first.context_id))
        other = await streamed(client, said("Which is it?"))
        listed = await client.list_tasks(ListTasksRequest(context_id=first.context_id))
    heard = later[-1].status_update.status.message.parts[1].data.struct_value["messages"]
    assert [one["text"] for one in heard] == ["My harbour is Brest.", "Noted.", "Which is it?"]
    fresh = other[-1].status_update.status.message.parts[1].data.struct_value["messages"]
    assert [one["text"] for one in fresh] == ["Which is it?"]
    assert {task.id for task in listed.tasks} == {first.id, later[0].task.id}


async def test_whoever_subscribes_sees_the_rest(settings: Settings, tmp_path: Path) -> None:
    replies = [calls("ask", question="Where?"), calls("give", name="table", text="six"), "Done."]
    async with serving(settings) as served:
        await served.deploy("tides", replies, tmp_path, tools=["user__*"])
        client = await served.client("tides")
        first = (await streamed(client, said("When?")))[0].task
        seen: list[StreamResponse] = []
        begun = anyio.Event()

        async def watch() -> None:
            async for event in client.subscribe(SubscribeToTaskRequest(id=first.id)):
                seen.append(event)
                begun.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await begun.wait()
            await streamed(client, said("Brest", first.id))
    assert seen[0].task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
    given = [
        event.artifact_update.artifact.artifact_id for event in seen if event.HasField("artifact_update")
    ]
    assert given == ["table", "answer"]
    assert states(seen)[-1] == "completed"


async def test_the_suites_card_lists_the_agents_and_its_tenant_names_one(
    settings: Settings, tmp_path: Path
) -> None:
    async with serving(settings) as served:
        await served.deploy("tides", ["At six."], tmp_path)
        await served.deploy("moons", ["Full."], tmp_path)
        card = (await served.http.get(f"{served.url}/.well-known/agent-card.json")).json()
        assert [skill["id"] for skill in card["skills"]] == ["moons", "tides"]
        assert await asked(served, "moons") == "Full."
        assert await asked(served, "tides") == "At six."
        with pytest.raises(AssertionError, match="tenant"):
            await asked(served, "")


async def asked(served: Served, tenant: str) -> str:
    params = {
        "tenant": tenant,
        "message": {"messageId": f"of-{tenant}", "role": "ROLE_USER", "parts": [{"text": "Well?"}]},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params}
    headers = {"A2A-Version": "1.0"}
    answer = (await served.http.post(f"{served.url}/a2a/", json=body, headers=headers)).json()
    assert "error" not in answer, answer
    text: str = answer["result"]["task"]["artifacts"][0]["parts"][0]["text"]
    return text


async def test_a_part_that_no_agent_can_read_is_refused(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings) as served:
        await served.deploy("tides", ["At six."], tmp_path)
        message = {
            "messageId": "1",
            "role": "ROLE_USER",
            "parts": [{"raw": "AAAA", "mediaType": "image/png"}],
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        url = f"{served.url}/agents/tides/"
        answer = (await served.http.post(url, json=body, headers={"A2A-Version": "1.0"})).json()
        listed = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}}
        tasks = (await served.http.post(url, json=listed, headers={"A2A-Version": "1.0"})).json()["result"]
    assert answer["error"]["code"] == -32005
    assert tasks["tasks"] == []


async def test_an_agent_that_is_not_there_is_not_found(settings: Settings) -> None:
    async with serving(settings) as served:
        answer = await served.http.post(f"{served.url}/agents/nobody/", json={})
    assert (answer.status_code, "nobody" in answer.json()["error"]) == (404, True)


async def test_agents_that_the_settings_leave_out_are_not_there(settings: Settings, tmp_path: Path) -> None:
    async with serving(replace(settings, a2a_agents=("moons",))) as served:
        await served.deploy("tides", ["At six."], tmp_path)
        assert (await served.http.get(f"{served.url}/agents")).json() == {"agents": []}
        assert (await served.card("tides")).status_code == 404
