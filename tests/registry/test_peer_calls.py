"""Calls that no host makes go through the policies as well."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from pygent_registry.cli import main
from pygent_registry.config import parse
from pygent_registry.journal import NAME
from pygent_registry.registry import Registry
from pygent_shared.errors import InvalidArgument, NotAllowed, TooMany, UnknownName
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

SECRET = "s3cret-value-0123456789"
ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])

Running = Callable[..., AbstractAsyncContextManager[Registry]]


@pytest.fixture
def running(settings: Settings, server: Any) -> Running:
    @asynccontextmanager
    async def registry(settings: Settings = settings, **keys: Any) -> AsyncIterator[Registry]:
        config = parse({"mcpServers": {"a": server("well_behaved", **keys)}})
        async with Registry(config, settings).running() as running:
            yield running

    return registry


def records(settings: Settings) -> list[dict[str, Any]]:
    lines = (settings.data_dir / NAME).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def recorded(settings: Settings) -> list[tuple[str, str, str, str]]:
    return [(one["who"], one["server"], one["name"], one["outcome"]) for one in records(settings)]


async def test_a_call_of_one_of_our_own_servers_leaves_a_record(running: Running, settings: Settings) -> None:
    async with running() as registry:
        result = await registry.call_tool("a__echo", {"x": 1})

    assert result["structuredContent"]["said"] == '{"x": 1}'
    assert recorded(settings) == [("peers", "a", "a__echo", "ok")]


async def test_what_an_entry_denies_our_own_servers_cannot_call(running: Running, settings: Settings) -> None:
    async with running(deny=["echo"]) as registry:
        with pytest.raises(UnknownName):
            await registry.call_tool("a__echo", {})

    assert recorded(settings) == [("peers", "", "a__echo", "refused by UnknownName")]


async def test_what_needs_the_users_approval_is_refused_where_there_is_no_user(running: Running) -> None:
    async with running(approve=["echo"]) as registry:
        with pytest.raises(NotAllowed, match="needs the user's approval"):
            await registry.call_tool("a__echo", {})


async def test_where_there_is_a_user_the_question_comes_back_and_the_answer_lets_the_call_through(
    running: Running,
) -> None:
    async with running(approve=["echo"]) as registry:
        asked = await registry.call_tool("a__echo", {"x": 1}, asking={})
        (key, question), *_ = asked["inputRequests"].items()
        assert 'Let "a__echo"' in question["params"]["message"]
        agreed = {key: {"action": "accept", "content": {}}}
        again = {"inputResponses": agreed, "requestState": asked["requestState"]}
        with pytest.raises(InvalidArgument, match="of another call"):
            await registry.call_tool("a__echo", {"x": 2}, asking=again)
        result = await registry.call_tool("a__echo", {"x": 1}, asking=again)
        with pytest.raises(InvalidArgument, match="is unknown"):
            await registry.call_tool("a__echo", {"x": 1}, asking=again)
    assert result["structuredContent"]["said"] == '{"x": 1}'


async def test_secrets_are_taken_out_for_our_own_servers_too(running: Running) -> None:
    async with running(env={"API_KEY": SECRET}) as registry:
        result = await registry.call_tool("a__echo", {"key": SECRET})

    assert SECRET not in json.dumps(result)
    assert "[secret]" in json.dumps(result)


async def test_our_own_servers_are_one_caller_to_the_limits(running: Running, settings: Settings) -> None:
    async with running(settings=replace(settings, caller_rate=6)) as registry:
        await registry.call_tool("a__echo", {})
        with pytest.raises(TooMany, match='"peers"'):
            await registry.call_tool("a__echo", {})


async def test_no_result_is_cut_for_a_program(running: Running, settings: Settings) -> None:
    async with running(settings=replace(settings, max_result_bytes=1000)) as registry:
        result = await registry.call_tool("a__echo", {"long": "x" * 5000})

    assert "x" * 5000 in result["content"][0]["text"]


async def test_progress_comes_back(running: Running) -> None:
    reports: list[float] = []

    async def report(done: float, total: float | None, message: str | None) -> None:
        reports.append(done)

    async with running() as registry:
        await registry.calls.call("a__count", {}, progress=report)

    assert reports == [1, 2, 3]


def test_pygent_call_leaves_a_record(settings: Settings, tmp_path: Path, own_logging: None) -> None:
    config = tmp_path / "mcp.json"
    script = str(Path(__file__).with_name("stdio_servers.py"))
    config.write_text(
        json.dumps({"mcpServers": {"a": {"command": sys.executable, "args": [script, "well_behaved"]}}})
    )
    flags = ["--config", str(config), "--data-dir", str(settings.data_dir)]

    assert main(["call", "a__echo", "x=1", *flags]) == 0
    assert recorded(settings) == [("pygent call", "a", "a__echo", "ok")]


@ERAS
async def test_a_host_that_calls_what_is_not_there_leaves_a_record(
    fronted: Any, server: Any, settings: Settings, mode: str
) -> None:
    async with fronted({"a": server("well_behaved", deny=["echo"])}, mode=mode) as client:
        await refused(client, "a__nothing")
        await refused(client, "a__echo")

    assert recorded(settings) == [
        ("stdio", "", "a__nothing", "refused by UnknownName"),
        ("stdio", "", "a__echo", "refused by UnknownName"),
    ]


@ERAS
async def test_a_host_that_calls_a_server_which_is_down_leaves_a_record(
    fronted: Any, server: Any, settings: Settings, mode: str
) -> None:
    async with fronted({"a": server("exits")}, mode=mode) as client:
        await refused(client, "a__echo")

    assert recorded(settings) == [("stdio", "", "a__echo", "refused by ServerUnavailable")]


async def refused(client: Client, tool: str) -> None:
    assert (await client.call_tool(tool, {})).is_error
