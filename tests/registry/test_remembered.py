"""Lists answered from what servers listed when they were last up."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp.types as t
import pytest
from mcp import Client

from pygent_registry.catalogue import Listing
from pygent_registry.config import parse
from pygent_registry.entry import Entry
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_registry.remembered import MOST_SERVERS, Remembered, key
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])


@asynccontextmanager
async def started(
    servers: dict[str, Any], settings: Settings, mode: Any, **options: Any
) -> AsyncIterator[tuple[Registry, Client]]:
    """A start of the registry, as `pygent serve` makes it."""
    remembered = Remembered(settings.data_dir / "catalogue.json")
    registry = Registry(parse({"mcpServers": servers}), settings, remembered=remembered)
    async with Client(Gateway(registry), mode=mode, cache=None, **options) as client:
        yield registry, client


async def names(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools()).tools]


@ERAS
async def test_the_second_start_lists_ten_slow_servers_before_any_is_up_and_its_calls_wait(
    server: Any, settings: Settings, mode: str
) -> None:
    slow = {f"s{number}": server("slow", "2") for number in range(10)}
    told: list[object] = []

    async def message(message: Any) -> None:
        told.append(message)

    async with started(slow, settings, mode) as (registry, client):
        await registry.settled(recalled=False)
        first = await names(client)
    async with started(slow, settings, mode, message_handler=message) as (registry, client):
        began = time.monotonic()
        assert await names(client) == first
        listed = time.monotonic() - began
        assert all(item.primary.state == "connecting" for item in registry.downstreams.values())
        result = await client.call_tool("s7__echo", {"x": 1})
        assert json.loads(result.content[0].text) == {"x": 1}  # type: ignore[union-attr]
        await registry.settled(recalled=False)
        await anyio.sleep(0.3)
        assert await names(client) == first
    assert len({name.partition("__")[0] for name in first}) == 10
    assert listed < 1.0
    assert not [item for item in told if isinstance(item, t.ToolListChangedNotification)]


@ERAS
async def test_hosts_are_told_when_a_server_turns_out_to_list_something_else(
    server: Any, settings: Settings, mode: str, tmp_path: Path
) -> None:
    entry = server("slow", "0.5")
    remembered = Remembered(settings.data_dir / "catalogue.json")
    (config,) = parse({"mcpServers": {"a": entry}}).entries
    for modern in (False, True):
        old = ({"name": "gone", "inputSchema": {"type": "object"}},)
        remembered.keep(config, Listing(server="a", prefix="a", tools=old), modern=modern)
    remembered.save()
    changed = anyio.Event()

    async def message(message: Any) -> None:
        if isinstance(message, t.ToolListChangedNotification):
            changed.set()

    async with started({"a": entry}, settings, mode, message_handler=message) as (_, client):
        assert await names(client) == ["a__gone"]
        if mode == "auto":
            async with client.listen(tools_list_changed=True) as events:
                with anyio.fail_after(10):
                    await anext(aiter(events))
        with anyio.fail_after(10):
            await changed.wait()
        assert "a__echo" in await names(client)
        assert "a__gone" not in await names(client)


async def test_a_tool_that_is_newer_than_the_memory_can_be_called_before_its_server_is_up(
    server: Any, settings: Settings
) -> None:
    entry = server("slow", "0.5")
    remembered = Remembered(settings.data_dir / "catalogue.json")
    (config,) = parse({"mcpServers": {"a": entry}}).entries
    remembered.keep(config, Listing(server="a", prefix="a"), modern=False)
    remembered.save()
    async with started({"a": entry}, settings, "auto") as (_, client):
        assert await names(client) == []
        assert not (await client.call_tool("a__echo", {})).is_error


async def test_our_own_servers_reach_a_tool_that_is_newer_than_the_memory(
    server: Any, settings: Settings
) -> None:
    entry = server("slow", "0.5")
    remembered = Remembered(settings.data_dir / "catalogue.json")
    (config,) = parse({"mcpServers": {"a": entry}}).entries
    remembered.keep(config, Listing(server="a", prefix="a"), modern=False)
    registry = Registry(parse({"mcpServers": {"a": entry}}), settings, remembered=remembered)
    async with registry.running():
        result = await registry.call_tool("a__echo", {"x": 1})
    assert result["structuredContent"]["said"] == '{"x": 1}'


async def test_a_list_from_memory_is_stale_at_once_and_the_same_for_all(
    server: Any, settings: Settings
) -> None:
    async with started({"a": server("well_behaved")}, settings, "auto") as (_, client):
        await client.list_tools()
    async with started({"a": server("well_behaved")}, settings, "auto") as (_, client):
        listed = await client.list_tools()
        assert (listed.ttl_ms, listed.cache_scope) == (0, "public")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "\x00", '{"format": 99, "servers": {}}', '{"format": 1, "servers": {"k": {"2025": 3}}}'],
)
def test_a_broken_file_is_told_of_once_and_written_anew(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "catalogue.json"
    path.write_text(text, encoding="utf-8")
    remembered, entry = Remembered(path), Entry(name="a", kind="stdio", command="x")
    assert remembered.listings(entry) == {}
    assert remembered.listings(entry) == {}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    remembered.keep(entry, Listing(server="a", prefix="a", tools=({"name": "t"},)), modern=True)
    remembered.save()
    assert Remembered(path).listings(entry)[True].tools == ({"name": "t"},)


def test_what_a_server_says_of_itself_is_remembered_too_and_older_files_lack_it(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    entry = Entry(name="a", kind="stdio", command="x")
    remembered = Remembered(path)
    remembered.keep(entry, Listing(server="a", prefix="a", instructions="Be brief."), modern=True)
    remembered.save()
    assert Remembered(path).listings(entry)[True].instructions == "Be brief."
    kept = json.loads(path.read_text(encoding="utf-8"))
    del kept["servers"][key(entry)]["2026"]["instructions"]
    path.write_text(json.dumps(kept), encoding="utf-8")
    assert Remembered(path).listings(entry)[True].instructions == ""


def test_an_entry_that_starts_something_else_has_no_memory_and_one_with_another_name_or_value_has() -> None:
    entry = Entry(name="a", kind="stdio", command="x", args=("1",), env={"K": "v"})
    same = Entry(name="b", kind="stdio", command="x", args=("1",), env={"K": "other"}, timeout=3.0)
    assert key(entry) == key(same)
    others = [
        Entry(name="a", kind="stdio", command="y", args=("1",), env={"K": "v"}),
        Entry(name="a", kind="stdio", command="x", args=("2",), env={"K": "v"}),
        Entry(name="a", kind="stdio", command="x", args=("1",), env={"L": "v"}),
        Entry(name="a", kind="http", url="http://x"),
    ]
    assert len({key(entry), *map(key, others)}) == 5


def test_two_processes_keep_each_others_memories_and_the_oldest_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    one, two = Remembered(path), Remembered(path)
    entries = [Entry(name=str(n), kind="stdio", command=str(n)) for n in range(MOST_SERVERS + 1)]
    for remembered, entry in ((one, entries[0]), (two, entries[1])):
        remembered.keep(entry, Listing(server="a", prefix="a"), modern=True)
        remembered.save()
    assert Remembered(path).listings(entries[0])
    for entry in entries[1:]:
        one.keep(entry, Listing(server="a", prefix="a"), modern=True)
    one.save()
    assert not Remembered(path).listings(entries[0])
    assert Remembered(path).listings(entries[-1])
    assert path.stat().st_mode & 0o077 == 0
