"""Nothing acknowledged is lost: many writers, killed writers, and databases that cannot be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest
from mcp import Client
from mcp.types import TextContent

from pygent_memory.schema import MIGRATIONS
from pygent_memory.verifying import verify
from pygent_shared.database import Database
from pygent_shared.settings import Settings
from pygent_shared.testing import in_memory, over_stdio

MEMORY = "pygent_memory"
TOOLS: list[tuple[str, dict[str, Any]]] = [
    ("memory_add", {"text": "Tide."}),
    ("memory_search", {"query": "tide"}),
    ("memory_get", {"ids": ["m1"]}),
    ("memory_update", {"id": "m1", "pinned": True}),
    ("memory_forget", {"ids": ["m1"]}),
]


async def add_many(client: Client, texts: list[str]) -> list[str]:
    """Send all at once, without waiting for one another; the ids as acknowledged."""
    ids: list[str] = []

    async def add(text: str) -> None:
        result = await client.call_tool("memory_add", {"text": text})
        assert not result.is_error, result.content
        assert result.structured_content
        ids.append(result.structured_content["results"][0]["id"])

    async with anyio.create_task_group() as tasks:
        for text in texts:
            tasks.start_soon(add, text)
    return ids


def kept(settings: Settings) -> dict[str, str]:
    """What a fresh process would find: text by id. Fails when the file is not sound."""
    database = Database(settings.data_dir / "memory.db", MIGRATIONS)
    try:
        assert verify(database) == []
        return {str(id): str(text) for id, text in database.query("SELECT id, text FROM memory")}
    finally:
        database.close()


@pytest.mark.anyio
async def test_fifty_pipelined_adds_are_all_there(settings: Settings) -> None:
    async with over_stdio(MEMORY, settings) as client:
        ids = await add_many(client, [f"Reading {number}." for number in range(50)])
    assert set(kept(settings)) == set(ids)
    assert sorted(kept(settings).values()) == sorted(f"Reading {number}." for number in range(50))


@pytest.mark.anyio
async def test_four_processes_with_fifty_adds_each_lose_none(settings: Settings) -> None:
    acknowledged: list[str] = []

    async def writer(name: int) -> None:
        async with over_stdio(MEMORY, settings) as client:
            acknowledged.extend(await add_many(client, [f"{name}: reading {n}." for n in range(50)]))

    async with anyio.create_task_group() as tasks:
        for name in range(4):
            tasks.start_soon(writer, name)
    assert len(acknowledged) == 200
    assert set(kept(settings)) == set(acknowledged)


def requests(count: int) -> str:
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    calls = [
        {
            "id": number,
            "method": "tools/call",
            "params": {"name": "memory_add", "arguments": {"text": f"R {number}"}},
        }
        for number in range(1, count)
    ]
    messages = [
        {"id": 0, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        *calls,
    ]
    return "".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)


def test_a_killed_writer_loses_nothing_it_acknowledged(settings: Settings) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-m", MEMORY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **settings.environ()},
        text=True,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    acknowledged = []
    with writer:
        feeding = threading.Thread(target=feed, args=(writer, requests(400)))
        feeding.start()
        for line in writer.stdout:
            message = json.loads(line)
            if message.get("id"):
                acknowledged.append(message["result"]["structuredContent"]["results"][0]["id"])
            if len(acknowledged) == 40:
                writer.kill()
                break
        acknowledged += [
            json.loads(line)["result"]["structuredContent"]["results"][0]["id"]
            for line in writer.stdout
            if line.endswith("}\n")
        ]
        feeding.join()
    assert 40 <= len(acknowledged) < 399
    assert set(kept(settings)) >= set(acknowledged)


def feed(writer: subprocess.Popen[str], text: str) -> None:
    assert writer.stdin is not None
    try:
        writer.stdin.write(text)
        writer.stdin.flush()
    except BrokenPipeError:
        return  # it was killed while it was told


def test_a_new_database_waits_for_the_process_that_is_making_it(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    maker = apsw.Connection(str(path))
    maker.execute("BEGIN IMMEDIATE; CREATE TABLE draft (x)")
    opened: list[Database] = []
    opening = threading.Thread(target=lambda: opened.append(Database(path, MIGRATIONS)))
    opening.start()
    opening.join(0.3)
    assert opening.is_alive(), "it gave up, or did not wait"
    maker.execute("ROLLBACK")
    maker.close()
    opening.join(60)
    (database,) = opened
    database.close()


async def refusals(settings: Settings) -> list[str]:
    """What each tool, the resource's text and a server that stays up say about an unusable database."""
    said = []
    async with in_memory(MEMORY, settings) as client:
        for tool, arguments in TOOLS:
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert isinstance(result.content[0], TextContent)
            said.append(result.content[0].text)
        assert len((await client.list_tools()).tools) == 6
    return said


@pytest.mark.anyio
async def test_a_file_that_is_no_database_is_named_with_a_cure_and_left_as_it_was(settings: Settings) -> None:
    settings.data_dir.mkdir()
    path = settings.data_dir / "memory.db"
    path.write_bytes(b"this is not a database\n" * 999)
    before = path.read_bytes()
    for sentence in await refusals(settings):
        assert f'The database "{path}" is damaged' in sentence
        assert f'Set it aside and start afresh: mv "{path}" "{path}.damaged"' in sentence
        assert "\n" not in sentence
    assert path.read_bytes() == before
    assert list(settings.data_dir.iterdir()) == [path]


@pytest.mark.anyio
async def test_once_it_is_set_aside_the_running_server_works(settings: Settings) -> None:
    settings.data_dir.mkdir()
    path = settings.data_dir / "memory.db"
    path.write_bytes(b"this is not a database\n" * 999)
    async with in_memory(MEMORY, settings) as client:
        assert (await client.call_tool("memory_add", {"text": "Tide."})).is_error
        path.rename(f"{path}.damaged")
        assert not (await client.call_tool("memory_add", {"text": "Tide."})).is_error


@pytest.mark.anyio
async def test_damage_inside_the_file_is_a_sentence_too(settings: Settings) -> None:
    path = settings.data_dir / "memory.db"
    async with in_memory(MEMORY, settings) as client:
        items = [{"text": f"Reading {number} of the tide gauge."} for number in range(500)]
        assert not (await client.call_tool("memory_add", {"items": items})).is_error
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    async with in_memory(MEMORY, settings) as client:
        result = await client.call_tool("memory_search", {"query": "tide"})
        assert result.is_error
        assert isinstance(result.content[0], TextContent)
        assert "is damaged" in result.content[0].text


@pytest.mark.anyio
async def test_a_folder_that_cannot_be_made_is_named_with_a_cure(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    below = Settings(data_dir=tmp_path / "file" / "data", embedder="none")
    for sentence in await refusals(below):
        assert f'The database "{below.data_dir / "memory.db"}" cannot be opened for writing' in sentence
        assert "export PYGENT_DATA_DIR=" in sentence


@pytest.mark.anyio
async def test_a_newer_database_is_left_alone(settings: Settings) -> None:
    settings.data_dir.mkdir()
    path = settings.data_dir / "memory.db"
    newer = apsw.Connection(str(path))
    newer.execute("PRAGMA journal_mode = WAL; CREATE TABLE ahead (x); PRAGMA user_version = 99").fetchall()
    newer.close()
    before = path.read_bytes()
    for sentence in await refusals(settings):
        assert "was written by a newer version" in sentence
        assert "pip install -U pygent-factory" in sentence
    assert path.read_bytes() == before
