"""Change without a restart: what a new config starts, ends and leaves alone, and who is told."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import mcp.types as t
import pytest
from mcp import Client

from pygent_registry.config import parse
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_registry.watch import ConfigFile
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])
Servers = dict[str, Any]


class Told:
    """What a host of either era hears about its lists."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self._news = anyio.Event()

    async def message(self, message: Any) -> None:
        if isinstance(message, t.ToolListChangedNotification):
            self._hear("tools")
        elif isinstance(message, t.PromptListChangedNotification):
            self._hear("prompts")
        elif isinstance(message, t.ResourceListChangedNotification):
            self._hear("resources")

    async def listen(self, client: Client, *, task_status: Any) -> None:
        async with client.listen(
            tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True
        ) as events:
            task_status.started()
            async for event in events:
                self._hear(type(event).__name__.removesuffix("ListChanged").lower())

    async def something(self) -> None:
        with anyio.fail_after(10):
            while not self.kinds:
                await self._news.wait()

    def _hear(self, kind: str) -> None:
        self.kinds.append(kind)
        self._news.set()
        self._news = anyio.Event()


class Host:
    """A host in front of a registry whose config can be changed."""

    def __init__(self, registry: Registry, client: Client, told: Told) -> None:
        self.registry, self.client, self.told = registry, client, told

    def apply(self, servers: Servers) -> None:
        self.registry.apply(parse({"mcpServers": servers}))

    async def servers(self) -> list[str]:
        names = [tool.name for tool in (await self.client.list_tools()).tools]
        return list(dict.fromkeys(name.partition("__")[0] for name in names))

    async def said(self, tool: str, **arguments: Any) -> str:
        content = (await self.client.call_tool(tool, arguments)).content[0]
        return str(content.text)  # type: ignore[union-attr]

    async def quiet(self) -> list[str]:
        """What was told by the time that a change made now would have been."""
        await anyio.sleep(0.4)
        return self.told.kinds


@asynccontextmanager
async def hosted(registry: Registry, mode: Any) -> AsyncIterator[Host]:
    told = Told()
    # A modern host hears of changes by `listen`, which reaches a message handler a second time.
    handler = told.message if mode == "legacy" else None
    async with Client(Gateway(registry), mode=mode, message_handler=handler, cache=None) as client:
        async with anyio.create_task_group() as tasks:
            await client.list_tools()
            if mode == "auto":
                await tasks.start(told.listen, client)
            yield Host(registry, client, told)
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def over(servers: Servers, settings: Settings, mode: str) -> AsyncIterator[Host]:
    async with hosted(Registry(parse({"mcpServers": servers}), settings), mode) as host:
        yield host


@ERAS
async def test_an_added_server_starts_and_is_announced_once_while_the_rest_runs_on(
    server: Any, settings: Settings, mode: str
) -> None:
    first = {"a": server("well_behaved")}
    async with over(first, settings, mode) as host:
        pid = await host.said("a__pid")
        host.apply({**first, "b": server("well_behaved", "other")})
        await host.told.something()
        assert await host.servers() == ["a", "b"]
        assert await host.said("b__echo", x=1) == '{"x": 1}'
        assert await host.said("a__pid") == pid
        assert await host.quiet() == ["tools"]


@ERAS
async def test_a_removed_server_ends_and_its_tools_are_gone(
    server: Any, settings: Settings, mode: str
) -> None:
    first = {"a": server("well_behaved")}
    async with over({**first, "b": server("well_behaved", "other")}, settings, mode) as host:
        pid = int(await host.said("b__pid"))
        host.apply(first)
        await host.told.something()
        assert await host.servers() == ["a"]
        assert "There is no tool" in await host.said("b__echo")
        with anyio.fail_after(10):
            while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
                await anyio.sleep(0.02)
        assert await host.quiet() == ["tools"]


