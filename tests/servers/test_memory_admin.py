"""The tools and the commands of whoever looks after the memories."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest
from mcp import Client

from pygent_memory.__main__ import COMMANDS, main
from pygent_memory.commands import COMMANDS as KNOWN
from pygent_memory.memories import Memories
from pygent_memory.schema import MIGRATIONS
from pygent_memory.server import build_server
from pygent_shared.lazy import Lazy
from pygent_shared.serve import lowlevel
from pygent_shared.server import SuiteServer
from pygent_shared.settings import Settings
from pygent_shared.testing import call, refusal


def admin(settings: Settings) -> SuiteServer[Lazy[Memories]]:
    return build_server(replace(settings, memory_tools="admin"), None)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    async with Client(lowlevel(admin(settings))) as connected:
        yield connected


# ---- the tools


@pytest.mark.anyio
async def test_an_export_by_one_tool_is_imported_by_the_other(client: Client, settings: Settings) -> None:
    await call(client, "memory_add", text="The tide is high.", tags=["sea"])
    done, text = await call(client, "memory_export", file="notes.jsonl")
    assert done["path"] == str(settings.data_dir / "exports" / "notes.jsonl")
    assert '1 memories of space "default" are in' in text
    tried, _ = await call(client, "memory_import", path=done["path"], space="b", dry_run=True)
    assert (tried["added"], tried["dry_run"]) == (1, True)
    taken, _ = await call(client, "memory_import", path=done["path"], space="b")
    assert (taken["added"], taken["duplicates"], taken["problems"]) == (1, 0, 0)
    found, _ = await call(client, "memory_search", query="tide", space="b")
    assert [item["tags"] for item in found["results"]] == [["sea"]]
    named, _ = await call(client, "memory_export", format="markdown")
    assert named["path"].endswith(".md")


@pytest.mark.anyio
async def test_spaces_and_status_count_and_say_what_is_missing(client: Client) -> None:
    empty, text = await call(client, "memory_spaces")
    assert (empty, text) == ({"spaces": []}, "There is no space yet: the first memory makes one.")
    await call(client, "memory_add", text="The tide is high.")
    spaces, _ = await call(client, "memory_spaces")
    assert [(space["name"], space["memories"]) for space in spaces["spaces"]] == [("default", 1)]
    status, text = await call(client, "memory_status")
    assert (status["why"], status["passages"], status["vectors"]) == ("PYGENT_EMBEDDER is none", 1, {})
    assert "backups: none" in text


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("memory_export", {"file": "../escaped.jsonl"}, "cannot be a file's name here"),
        ("memory_export", {"format": "pdf"}, 'no format "pdf"'),
        ("memory_export", {"space": "empty"}, 'no space "empty"'),
        ("memory_import", {"path": "/no/such/file"}, "does not exist"),
        ("memory_import", {"path": ""}, "is no path"),
        ("memory_import", {"path": "/no/such/file", "format": "mem00"}, 'Did you mean "mem0"'),
    ],
)
async def test_what_cannot_be_done_is_one_sentence_with_a_cure(
    client: Client, tool: str, arguments: dict[str, Any], sentence: str
) -> None:
    await call(client, "memory_add", text="The tide is high.")
    said = await refusal(client, tool, **arguments)
    assert sentence in said
    assert "\n" not in said


@pytest.mark.anyio
async def test_over_http_files_are_imported_from_the_allowed_folders_only(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "open").mkdir()
    for place in (tmp_path, tmp_path / "open"):
        (place / "x.json").write_text('[{"memory": "Tide."}]')
    (tmp_path / "open" / "link.json").symlink_to(tmp_path / "x.json")
    limited = Settings(data_dir=settings.data_dir, embedder="none", read_from=(str(tmp_path / "open"),))
    async with Client(lowlevel(admin(limited))) as client:
        for name in ("x.json", "open/link.json", "open/../x.json"):
            said = await refusal(client, "memory_import", path=str(tmp_path / name))
            assert "outside the folders that files may be read from" in said
        done, _ = await call(client, "memory_import", path=str(tmp_path / "open" / "x.json"))
    assert done["added"] == 1


@pytest.mark.anyio
async def test_a_long_import_reports_its_progress(client: Client, tmp_path: Path) -> None:
    rows = [json.dumps({"memory": f"Reading {number}."}) for number in range(700)]
    (tmp_path / "x.json").write_text("\n".join(rows))
    reported: list[tuple[float, float | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        reported.append((done, total))

    result = await client.call_tool(
        "memory_import", {"path": str(tmp_path / "x.json")}, progress_callback=progress
    )
    assert not result.is_error
    assert reported[-1] == (700, 700)


# ---- the commands


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    """The words that name a folder with one memory in it."""
    (tmp_path / "first.json").write_text('[{"memory": "The tide is high."}]')
    words = ["--data-dir", str(tmp_path / "data")]
    assert main(["import", str(tmp_path / "first.json"), *words]) == 0
    return words


def output(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_the_server_names_every_command_and_each_has_help_with_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(KNOWN) == list(COMMANDS)
    for name in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert f"example: pygent-memory {name}" in output(capsys)


def test_a_word_that_is_no_command_is_a_usage_error_that_names_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["exprot"])
    assert ended.value.code == 2
    assert "'verify'" in capsys.readouterr().err


def test_what_was_backed_up_is_restored_after_it_was_lost(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backup", *data]) == 0
    (tmp_path / "second.json").write_text('[{"memory": "Wrong."}]')
    assert main(["import", str(tmp_path / "second.json"), *data]) == 0
    output(capsys)
    assert main(["restore", *data]) == 0
    assert "What was there is kept: " in output(capsys)
    assert main(["export", str(tmp_path / "out.jsonl"), *data]) == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows if row.get("row") == "memory"] == ["The tide is high."]
    output(capsys)
    assert main(["backup", "--list", *data]) == 0
    assert f"version {len(MIGRATIONS)}" in output(capsys)


def test_verify_says_what_is_wrong_and_repair_mends_it(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", *data]) == 0
    assert "Nothing is wrong with" in output(capsys)
    connection = apsw.Connection(str(tmp_path / "data" / "memory.db"))
    connection.execute("DELETE FROM passage").fetchall()
    connection.close()
    assert main(["verify", *data]) == 1
    said = output(capsys)
    assert "have no passages" in said
    assert "pygent-memory verify --repair" in said
    assert main(["verify", "--repair", *data]) == 0
    assert "nothing is wrong any more" in output(capsys)


def test_status_prints_what_programs_read_too(data: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    output(capsys)
    assert main(["status", "--json", *data]) == 0
    assert json.loads(output(capsys))["spaces"][0]["memories"] == 1
    assert main(["status", *data]) == 0
    assert 'space "default": 1 memories' in output(capsys)


def test_damaged_parts_of_an_import_are_a_failure_that_keeps_the_rest(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text('[{"memory": "Ebb."}, {"memory": ""}]')
    assert main(["import", str(tmp_path / "x.json"), *data]) == 1
    assert "Damaged: 1; they are in" in output(capsys)


@pytest.mark.parametrize("words", [["status"], ["verify"], ["backup"], ["export", "x.jsonl"], ["restore"]])
def test_without_a_database_each_command_says_so_and_makes_none(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--data-dir", str(tmp_path / "none")]) == 1 + (words == ["restore"])
    said = capsys.readouterr().err
    assert "does not exist yet" in said or "has no backup yet" in said
    assert not (tmp_path / "none").exists()
