"""What is too much, or not understood, is refused in the protocol's words; nothing of it is kept or told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.server.routes import create_rest_routes
from a2a.types.a2a_pb2 import Message, Part, Role, SendMessageRequest, TaskPushNotificationConfig
from a2a.utils.errors import InvalidParamsError
from a2a_scripted import URL, Scripted, card
from google.protobuf.json_format import ParseDict
from starlette.applications import Starlette

from pygent_a2a.handler import TaskHandler
from pygent_a2a.leases import Leases
from pygent_a2a.legacy import rpc_routes
from pygent_a2a.limits import Body, Bounds
from pygent_a2a.store_sqlite import SqliteEngine
from pygent_a2a.tasks import keep_of

pytestmark = pytest.mark.anyio

MOST = 20_000
SECRET = "swordfish"
TABLES = "a2a_task a2a_event a2a_message a2a_target a2a_delivery".split()


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    with closing(SqliteEngine(tmp_path / "a2a.db")) as made:
        yield made


@pytest.fixture
async def client(engine: SqliteEngine) -> AsyncIterator[httpx.AsyncClient]:
    leases = Leases(engine)
    leases.begin()
    bounds = Bounds(body=MOST, parts=5, text=100, data=200, url=100, references=3, id=50)
    handler = TaskHandler("tides", Scripted(), card(), keep=keep_of("tides", leases), bounds=bounds)
    routes = [*rpc_routes(handler, "/"), *create_rest_routes(handler)]
    transport = httpx.ASGITransport(app=Body(Starlette(routes=routes), most=MOST))
    headers = {"A2A-Version": "1.0"}
    async with httpx.AsyncClient(transport=transport, base_url=URL, headers=headers) as made:
        yield made
    await handler.aclose()


def message(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"message": {"messageId": "m", "role": "ROLE_USER", "parts": list(parts)} | more}


DEEP: Any = "x"
for _ in range(200):
    DEEP = [DEEP]

REFUSED: dict[str, dict[str, Any]] = {
    "no parts": message(),
    "a part of an unknown kind": message({"hologram": SECRET}),
    "an empty part": message({}),
    "an empty text": message({"text": ""}),
    "a long text": message({"text": SECRET * 20}),
    "many parts": message(*({"text": "x"} for _ in range(6))),
    "large data": message({"data": {"x": SECRET * 50}}),
    "deep data": message({"data": {"x": DEEP}}),
    "a long URL": message({"url": "https://example.com/" + SECRET * 20}),
    "a long file name": message({"raw": "eA==", "filename": SECRET * 20}),
    "no base64": message({"raw": "%%%"}),
    "large metadata": message({"text": "x"}, metadata={"x": SECRET * 50}),
    "a long id": message({"text": "x"}, messageId=SECRET * 10),
    "no id": message({"text": "x"}, messageId=""),
    "a long context": message({"text": "x"}, contextId=SECRET * 10),
    "many references": message({"text": "x"}, referenceTaskIds=["a"] * 4),
    "an agent's message": message({"text": "x"}, role="ROLE_AGENT"),
    "nobody's message": message({"text": "x"}, role="ROLE_NOBODY"),
    "no message": {},
    "a message that is none": {"message": [SECRET]},
    "a negative history": message({"text": "x"}) | {"configuration": {"historyLength": -1}},
    "a long target": message({"text": "x"})
    | {"configuration": {"taskPushNotificationConfig": {"url": "https://example.com/" + "x" * 200}}},
}


@pytest.mark.parametrize("params", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage"])
async def test_it_is_refused_and_nothing_is_kept(
    client: httpx.AsyncClient, engine: SqliteEngine, params: dict[str, Any], method: str
) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    rpc = await client.post("/", json=body)
    path = "/message:send" if method == "SendMessage" else "/message:stream"
    rest = await client.post(path, json=params)
    assert _error(rpc)["code"] == -32602, rpc.text
    assert rest.status_code == 400, rest.text
    for answer in (rpc, rest):
        assert "Traceback" not in answer.text
        assert "/opt/" not in answer.text
    assert [engine.query(f"SELECT count(*) FROM {table}") for table in TABLES] == [[(0,)]] * len(TABLES)


def _error(answer: httpx.Response) -> dict[str, Any]:
    text = answer.text
    if not text.startswith("{"):
        text = next(line[5:] for line in text.splitlines() if line.startswith("data:"))
    error: dict[str, Any] = json.loads(text)["error"]
    return error


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"", -32700),
        (b"\xff\xfe{}", -32700),
        (b"[]", -32600),
        (b"[{}]", -32600),
        (b'"x"', -32600),
        (b"{}", -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "GetTask", "params": {"id": "x"}}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 7}', -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "GetTask"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "Nonsense"}', -32601),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tasks/nonsense"}', -32601),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": [1]}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": 7}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "nowhere"}}', -32001),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "CancelTask", "params": {"id": "nowhere"}}', -32001),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask", "params": {"id": "nowhere"}}', -32001),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {"pageToken": "x"}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {"pageSize": 101}}', -32602),
    ],
)
async def test_malformed_requests_get_the_protocols_errors(
    client: httpx.AsyncClient, body: bytes, code: int
) -> None:
    answer = await client.post("/", content=body, headers={"Content-Type": "application/json"})
    assert _error(answer)["code"] == code, answer.text


async def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_how_large_it_is(
    client: httpx.AsyncClient, engine: SqliteEngine
) -> None:
    large = json.dumps(message({"text": "x" * MOST})).encode()

    async def in_parts() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 1000):
            yield large[start : start + 1000]

    headers = {"Content-Type": "application/json"}
    for content in (large, in_parts()):
        rpc = await client.post("/", content=content, headers=headers)
        assert _error(rpc)["code"] == -32600
    rest = await client.post("/message:send", content=large, headers=headers)
    assert rest.status_code == 413
    assert rest.json()["error"]["details"][0]["reason"] == "INVALID_REQUEST"
    assert engine.query("SELECT count(*) FROM a2a_task") == [(0,)]


async def test_what_fits_exactly_is_taken(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/message:send", json=message(*({"text": "done" + " " * 96} for _ in range(5)))
    )
    assert answer.status_code == 200


def test_every_wrong_field_is_named_up_to_a_bound() -> None:
    asked = SendMessageRequest(
        message=Message(role=Role.ROLE_USER, message_id="m", parts=[Part() for _ in range(50)])
    )
    with pytest.raises(InvalidParamsError) as caught:
        Bounds().check(asked)
    assert caught.value.data is not None
    assert caught.value.data["errors"][0]["field"] == "message.parts[0]"
    assert len(caught.value.data["errors"]) == 21


def test_targets_are_bounded_in_each_field() -> None:
    for long in ({"id": "x" * 300}, {"token": "x" * 3000}, {"authentication": {"credentials": "x" * 3000}}):
        config = ParseDict({"url": "https://example.com"} | long, TaskPushNotificationConfig())
        with pytest.raises(InvalidParamsError):
            Bounds().check_target(config)
