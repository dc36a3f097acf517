"""Bad input and bad machines: one sentence with a cure, and nothing that was acknowledged is lost."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pygent_memory.memory import draft
from pygent_memory.schema import MIGRATIONS
from pygent_memory.store import MemoryStore
from pygent_memory.verifying import verify
from pygent_shared.database import Database
from pygent_shared.errors import DatabaseUnusable, InvalidArgument
from pygent_shared.settings import Settings
from pygent_shared.testing import in_memory, refusal

NOW = "2025-05-01T12:00:00Z"
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    opened = MemoryStore(Database(tmp_path / "memory.db", MIGRATIONS))
    yield opened
    opened.close()


def kept(folder: Path) -> list[str]:
    """The texts a fresh process finds. Fails where anything is wrong with the file."""
    with closing(Database(folder / "memory.db", MIGRATIONS)) as database:
        assert verify(database) == []
        return [str(text) for (text,) in database.query("SELECT text FROM memory ORDER BY key")]


def message(number: int, tool: str, **arguments: Any) -> bytes:
    params = {"name": tool, "arguments": arguments}
    call = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    return json.dumps(call).encode() + b"\n"


def conversation(
    folder: Path, lines: list[bytes], before: Callable[[], None] = lambda: None, prelude: str = ""
) -> dict[int, tuple[bool, str]]:
    """What a server process answers to these lines: whether it refused, and its text, by the call's number.

    Args:
        before: run in the process before the server.
        prelude: Python run in it before anything of ours is imported.
    """
    hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    start = "from pygent_memory.__main__ import main\nimport sys\nsys.exit(main([]))"
    environ = {**os.environ, **Settings(data_dir=folder, embedder="none").environ()}
    with subprocess.Popen(
        [sys.executable, "-c", f"{prelude}\n{start}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ,
        preexec_fn=before,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        answers: dict[int, tuple[bool, str]] = {}
        for line in [json.dumps(hello).encode() + b"\n", json.dumps(ready).encode() + b"\n", *lines]:
            process.stdin.write(line)
            process.stdin.flush()
            if (number := _number(line)) is not None:
                answers[number] = _answer(process.stdout, number)
        process.stdin.close()
        process.wait(60)
    del answers[0]
    return answers


def _number(line: bytes) -> int | None:
    """The number of a call; None for what is no message, whose answer is not waited for."""
    try:
        found = json.loads(line.decode(errors="replace"))
    except ValueError:
        return None
    number = found.get("id") if isinstance(found, dict) else None
    return number if isinstance(number, int) else None


def _answer(stdout: Any, number: int) -> tuple[bool, str]:
    for line in stdout:
        found = json.loads(line)
        if found.get("id") == number:
            result = found.get("result", {})
            content = result.get("content") or [{"text": str(found.get("error", ""))}]
            return "error" in found or bool(result.get("isError")), content[0]["text"]
    raise AssertionError("the server ended")


# ---- bad input


BAD = [
    ({"text": "x" * 10_000_000}, "holds 10,000,000 bytes, and a memory holds at most 64,000. Split it"),
    ({"text": " \n"}, "is empty, so there is nothing to remember. Say what to remember."),
    ({"text": "Tide.", "occurred_at": "31.12.2024"}, "is no ISO 8601 date. Write a day as 2025-03-01"),
    ({"text": "Tide.", "occurred_at": "2025-02-30"}, "is no ISO 8601 date. Write a day as 2025-03-01"),
    ({"items": [{"text": "Tide."}, {"text": ""}]}, "items[1].text: is empty"),
]


def test_what_cannot_be_kept_is_refused_over_stdio_and_the_server_goes_on(tmp_path: Path) -> None:
    lines = [message(number, "memory_add", **arguments) for number, (arguments, _) in enumerate(BAD, start=1)]
    *said, last = conversation(tmp_path, [*lines, message(9, "memory_add", text="High.")]).values()
    for (refused, text), (_, sentence) in zip(said, BAD, strict=True):
        assert refused
        assert sentence in text
        assert "\n" not in text
    assert not last[0]
    assert kept(tmp_path) == ["High."]


def test_bytes_that_are_no_message_are_survived_and_those_that_are_no_text_are_marked(tmp_path: Path) -> None:
    lines = [
        message(1, "memory_add", text="cut")[:40] + b"\n",
        b"\x00\x01\x02\n",
        b"\n",
        b'"text"\n',
        b"[1, 2\n",
        message(2, "memory_add", text="raw").replace(b"raw", b"raw \xff\xfe"),
        message(3, "memory_add", text="High."),
    ]
    said = conversation(tmp_path, lines)
    assert [refused for refused, _ in said.values()] == [False, False]
    assert kept(tmp_path) == ["raw \ufffd\ufffd", "High."]


@pytest.mark.parametrize(("tool", "more"), [("memory_get", {}), ("memory_forget", {})])
@pytest.mark.anyio
async def test_half_characters_in_ids_and_questions_are_refused(
    settings: Settings, tool: str, more: dict[str, Any]
) -> None:
    async with in_memory("pygent_memory", settings) as client:
        assert "half a character" in await refusal(client, tool, ids=["m\ud800"], **more)
        assert "half a character" in await refusal(client, "memory_search", query="tide \udcff")
        assert "half a character" in await refusal(client, "memory_add", text="x", space="\ud800")


def test_a_memory_neither_replaces_nor_derives_from_itself(store: MemoryStore) -> None:
    (tide,) = store.add("a", [draft("Tide.")], NOW)
    (again,) = store.add("a", [draft("Tide.", replaces=[tide.id], derived_from=[tide.id])], NOW)
    assert (again.id, again.status, again.replaced) == (tide.id, "duplicate", ())
    (memory,) = store.get("a", [tide.id])
    assert (memory.replaced_by, memory.derived_from) == ("", ())


def test_what_was_replaced_cannot_come_to_replace_what_replaced_it(
    store: MemoryStore, tmp_path: Path
) -> None:
    (one,) = store.add("a", [draft("High.")], NOW)
    (two,) = store.add("a", [draft("Low.", replaces=[one.id])], NOW)
    (three,) = store.add("a", [draft("High.", replaces=[two.id])], NOW)
    assert [store.get("a", [id])[0].replaced_by for id in (one.id, two.id, three.id)] == [
        two.id,
        three.id,
        "",
    ]
    assert kept(tmp_path) == ["High.", "Low.", "High."]


def test_links_to_ids_that_are_not_there_are_no_links(store: MemoryStore, tmp_path: Path) -> None:
    store.add("b", [draft("Elsewhere.")], NOW)
    (other,) = store.recent("b", 1)
    (stored,) = store.add("a", [draft("Tide.", replaces=["mnone", other.id, "'; --"])], NOW)
    assert stored.replaced == ()
    unknown = sorted([other.id, "mnone"])
    with pytest.raises(InvalidArgument, match=f'space "a" has no memory {", ".join(unknown)}'):
        store.add("a", [draft("Ebb.", derived_from=unknown)], NOW)
    assert store.get("b", [other.id])[0].replaced_by == ""
    assert kept(tmp_path) == ["Elsewhere.", "Tide."]


# ---- bad machines


AS_NOBODY = """
import asyncio, json, os, sys
from pathlib import Path
from pygent_shared.settings import Settings
from pygent_shared.testing import in_memory