@ERAS
async def test_an_edited_server_is_started_anew_and_the_others_keep_their_calls_in_flight(
    server: Any, settings: Settings, mode: str
) -> None:
    first = {"a": server("well_behaved"), "b": server("well_behaved")}
    async with over(first, settings, mode) as host:
        before = await host.said("b__pid")
        answers: list[str] = []

        async def wait() -> None:
            answers.append(await host.said("a__wait"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            host.apply({**first, "b": server("well_behaved", env={"X": "1"})})
            with anyio.fail_after(10):
                assert await host.said("b__pid") != before
            assert answers == []  # still in flight
            tasks.cancel_scope.cancel()
        assert await host.said("a__cancelled") == "1"


@ERAS
async def test_a_config_that_says_the_same_restarts_and_announces_nothing(
    server: Any, settings: Settings, mode: str
) -> None:
    servers = {"a": server("well_behaved"), "b": server("well_behaved", "other")}
    async with over(servers, settings, mode) as host:
        pids = [await host.said("a__pid"), await host.said("b__pid")]
        host.apply(dict(servers))
        assert await host.quiet() == []
        assert [await host.said("a__pid"), await host.said("b__pid")] == pids


@ERAS
async def test_the_servers_are_listed_in_the_configs_order_after_every_change(
    server: Any, settings: Settings, mode: str
) -> None:
    one, two, three = (server("well_behaved", number) for number in "123")
    async with over({"one": one, "three": three}, settings, mode) as host:
        host.apply({"three": three, "two": two, "one": one})
        await host.told.something()
        assert await host.servers() == ["three", "two", "one"]


@ERAS
async def test_notices_that_come_with_no_change_are_not_passed_on_and_real_ones_once(
    server: Any, settings: Settings, mode: str
) -> None:
    async with over({"a": server("noticing")}, settings, mode) as host:
        await host.said("a__notices", number=20, more=False)
        assert await host.quiet() == []
        await host.said("a__notices", number=20, more=True)
        assert await host.quiet() == ["tools"]


@ERAS
async def test_where_tools_are_searched_for_a_change_of_those_that_are_not_shown_is_no_news(
    server: Any, settings: Settings, mode: str
) -> None:
    settings = replace(settings, tools="search", tools_pinned=("a__extra",))
    async with over({"a": server("noticing"), "b": server("noticing")}, settings, mode) as host:
        await host.said("b__notices", number=1, more=True)
        assert await host.quiet() == []
        await host.said("a__notices", number=1, more=True)  # this one is shown
        await host.told.something()
        assert await host.quiet() == ["tools"]


async def test_a_change_of_one_server_is_no_news_for_the_endpoint_of_another(
    server: Any, settings: Settings
) -> None:
    servers = {"a": server("well_behaved"), "b": server("well_behaved", "other")}
    registry = Registry(parse({"mcpServers": servers}), settings)
    told = Told()
    async with registry.running():
        front = Gateway(registry, only="b", owner=False)
        async with Client(front, mode="legacy", message_handler=told.message) as other:
            await other.list_tools()
            async with Client(Gateway(registry, owner=False), mode="legacy") as client:
                await client.call_tool("a__more", {})
            await anyio.sleep(0.4)
            assert told.kinds == []
            await other.call_tool("more", {})
            await told.something()


def written(path: Path, servers: Servers, **more: Any) -> None:
    path.write_text(json.dumps({"mcpServers": servers, **more}), encoding="utf-8")


@ERAS
async def test_what_is_saved_in_the_config_file_is_in_force_by_itself(
    server: Any, settings: Settings, tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "pygent.json"
    written(path, {"a": server("well_behaved")})
    file = ConfigFile(locate=lambda: path, poll=0.05)
    async with hosted(Registry(file.load(), settings, file=file), mode) as host:
        written(path, {"a": server("well_behaved"), "b": server("well_behaved", "other")})
        await host.told.something()
        assert await host.servers() == ["a", "b"]


async def test_a_file_that_became_invalid_changes_nothing_and_is_complained_about_once(
    server: Any, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "pygent.json"
    written(path, {"a": server("well_behaved")})
    file = ConfigFile(locate=lambda: path, poll=0.02)
    async with hosted(Registry(file.load(), settings, file=file), "legacy") as host:
        pid = await host.said("a__pid")
        path.write_text('{"mcpServers": {', encoding="utf-8")
        await anyio.sleep(0.2)
        path.write_text('{"mcpServers": {', encoding="utf-8")  # saved again as it was
        await host.quiet()
        assert await host.said("a__pid") == pid
        (complaint,) = [record.getMessage() for record in caplog.records if record.name.endswith("watch")]
        assert "is not valid JSON: line 1" in complaint
        assert complaint.endswith("Meanwhile the servers go on as they were.")
        written(path, {"a": server("well_behaved"), "b": server("well_behaved", "other")})
        await host.told.something()
        assert await host.servers() == ["a", "b"]
        assert await host.said("a__pid") == pid


def test_layout_is_no_change_and_the_order_of_servers_is_one(tmp_path: Path) -> None:
    path = tmp_path / "pygent.json"
    a, b = {"command": "a"}, {"command": "b"}
    written(path, {"a": a, "b": b})
    file = ConfigFile(locate=lambda: path)
    file.load()
    assert file.changed() is None
    path.write_text(json.dumps({"mcpServers": {"a": a, "b": b}}, indent=4), encoding="utf-8")
    assert file.changed() is None
    written(path, {"b": b, "a": a})
    config = file.changed()
    assert config is not None
    assert [entry.name for entry in config.entries] == ["b", "a"]


def test_the_users_own_file_comes_into_force_when_it_is_made(tmp_path: Path) -> None:
    shipped, own = tmp_path / "shipped.json", tmp_path / "own.json"
    written(shipped, {})
    file = ConfigFile(locate=lambda: own if own.exists() else shipped)
    file.load()
    written(own, {"a": {"command": "a"}})
    config = file.changed()
    assert config is not None
    assert config.path == own


def test_new_bad_entries_and_settings_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    path = tmp_path / "pygent.json"
    written(path, {"old": {"comand": "x"}})
    file = ConfigFile(locate=lambda: path)
    file.load()
    written(path, {"old": {"comand": "x"}, "new": {"ulr": "x"}}, settings={"log_level": "info"})
    assert file.changed() is not None
    said = [record.getMessage() for record in caplog.records]
    assert ['"new"' in line or "next start" in line for line in said] == [True, True]
