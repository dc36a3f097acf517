"""Agents elsewhere as MCP tools: another maker's agent, asked through the server that speaks to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import httpx
import mcp.types as t
import pytest
from mcp import Client
from other_agent import Other, other_agent

from pygent_a2a.remote.remotes import Remote, remotes
from pygent_a2a.remote.server import build_server
from pygent_a2a.remote.wire import Wire
from pygent_shared.errors import SettingInvalid
from pygent_shared.serve import lowlevel
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])


@asynccontextmanager
async def asking(
    settings: Settings,
    traits: dict[str, Any] | None = None,
    entry: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[tuple[Client, Other]]:
    """A host of the server over one agent of such traits, named "river"."""
    async with other_agent(settings, **(traits or {})) as other:
        agents = {"river": {"card": other.url, **(entry or {})}}
        asks = replace(settings, remote_agents=json.dumps(agents))
        async with Client(lowlevel(build_server(asks, None)), **options) as client:
            yield client, other


async def ask(client: Client, message: str, **more: Any) -> tuple[str, dict[str, Any]]:
    """The text and the data of an answer."""
    result = await client.call_tool("ask_river", {"message": message, **more})
    return text_of(result), result.structured_content or {}


def text_of(result: Any) -> str:
    return str(result.content[0].text)


async def until(condition: Any) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.02)


async def test_an_agent_is_a_tool_described_by_its_card(settings: Settings) -> None:
    async with asking(settings) as (client, other):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"ask_river", "get_task", "cancel_task"}
        asks = tools["ask_river"]
        assert asks.title == "Ask River guide"
        assert "Knows about rivers." in (asks.description or "")
        assert '- Lengths: Says how long a river is. (such as: "How long is the Elbe?")' in str(
            asks.description
        )
        assert asks.meta is not None
        assert asks.meta["pygent/card"]["interfaces"] == [f"JSONRPC 1.0 {other.url}/"]


async def test_its_card_is_a_resource(settings: Settings) -> None:
    async with asking(settings) as (client, _):
        read = await client.read_resource("a2a://river/card")
        assert json.loads(read.contents[0].text)["name"] == "River guide"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "traits", [{}, {"streaming": False}, {"binding": "HTTP+JSON"}], ids=["stream", "polled", "rest"]
)
async def test_what_an_agent_makes_is_the_answer(settings: Settings, traits: dict[str, Any]) -> None:
    async with asking(settings, traits) as (client, _):
        text, data = await ask(client, "hello")
        assert text == "heard: hello"
        assert data["state"] == "completed"
        assert data["task"]
        assert data["context"]


async def test_an_answer_without_a_task_is_an_answer(settings: Settings) -> None:
    async with asking(settings) as (client, _):
        text, data = await ask(client, "message hi")
        assert text == "hi"
        assert "task" not in data


async def test_parts_of_an_artifact_that_come_one_by_one_are_one_text(settings: Settings) -> None:
    async with asking(settings) as (client, _):
        assert (await ask(client, "chunks"))[0] == "one two"


async def test_artifacts_are_content_each_of_its_kind(settings: Settings) -> None:
    async with asking(settings) as (client, _):
        result = await client.call_tool("ask_river", {"message": "things"})
        text, image, table, paper = result.content
        assert json.loads(text.text) == {"km": 1094, "name": "Elbe"}  # type: ignore[union-attr]
        assert isinstance(image, t.ImageContent)
        assert image.mime_type == "image/png"
        assert isinstance(table, t.EmbeddedResource)
        assert table.resource.text == "a,b"  # type: ignore[union-attr]
        assert isinstance(paper, t.ResourceLink)
        assert paper.uri == "https://example.com/elbe.pdf"
        data = result.structured_content or {}
        assert data["artifacts"][0]["data"] == [{"km": 1094, "name": "Elbe"}]


async def test_what_is_said_on_the_way_is_progress(settings: Settings) -> None:
    said: list[str | None] = []

    async def heard(done: float, total: float | None, message: str | None) -> None:
        said.append(message)

    async with asking(settings) as (client, _):
        await client.call_tool("ask_river", {"message": "slow 2"}, progress_callback=heard)
    assert said == ["on it", "step 1", "step 2", "slowly done", "completed"]


async def test_a_long_task_is_a_handle_to_wait_on(settings: Settings) -> None:
    async with asking(settings) as (client, other):
        text, data = await ask(client, "slow 30", wait_s=1)
        assert data["state"] == "working"
        assert f'get_task with task "{data["task"]}"' in text
        waited = await client.call_tool("get_task", {"task": data["task"], "wait_s": 60})
        assert text_of(waited) == "slowly done"
        assert not other.canceled


async def test_an_agent_that_names_no_task_in_time_is_waited_for_all_the_same(settings: Settings) -> None:
    async with asking(settings) as (client, _):
        _, data = await ask(client, "quiet 1", wait_s=0.1)
        assert data["state"] == "submitted"
        waited = await client.call_tool("get_task", {"task": data["task"], "wait_s": 10})
        assert text_of(waited) == "at last"


async def test_a_task_is_stopped(settings: Settings) -> None:
    async with asking(settings) as (client, other):
        _, data = await ask(client, "slow 300", wait_s=1)
        stopped = await client.call_tool("cancel_task", {"task": data["task"]})
        assert (stopped.structured_content or {})["state"] == "canceled"
        assert other.canceled == [data["task"]]
        again = await client.call_tool("cancel_task", {"task": data["task"]})
        assert again.is_error
        assert "is over" in text_of(again)


async def test_a_task_is_stopped_that_had_no_name_when_it_was_handed_out(settings: Settings) -> None:
    async with asking(settings) as (client, other):
        _, data = await ask(client, "late 1", wait_s=0.1)
        assert data["task"].startswith("pending-")
        stopped = await client.call_tool("cancel_task", {"task": data["task"]})
        assert (stopped.structured_content or {})["state"] == "canceled"
        assert other.canceled == other.begun


@pytest.mark.parametrize("word", ["slow 300", "late 0.4"], ids=["named", "not yet named"])
async def test_a_cancelled_call_stops_the_agents_task(settings: Settings, word: str) -> None:
    async with asking(settings) as (client, other):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, client, word)
            await until(lambda: any(h.get("accept") == "text/event-stream" for h in other.headers))
            await anyio.sleep(0.15)
            tasks.cancel_scope.cancel()
        await until(lambda: other.canceled)
        assert other.canceled == other.begun


@ERAS
async def test_a_question_is_put_to_the_user(settings: Settings, mode: Any) -> None:
    async def answer(context: object, params: Any) -> t.ElicitResult:
        assert params.message == "which river?"
        return t.ElicitResult(action="accept", content={"answer": "the Elbe"})

    async with asking(settings, mode=mode, elicitation_callback=answer) as (client, other):
        text, data = await ask(client, "ask which river?")
        assert text == "heard: the Elbe"
        assert data["state"] == "completed"
        assert len(set(other.begun)) == 1


@ERAS
async def test_a_question_that_the_user_declines_stays_open(settings: Settings, mode: Any) -> None:
    async def decline(context: object, params: Any) -> t.ElicitResult:
        return t.ElicitResult(action="decline")

    async with asking(settings, mode=mode, elicitation_callback=decline) as (client, _):
        text, data = await ask(client, "ask which river?")
        assert "The user declined to answer." in text
        assert data["state"] == "input-required"


async def test_where_nobody_can_be_asked_the_question_is_the_result(settings: Settings) -> None:
    async with asking(settings) as (client, _):
        text, data = await ask(client, "ask which river?")
        assert data["question"] == "which river?"
        assert f'Call ask_river again with task "{data["task"]}"' in text
        text, done = await ask(client, "the Elbe", task=data["task"])
        assert text == "heard: the Elbe"
        assert (done["task"], done["context"]) == (data["task"], data["context"])


async def test_a_conversation_goes_on_in_its_context(settings: Settings) -> None:
    async with asking(settings) as (client, _):
        _, first = await ask(client, "one")
        _, second = await ask(client, "two", context=first["context"])
        assert second["context"] == first["context"]
        assert second["task"] != first["task"]


async def test_a_permission_that_is_needed_is_said_with_its_cure(settings: Settings) -> None:
    async with asking(settings) as (client, _):
        text, data = await ask(client, "login at https://login.example.com")
        assert data["state"] == "auth-required"
        assert "at https://login.example.com" in text
        assert '"headers" or "auth" of "river" in the config file' in text


async def test_a_task_that_failed_is_an_error_with_its_reason(settings: Settings) -> None:
    async with asking(settings) as (client, _):
        result = await client.call_tool("ask_river", {"message": "fail the map is lost"})
        assert result.is_error
        assert text_of(result) == 'Agent "river" failed: the map is lost'


async def test_an_agent_that_says_too_much_is_cut_short(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asking(settings) as (client, _):
        monkeypatch.setattr("pygent_a2a.remote.agent.MOST_BYTES", 5000)
        result = await client.call_tool("ask_river", {"message": "flood 20"})
        assert result.is_error
        assert "Ask it for less at a time" in text_of(result)


async def test_a_task_nobody_knows_is_said_so(settings: Settings) -> None:
    async with asking(settings) as (client, _):
        result = await client.call_tool("get_task", {"task": "nope"})
        assert result.is_error
        assert 'has no such task, "nope"' in text_of(result)


async def test_headers_of_the_config_let_us_in_and_without_them_the_cure_is_said(settings: Settings) -> None:
    traits = {"token": "sesame-sesame"}
    async with asking(settings, traits, {"headers": {"Authorization": "Bearer sesame-sesame"}}) as (
        client,
        _,
    ):
        assert (await ask(client, "hello"))[0] == "heard: hello"
    async with asking(settings, traits) as (client, _):
        text, _ = await ask(client, "hello")
        assert "refuses what it was sent: it answered 401" in text
        assert '"headers"' in text


async def test_the_trace_of_a_call_goes_on_to_the_agent(settings: Settings) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with asking(settings) as (client, other):
        meta: Any = {"traceparent": trace}
        await client.call_tool("ask_river", {"message": "hello"}, meta=meta)
        assert [found["traceparent"] for found in other.headers if "traceparent" in found] == [trace]


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_card_that_leads_to_another_private_address_is_not_followed(
    settings: Settings, era: Any
) -> None:
    async with other_agent(settings) as elsewhere:
        async with asking(settings, {"interface": f"{elsewhere.url}/"}, mode=era) as (client, _):
            result = await client.call_tool("ask_river", {"message": "hello"})
            assert result.is_error
            assert "not an address of the open Internet" in text_of(result)
            assert '"allow_private": true' in text_of(result)
            assert not elsewhere.headers
        allowed = {"allow_private": True}
        async with asking(settings, {"interface": f"{elsewhere.url}/"}, allowed) as (client, _):
            assert (await ask(client, "hello"))[0] == "heard: hello"


async def test_headers_stay_with_the_origin_that_the_config_names_unless_it_is_https() -> None:
    wire = Wire(Remote(name="a", card="http://10.0.0.1:80/card.json", headers={"X": "secret"}))
    assert wire.lets_in("http://10.0.0.1/a2a")
    assert not wire.lets_in("http://10.0.0.2/a2a")
    assert wire.lets_in("https://agents.example.com/a2a")
    async with wire.client() as http:
        with pytest.raises(httpx.ConnectError, match="not an address of the open Internet"):
            await http.get("http://169.254.169.254/latest")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{", "a JSON object of agents"),
        ('{"a": {}}', "a.card"),
        ('{"a": {"card": "file:///etc/passwd"}}', "a.card"),
        ('{"a": {"card": "https://x", "header": {}}}', "a.header"),
        ('{"a": {"card": "https://x", "pin": "abc"}}', "a.pin"),
    ],
)
def test_agents_that_are_written_wrongly_are_refused(written: str, words: str) -> None:
    with pytest.raises(SettingInvalid, match=words):
        remotes(written)


def test_a_card_is_looked_for_where_it_must_be() -> None:
    assert Remote(name="a", card="https://x/agents/a").cards == (
        "https://x/agents/a/.well-known/agent-card.json",
        "https://x/agents/a/.well-known/agent.json",
    )
    assert Remote(name="a", card="https://x/my.json").cards == ("https://x/my.json",)
