"""Clients of the protocol's versions 0.2 and 0.3: what they send is understood, and what they get they know.

The shapes below are those of the published schemas, written down here as far as answers use them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jsonschema
import pytest
from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.types.a2a_pb2 import AgentInterface
from a2a_scripted import URL, Scripted, card
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse

from pygent_a2a.handler import TaskHandler
from pygent_a2a.leases import Leases
from pygent_a2a.legacy import OLD_CARD, OLD_EXTENDED_CARD, old_card_routes, rpc_routes
from pygent_a2a.store_sqlite import SqliteEngine
from pygent_a2a.tasks import keep_of

pytestmark = pytest.mark.anyio


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties}


TEXT = {"type": "string"}
STATES = "submitted working input-required completed canceled failed rejected auth-required unknown".split()
PART = {
    "oneOf": [
        _object("kind text", kind={"const": "text"}, text=TEXT),
        _object("kind file", kind={"const": "file"}, file={"type": "object"}),
        _object("kind data", kind={"const": "data"}, data={"type": "object"}),
    ]
}
PARTS = {"type": "array", "items": PART}
MESSAGE = _object(
    "kind messageId role parts",
    kind={"const": "message"},
    messageId=TEXT,
    role={"enum": ["agent", "user"]},
    parts=PARTS,
    contextId=TEXT,
    taskId=TEXT,
)
STATUS = _object("state", state={"enum": STATES}, message=MESSAGE, timestamp=TEXT)
ARTIFACT = _object("artifactId parts", artifactId=TEXT, parts=PARTS, name=TEXT)
TASK = _object(
    "kind id contextId status",
    kind={"const": "task"},
    id=TEXT,
    contextId=TEXT,
    status=STATUS,
    history={"type": "array", "items": MESSAGE},
    artifacts={"type": "array", "items": ARTIFACT},
)
STATUS_EVENT = _object(
    "kind taskId contextId status final",
    kind={"const": "status-update"},
    taskId=TEXT,
    contextId=TEXT,
    status=STATUS,
    final={"type": "boolean"},
)
ARTIFACT_EVENT = _object(
    "kind taskId contextId artifact", kind={"const": "artifact-update"}, artifact=ARTIFACT
)
CONFIG = _object(
    "taskId pushNotificationConfig", taskId=TEXT, pushNotificationConfig=_object("url", url=TEXT, id=TEXT)
)
ERROR = _object("code message", code={"type": "integer"}, message=TEXT)


def answered(result: Any) -> dict[str, Any]:
    """The schema of a response with such a result."""
    return _object(
        "jsonrpc id result", jsonrpc={"const": "2.0"}, id={"type": ["string", "integer"]}, result=result
    )


REFUSED = _object("jsonrpc id error", jsonrpc={"const": "2.0"}, error=ERROR)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    shown = card()
    shown.capabilities.extended_agent_card = True
    shown.supported_interfaces.append(
        AgentInterface(url=f"{URL}/", protocol_binding="JSONRPC", protocol_version="0.3")
    )

    async def answer(request: Request) -> JSONResponse:
        return JSONResponse(agent_card_to_dict(shown))

    with closing(SqliteEngine(tmp_path / "a2a.db")) as engine:
        leases = Leases(engine)
        leases.begin()
        handler = TaskHandler(
            "tides", Scripted(), shown, keep=keep_of("tides", leases), extended_agent_card=shown
        )
        app = Starlette(routes=[*rpc_routes(handler, "/"), *old_card_routes(answer, handler)])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=URL) as made:
            yield made
        await handler.aclose()


def spoken(text: str, **more: Any) -> dict[str, Any]:
    parts = [{"kind": "text", "text": text}]
    return {"message": {"kind": "message", "messageId": uuid4().hex, "role": "user", "parts": parts} | more}


async def call(client: httpx.AsyncClient, method: str, params: Any, result: Any = None) -> Any:
    """What a method answers, which must be of the shape: an error where none is given."""
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    answer = (await client.post("/", json=body)).json()
    jsonschema.validate(answer, REFUSED if result is None else answered(result))
    assert answer["id"] == 7
    return answer["error"] if result is None else answer["result"]


async def streamed(client: httpx.AsyncClient, method: str, params: Any) -> list[dict[str, Any]]:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    text = (await client.post("/", json=body)).text
    answers = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
    for answer in answers:
        jsonschema.validate(answer, answered({"oneOf": [TASK, STATUS_EVENT, ARTIFACT_EVENT]}))
    return [answer["result"] for answer in answers]


async def test_a_message_is_sent_and_its_task_is_had_and_followed_up(
    client: httpx.AsyncClient,
) -> None:
    task = await call(client, "message/send", spoken("say x\nask when?"), TASK)
    assert task["status"]["state"] == "input-required"
    assert task["artifacts"][0]["parts"] == [{"kind": "text", "text": "x"}]
    more = await call(client, "message/send", spoken("done", taskId=task["id"]), TASK)
    assert (more["id"], more["contextId"]) == (task["id"], task["contextId"])
    found = await call(client, "tasks/get", {"id": task["id"], "historyLength": 1}, TASK)
    assert (found["status"]["state"], len(found["history"])) == ("completed", 1)


async def test_a_stream_ends_with_an_event_that_says_so(client: httpx.AsyncClient) -> None:
    events = await streamed(client, "message/stream", spoken("work\nsay x\ndone"))
    assert [event["kind"] for event in events] == [
        "task",
        "status-update",
        "artifact-update",
        "status-update",
    ]
    assert [event.get("final") for event in events[1:]] == [False, None, True]


async def test_a_task_is_cancelled_and_then_is_not_cancelable(client: httpx.AsyncClient) -> None:
    task = await call(client, "message/send", spoken("ask when?"), TASK)
    ended = await call(client, "tasks/cancel", {"id": task["id"]}, TASK)
    assert ended["status"]["state"] == "canceled"
    assert (await call(client, "tasks/cancel", {"id": task["id"]}))["code"] == -32002
    assert (await call(client, "tasks/get", {"id": "nowhere"}))["code"] == -32001


async def test_push_configs_are_had_by_the_task_alone_and_their_removal_has_a_result(
    client: httpx.AsyncClient,
) -> None:
    task = await call(client, "message/send", spoken("ask when?"), TASK)
    config = {"url": "https://example.com/hook", "id": "c1"}
    params = {"taskId": task["id"], "pushNotificationConfig": config}
    await call(client, "tasks/pushNotificationConfig/set", params, CONFIG)
    by_task = await call(client, "tasks/pushNotificationConfig/get", {"id": task["id"]}, CONFIG)
    by_id = {"id": task["id"], "pushNotificationConfigId": "c1"}
    assert await call(client, "tasks/pushNotificationConfig/get", by_id, CONFIG) == by_task
    assert by_task["pushNotificationConfig"]["url"] == config["url"]
    await call(client, "tasks/pushNotificationConfig/delete", by_id, {"type": "null"})
    gone = await call(client, "tasks/pushNotificationConfig/get", {"id": task["id"]})
    assert gone["code"] == -32001


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"message": {"role": "user", "parts": []}}, -32602),
        ({"message": "go"}, -32602),
        (None, -32602),
        ({"message": {"messageId": "m", "role": "user", "parts": [{"kind": "odd", "x": 1}]}}, -32602),
    ],
)
async def test_wrong_params_are_named_and_not_repeated(
    client: httpx.AsyncClient, params: Any, code: int
) -> None:
    error = await call(client, "message/send", params)
    assert error["code"] == code
    assert all(field["field"].startswith("params") for field in error["data"]["errors"])
    assert "pydantic" not in json.dumps(error)


async def test_the_older_paths_of_the_cards_lead_to_them_in_their_words(client: httpx.AsyncClient) -> None:
    old = (await client.get(OLD_CARD)).json()
    extended = (await client.get(OLD_EXTENDED_CARD)).json()
    for shown in (old, extended):
        assert shown["url"] == f"{URL}/"
        assert shown["capabilities"]["streaming"] is True
        assert isinstance(shown["skills"], list)
        assert {"name", "description", "version", "defaultInputModes", "defaultOutputModes"} <= shown.keys()


PUBLISHED = Path("~/.cache/pygent/a2a").expanduser()
ANSWERS = {
    "message/send": "SendMessage",
    "tasks/get": "GetTask",
    "tasks/cancel": "CancelTask",
    "tasks/pushNotificationConfig/set": "SetTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/get": "GetTaskPushNotificationConfig",
    "message/stream": "SendStreamingMessage",
}


@pytest.mark.parametrize("tag", ["v0.2.1", "v0.3.0"])
async def test_answers_are_what_the_published_schema_says(client: httpx.AsyncClient, tag: str) -> None:
    file = PUBLISHED / f"{tag}.json"
    if not file.exists():
        pytest.skip(f"needs specification/json/a2a.json of the tag {tag} of a2aproject/A2A as {file}")
    schema = json.loads(file.read_text())

    async def answer(method: str, params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        text = (await client.post("/", json=body)).text
        lines = [line[5:] for line in text.splitlines() if line.startswith("data:")] or [text]
        for line in lines:
            name = f"#/definitions/{ANSWERS[method]}Response"
            jsonschema.validate(json.loads(line), schema | {"$ref": name})
        return json.loads(lines[0]).get("result")

    task = await answer("message/send", spoken("say x\nask when?"))
    await answer("tasks/get", {"id": task["id"]})
    config = {"url": "https://example.com/hook", "token": "t"}
    push = {"taskId": task["id"], "pushNotificationConfig": config}
    await answer("tasks/pushNotificationConfig/set", push)
    assert await answer("tasks/pushNotificationConfig/get", {"id": task["id"]})
    await answer("tasks/cancel", {"id": task["id"]})
    await answer("message/stream", spoken("work\nsay x\ndone"))
    for method in ("tasks/cancel", "tasks/get"):
        assert await answer(method, {"id": "nowhere"}) is None
    card_of = (await client.get(OLD_CARD)).json()
    jsonschema.validate(card_of, schema | {"$ref": "#/definitions/AgentCard"})


async def test_one_url_serves_the_new_protocol_too_by_header_or_by_url(client: httpx.AsyncClient) -> None:
    message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "done"}]}
    body = {"jsonrpc": "2.0", "id": 7, "method": "SendMessage", "params": {"message": message}}
    by_header = await client.post("/", json=body, headers={"A2A-Version": "1.0"})
    by_url = await client.post("/?A2A-Version=1.0", json=body)
    without = await client.post("/", json=body)
    for answer in (by_header, by_url):
        assert answer.json()["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert without.json()["error"]["code"] == -32009