CALLS = [
    ("memory_add", {"text": "New."}), ("memory_search", {"query": "tide"}), ("memory_get", {"ids": ["m"]})
]

async def said(folder):
    async with in_memory("pygent_memory", Settings(data_dir=Path(folder), embedder="none")) as client:
        results = [await client.call_tool(tool, arguments) for tool, arguments in CALLS]
        return [(bool(result.is_error), result.content[0].text) for result in results]

asyncio.run(said(sys.argv[1]))  # what is imported at the first call is imported while it can be
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
print(json.dumps(asyncio.run(said(sys.argv[2]))))
"""
"""Calls as a user for whom permissions count."""


@pytest.fixture
def reachable(tmp_path: Path) -> Iterator[Path]:
    """A folder with one memory in it, which everybody can get to."""
    folder = tmp_path / "data"
    store = MemoryStore(Database(folder / "memory.db", MIGRATIONS))
    store.add("default", [draft("The tide is high.")], NOW)
    store.close()
    opened = []
    spec = find_spec("sqlite_vec")  # which is loaded at each connection
    assert spec is not None
    assert spec.origin is not None
    for parent in [folder, *folder.parents, *Path(spec.origin).parents]:
        if not parent.stat().st_mode & 0o001:
            opened.append((parent, parent.stat().st_mode))
            parent.chmod(parent.stat().st_mode | 0o011)
    yield folder
    for parent, mode in opened:
        parent.chmod(mode)


def test_a_read_only_folder_is_named_with_a_cure_and_left_as_it_was(reachable: Path, tmp_path: Path) -> None:
    path = reachable / "memory.db"
    path.chmod(0o444)
    reachable.chmod(0o555)
    before = path.read_bytes()
    command = [sys.executable, "-c", AS_NOBODY, str(tmp_path / "other"), str(reachable)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    finally:
        reachable.chmod(0o755)
        path.chmod(0o644)
    assert done.returncode == 0, done.stderr
    for refused, sentence in json.loads(done.stdout):
        assert refused
        assert f'The database "{path}" cannot be opened for writing' in sentence
        assert sentence.endswith("or choose another one: export PYGENT_DATA_DIR=~/pygent-data")
    assert path.read_bytes() == before
    assert kept(reachable) == ["The tide is high."]


def test_a_disk_that_fills_up_refuses_with_a_cure_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    limit = 400_000
    lines = [
        message(number, "memory_add", text=f"{number}: " + f"word{number} " * 1_000)
        for number in range(1, 60)
    ]
    said = conversation(
        tmp_path, lines, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    refused = {number: text for number, (bad, text) in said.items() if bad}
    assert 0 < len(refused) < len(said)
    assert all(
        "could not be written" in text and text.endswith("Free space on that disk.")
        for text in refused.values()
    )
    texts = kept(tmp_path)
    assert [int(text.partition(":")[0]) for text in texts] == [n for n in said if n not in refused]
    after = conversation(tmp_path, [message(1, "memory_add", text="There is room again.")])
    assert not after[1][0]
    assert kept(tmp_path) == [*texts, "There is room again."]


def test_a_database_that_may_not_grow_keeps_a_batch_whole_or_not_at_all(tmp_path: Path) -> None:
    database = Database(tmp_path / "memory.db", MIGRATIONS)
    store = MemoryStore(database)
    store.add("a", [draft("First.")], NOW)
    database.query("PRAGMA max_page_count = 60")
    batch = [draft(f"{number}: " + "word " * 2_000) for number in range(40)]
    with pytest.raises(
        DatabaseUnusable, match=r"could not be written \(database or disk is full\). Free space"
    ):
        store.add("a", batch, NOW)
    assert [memory.text for memory in store.recent("a", 99)] == ["First."]
    database.query("PRAGMA max_page_count = 1000000")
    assert len(store.add("a", batch, NOW)) == 40
    database.close()
    assert len(kept(tmp_path)) == 41


def test_nothing_needs_the_sqlite_that_python_carries(tmp_path: Path) -> None:
    prelude = "import sys; sys.modules['sqlite3'] = sys.modules['_sqlite3'] = None"
    lines = [message(1, "memory_add", text="The tide is high."), message(2, "memory_search", query="tide")]
    said = conversation(tmp_path, lines, prelude=prelude)
    assert not said[1][0]
    assert "> The tide is high." in said[2][1]
    assert kept(tmp_path) == ["The tide is high."]
