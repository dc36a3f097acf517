"""The short way of a tool call over HTTP, beside what the SDK answers on its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio
import httpx2
import pytest
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ClientCapabilities, ElicitationCapability
from pydantic import BaseModel, Field

from pygent_shared.http.app import build_app
from pygent_shared.http.run import address, listen, running
from pygent_shared.serve import lowlevel
from pygent_shared.settings import Settings
from pygent_shared.testing import ERAS

pytestmark = pytest.mark.anyio

WHO = {"name": "test", "version": "0"}
CAN = ClientCapabilities(elicitation=ElicitationCapability()).model_dump(by_alias=True, exclude_none=True)
VERSIONS = {"2025": "2025-11-25", "2026": "2026-07-28"}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": VERSIONS["2026"],
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": WHO,
}


class Colour(BaseModel):
    colour: str


class Tools:
    """A server, and what happened in it."""

    def __init__(self) -> None:
        self.stuck, self.cancelled = anyio.Event(), anyio.Event()
        self.server = MCPServer("tools")
        for tool in (self.greet, self.count, self.ask, self.stick, self.halve, self.region):
            self.server.add_tool(tool)

    async def greet(self, name: str) -> str:
        return f"hello {name}"

    async def count(self, context: Context[Any]) -> str:
        for step in range(3):
            await context.report_progress(step, 3)
        return "counted"

    async def ask(self, context: Context[Any]) -> str:
        answer: Any = await context.elicit("Which?", Colour)
        return str(answer.data.colour)

    async def stick(self) -> str:
        self.stuck.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled.set()
        return ""

    async def halve(self) -> str:
        return "\ud800"

    async def region(self, where: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
        return where


class Host:
    """Posts raw messages, in one era."""

    def __init__(self, http: httpx2.AsyncClient, era: str) -> None:
        self.http, self.era = http, era
        self.headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": VERSIONS[era],
        }

    async def greet(self) -> None:
        if self.era == "2025":
            hello = {"protocolVersion": VERSIONS["2025"], "capabilities": CAN, "clientInfo": WHO}
            begun = await self.post("initialize", **hello)
            self.headers["Mcp-Session-Id"] = begun.headers["mcp-session-id"]
            await self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def message(self, method: str, number: object = 1, **params: Any) -> dict[str, Any]:
        if self.era == "2026":
            params["_meta"] = ENVELOPE | params.get("_meta", {})
        return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}

    async def send(self, message: dict[str, Any], **headers: str) -> httpx2.Response:
        own = {"Mcp-Method": message.get("method", "")}
        if name := message.get("params", {}).get("name"):
            own["Mcp-Name"] = name
        return await self.http.post("/mcp", json=message, headers=self.headers | own | headers)

    async def post(self, method: str, **params: Any) -> httpx2.Response:
        return await self.send(self.message(method, **params))

    async def call(self, tool: str, **arguments: Any) -> httpx2.Response:
        return await self.post("tools/call", name=tool, arguments=arguments)


@pytest.fixture
def tools(anyio_backend: str) -> Tools:
    return Tools()


@pytest.fixture
async def http(settings: Settings, tools: Tools) -> AsyncIterator[httpx2.AsyncClient]:
    listener = listen(settings)
    app = build_app({"/mcp": lowlevel(tools.server)}, settings, "")
    async with running(app, listener), httpx2.AsyncClient(base_url=address(listener), timeout=20) as client:
        yield client


@pytest.fixture(params=ERAS)
async def host(request: pytest.FixtureRequest, http: httpx2.AsyncClient) -> Host:
    host = Host(http, request.param)
    await host.greet()
    return host


@pytest.fixture
async def old(http: httpx2.AsyncClient) -> Host:
    host = Host(http, "2025")
    await host.greet()
    return host


@pytest.fixture
def new(http: httpx2.AsyncClient) -> Host:
    return Host(http, "2026")


def events(response: httpx2.Response) -> list[dict[str, Any]]:
    assert response.headers["content-type"] == "text/event-stream"
    return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]


def text(message: dict[str, Any]) -> str:
    return str(message["result"]["content"][0]["text"])


async def test_a_call_is_answered_with_json(host: Host) -> None:
    answered = await host.call("greet", name="Ada")

    assert answered.status_code == 200
    assert answered.headers["content-type"] == "application/json"
    assert answered.json()["id"] == 1
    assert text(answered.json()) == "hello Ada"


async def test_the_session_is_named_in_the_answer(old: Host) -> None:
    answered = await old.call("greet", name="Ada")

    assert answered.headers["mcp-session-id"] == old.headers["Mcp-Session-Id"]


async def test_progress_comes_before_the_result_in_a_stream(host: Host) -> None:
    answered = events(await host.post("tools/call", name="count", _meta={"progressToken": "p"}))

    assert [event["params"]["progress"] for event in answered[:3]] == [0, 1, 2]
    assert {event["params"]["progressToken"] for event in answered[:3]} == {"p"}
    assert text(answered[3]) == "counted"
    assert len(answered) == 4


async def test_a_server_asks_its_client_on_the_stream_of_the_call(old: Host) -> None:
    call = old.message("tools/call", name="ask", arguments={})
    headers = old.headers
    async with old.http.stream("POST", "/mcp", json=call, headers=headers) as stream:
        lines = stream.aiter_lines()
        asked = json.loads(await anext(line[6:] async for line in lines if line.startswith("data: ")))
        assert asked["method"] == "elicitation/create"
        answer = {"action": "accept", "content": {"colour": "red"}}
        taken = await old.send({"jsonrpc": "2.0", "id": asked["id"], "result": answer})
        assert taken.status_code == 202
        result = json.loads(await anext(line[6:] async for line in lines if line.startswith("data: ")))

    assert text(result) == "red"


async def test_calls_side_by_side_each_get_their_own_answer(host: Host) -> None:
    answers: dict[int, str] = {}

    async def call(number: int) -> None:
        message = host.message("tools/call", number, name="greet", arguments={"name": str(number)})
        answers[number] = text((await host.send(message)).json())

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(call, number)

    assert answers == {number: f"hello {number}" for number in range(20)}


async def test_a_call_whose_id_another_takes_is_told_so(old: Host, tools: Tools) -> None:
    answers: list[dict[str, Any]] = []

    async def call() -> None:
        answers.append((await old.call("stick")).json())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await tools.stuck.wait()
        answered = await old.call("greet", name="Ada")

    assert text(answered.json()) == "hello Ada"
    assert "took this one's id" in answers[0]["error"]["message"]


async def test_a_tool_that_is_not_there_is_an_error_of_the_protocol_or_a_result(host: Host) -> None:
    answered = await host.call("nothing")

    assert "nothing" in answered.text


@pytest.mark.parametrize(
    ("header", "value"), [("Mcp-Name", "other"), ("Mcp-Method", "tools/list"), ("Mcp-Name", "")]
)
async def test_headers_that_contradict_the_body_are_refused(new: Host, header: str, value: str) -> None:
    message = new.message("tools/call", name="greet", arguments={"name": "Ada"})
    refused = await new.send(message, **{header: value})

    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == -32020


async def test_a_header_that_comes_twice_is_refused(new: Host) -> None:
    message = new.message("tools/call", name="greet", arguments={"name": "Ada"})
    headers = [
        *new.headers.items(),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "greet"),
        ("Mcp-Name", "greet"),
    ]
    refused = await new.http.post("/mcp", json=message, headers=headers)

    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == -32020


@pytest.mark.parametrize(("value", "status"), [("eu", 200), ("us", 400), (None, 400)])
async def test_a_parameter_in_a_header_must_be_the_one_in_the_body(
    new: Host, value: str | None, status: int
) -> None:
    message = new.message("tools/call", name="region", arguments={"where": "eu"})
    answered = await new.send(message, **({"Mcp-Param-Region": value} if value else {}))

    assert answered.status_code == status


async def test_an_envelope_that_lacks_something_is_refused(new: Host) -> None:
    message = new.message("tools/call", name="greet", arguments={"name": "Ada"})
    del message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
    refused = await new.send(message)

    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == -32602


async def test_a_version_that_nobody_speaks_is_refused(new: Host) -> None:
    new.headers["MCP-Protocol-Version"] = "2099-01-01"
    refused = await new.call("greet", name="Ada")

    assert refused.status_code == 400


async def test_whoever_takes_no_stream_is_refused_as_the_sdk_does(host: Host) -> None:
    host.headers["Accept"] = "application/json"

    assert (await host.call("greet", name="Ada")).status_code == 406


async def test_a_session_that_is_not_known_is_not_served(old: Host) -> None:
    old.headers["Mcp-Session-Id"] = "another"

    assert (await old.call("greet", name="Ada")).status_code == 404


async def test_a_call_without_a_session_is_not_served(old: Host) -> None:
    del old.headers["Mcp-Session-Id"]

    assert (await old.call("greet", name="Ada")).status_code == 400


@pytest.mark.parametrize("body", [b"{", b"[]"])
async def test_what_is_no_request_is_refused(host: Host, body: bytes) -> None:
    headers = host.headers | {"Content-Type": "application/json"}

    assert (await host.http.post("/mcp", content=body, headers=headers)).status_code == 400


async def test_a_session_that_is_ended_ends_its_calls(old: Host, tools: Tools) -> None:
    answers: list[httpx2.Response] = []

    async def call() -> None:
        answers.append(await old.call("stick"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await tools.stuck.wait()
        await old.http.delete("/mcp", headers=old.headers)

    assert answers[0].status_code == 500
    assert (await old.call("greet", name="Ada")).status_code == 404


async def test_a_client_that_goes_away_cancels_its_call(new: Host, tools: Tools) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(new.call, "stick")
        await tools.stuck.wait()
        tasks.cancel_scope.cancel()

    with anyio.fail_after(5):
        await tools.cancelled.wait()


async def test_a_cancelled_call_is_answered_as_cancelled(old: Host, tools: Tools) -> None:
    answers: list[dict[str, Any]] = []

    async def call() -> None:
        answers.append((await old.call("stick")).json())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await tools.stuck.wait()
        await old.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})

    assert answers[0]["error"]["message"] == "Request cancelled"


async def test_half_a_character_breaks_no_session(host: Host) -> None:
    await host.call("halve")

    assert text((await host.call("greet", name="Ada")).json()) == "hello Ada"
