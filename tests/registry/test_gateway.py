"""The gateway in front of real servers: what passes through it, and what does not."""

from __future__ import annotations

import json
import time
from typing import Any

import anyio
import mcp.types as t
import pytest
from mcp import Client, MCPError

from pygent_registry.config import parse
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_registry.status import STATUS_URI
from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])


def said(result: Any) -> str:
    return str(result.content[0].text)


async def state_of(client: Client, name: str) -> dict[str, Any]:
    read = await client.read_resource(STATUS_URI)
    found: dict[str, Any] = json.loads(read.contents[0].text)["servers"][name]  # type: ignore[union-attr]
    return found


@ERAS
async def test_tools_are_named_after_their_server_and_answer_through_it(
    fronted: Any, server: Any, mode: str
) -> None:
    async with fronted({"a": server("well_behaved"), "b": server("well_behaved")}, mode=mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names[0] == "a__echo"
        assert [name.partition("__")[0] for name in names] == ["a"] * 9 + ["b"] * 9
        assert json.loads(said(await client.call_tool("b__echo", {"x": [1, {"y": None}]}))) == {
            "x": [1, {"y": None}]
        }


@ERAS
async def test_a_call_in_flight_does_not_hold_up_others(fronted: Any, server: Any, mode: str) -> None:
    async with fronted({"a": server("well_behaved")}, mode=mode) as client:
        await client.list_tools()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "a__wait", {})
            with anyio.fail_after(5):
                await client.call_tool("a__echo", {})
            tasks.cancel_scope.cancel()


@ERAS
async def test_a_killed_server_fails_its_call_at_once_and_comes_back(
    fronted: Any, server: Any, mode: str
) -> None:
    servers = {"a": server("well_behaved"), "b": server("well_behaved")}
    async with fronted(servers, mode=mode) as client:
        before = said(await client.call_tool("a__pid", {}))
        began = time.monotonic()
        died = await client.call_tool("a__die", {})
        assert time.monotonic() - began < 1.0
        assert died.is_error
        assert 'Server "a" went away during tools/call' in said(died)
        assert "SIGKILL" in said(died)
        assert not (await client.call_tool("b__echo", {})).is_error
        after = await client.call_tool("a__pid", {})
        assert not after.is_error
        assert said(after) != before


@ERAS
async def test_an_unknown_tool_is_answered_with_the_nearest(fronted: Any, server: Any, mode: str) -> None:
    async with fronted({"a": server("well_behaved")}, mode=mode) as client:
        result = await client.call_tool("a__ehco", {})
        assert result.is_error
        assert 'Did you mean "a__echo"?' in said(result)


@ERAS
async def test_an_unknown_resource_or_prompt_is_a_protocol_error(
    fronted: Any, everything: Any, mode: str
) -> None:
    async with fronted({"a": everything}, mode=mode) as client:
        with pytest.raises(MCPError) as missing:
            await client.read_resource("test://nowhere")
        assert missing.value.error.code == t.INVALID_PARAMS
        with pytest.raises(MCPError, match="a__test_simple_prompt"):
            await client.get_prompt("a__test_simple_promt", {})


async def test_stdout_that_is_no_protocol_is_passed_over(fronted: Any, server: Any) -> None:
    async with fronted({"a": server("chatty")}, mode="auto") as client:
        assert not (await client.call_tool("a__echo", {})).is_error


async def test_ten_servers_of_which_four_are_broken_list_and_answer(fronted: Any, server: Any) -> None:
    broken = {
        "hangs": server("hangs"),
        "exits": server("exits"),
        "missing": {"command": "no-such-program-anywhere"},
        "rubbish": server("rubbish"),
    }
    healthy = {f"ok{number}": server("slow", "0.5") for number in range(6)}
    async with fronted({**broken, **healthy}, mode="auto") as client:
        began = time.monotonic()
        tools = {tool.name for tool in (await client.list_tools()).tools}
        ready = max([0.5, *[0.0 for _ in healthy]])
        assert {name.partition("__")[0] for name in tools} == set(healthy)
        assert (
            time.monotonic() - began < ready + 2 + 3
        )  # three seconds for six interpreters on a busy machine
        for name in healthy:
            assert not (await client.call_tool(f"{name}__echo", {})).is_error
        assert "no program" in (await state_of(client, "missing"))["why"]
        assert '"no database here"' in (await state_of(client, "exits"))["why"]
        assert (await state_of(client, "hangs"))["state"] == "connecting"


async def test_a_call_to_a_broken_server_says_what_is_wrong_and_what_to_type(
    fronted: Any, server: Any
) -> None:
    settings = Settings(start_timeout=1.0)
    servers = {
        "hangs": server("hangs"),
        "rubbish": server("rubbish"),
        "missing": {"command": "no-such-program"},
    }
    async with fronted(servers, settings=settings, mode="auto") as client:
        assert "did not answer initialize within 1 s" in said(await client.call_tool("hangs__x", {}))
        rubbish = said(await client.call_tool("rubbish__x", {}))
        assert "lines to stdout that are no MCP" in rubbish
        assert "make it log to stderr" in rubbish
        assert 'Install "no-such-program"' in said(await client.call_tool("missing__x", {}))


async def test_an_alias_of_a_server_that_is_down_is_known_as_its_own(fronted: Any, server: Any) -> None:
    async with fronted({"down": server("exits", aliases={"echo": "say"})}, mode="auto") as client:
        assert "no database here" in await refusal(client, "say")


async def test_a_bad_entry_costs_nobody_else_anything(fronted: Any, server: Any) -> None:
    async with fronted({"bad": {"comand": "x"}, "a": server("well_behaved")}, mode="auto") as client:
        assert not (await client.call_tool("a__echo", {})).is_error
        assert 'Did you mean "command"?' in (await state_of(client, "bad"))["why"]


async def test_a_call_without_answer_or_progress_ends_in_time(fronted: Any, server: Any) -> None:
    async with fronted({"a": server("well_behaved", timeout=0.5)}, mode="auto") as client:
        result = await client.call_tool("a__wait", {})
        assert result.is_error
        assert "gave no answer to tools/call and no progress for 0.5 s" in said(result)
        assert not (await client.call_tool("a__echo", {})).is_error


async def test_a_legacy_host_has_one_process_of_a_server_that_speaks_both_eras(
    fronted: Any, everything: Any
) -> None:
    async with fronted({"a": everything}, mode="legacy") as client:
        await client.list_tools()
        await client.call_tool("a__test_simple_text", {})
        assert (await state_of(client, "a"))["era"] == "2025"
        assert (await state_of(client, "a")).get("starts", 1) == 1


async def test_one_server_alone_is_shown_without_a_prefix(server: Any, settings: Settings) -> None:
    registry = Registry(parse({"mcpServers": {"a": server("well_behaved"), "b": server("hangs")}}), settings)
    async with Client(Gateway(registry, only="a"), mode="auto") as client:
        assert "echo" in [tool.name for tool in (await client.list_tools()).tools]
        assert said(await client.call_tool("echo", {"x": 1})) == '{"x": 1}'


async def test_an_http_server_that_is_not_there_costs_only_itself(fronted: Any, server: Any) -> None:
    servers = {"web": {"url": "http://127.0.0.1:9/mcp"}, "a": server("well_behaved")}
    async with fronted(servers, mode="auto") as client:
        assert not (await client.call_tool("a__echo", {})).is_error
        result = await client.call_tool("web__x", {})
        assert "cannot be reached at http://127.0.0.1:9/mcp" in said(result)
