"""The record of calls: over several files, by several processes, through crashes; and reading it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from pygent_registry import chain, disk
from pygent_registry.cli import main
from pygent_registry.journal import NAME, Journal, put_aside
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

POLICY_SERVERS = str(Path(__file__).with_name("policy_servers.py"))
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

Audit = Callable[..., tuple[int, str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / NAME


@pytest.fixture
def audit(capsys: pytest.CaptureFixture[str], tmp_path: Path, own_logging: None) -> Audit:
    """`audit("verify")`: the exit code of `pygent audit verify`, and what it printed."""

    def run(*words: str, folder: Path = tmp_path) -> tuple[int, str]:
        code = main(["audit", *words, "--data-dir", str(folder)])
        return code, "".join(capsys.readouterr())

    return run


async def written(path: Path, numbers: range, most_bytes: int = 0, **options: Any) -> None:
    journal = Journal(path, most_bytes=most_bytes, **options)
    for number in numbers:
        await journal.append(
            {"n": number, "server": "ab"[number % 2], "name": f"a__{number}", "outcome": "ok"}
        )
    journal.close()


def numbers(path: Path) -> list[int]:
    files = [file for file in (*put_aside(path), path) if file.exists()]
    return [json.loads(line)["n"] for file in files for line in file.read_text().splitlines()]


# Several files.


async def test_a_file_that_is_full_is_put_aside_and_the_chain_goes_on_in_the_next(
    path: Path, audit: Audit
) -> None:
    await written(path, range(20), most_bytes=1000)
    files = [file.name for file in put_aside(path)]
    assert files[:2] == ["audit.000001.jsonl", "audit.000002.jsonl"]
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in put_aside(path))
    assert numbers(path) == list(range(20))
    code, printed = audit("verify")
    assert code == 0
    assert f"20 records in {len(files) + path.exists()} files, and the chain is whole." in printed


async def test_the_chain_goes_on_in_a_new_process_where_the_last_file_was_just_put_aside(
    path: Path, audit: Audit
) -> None:
    await written(path, range(4), most_bytes=1)
    assert not path.exists()
    await written(path, range(4, 6))
    assert numbers(path) == list(range(6))
    assert audit("verify")[0] == 0


async def test_a_change_in_a_file_that_was_put_aside_is_found_and_named(path: Path, audit: Audit) -> None:
    await written(path, range(9), most_bytes=500)
    second = put_aside(path)[1]
    second.write_text(second.read_text().replace('"outcome":"ok"', '"outcome":"no"', 1))
    code, printed = audit("verify")
    assert (code, "is broken at audit.000002.jsonl, line 1: it was changed" in printed) == (1, True)


async def test_a_file_that_was_taken_out_of_the_middle_is_missed(path: Path, audit: Audit) -> None:
    await written(path, range(9), most_bytes=500)
    put_aside(path)[1].unlink()
    code, printed = audit("verify")
    assert (code, "is broken at audit.000003.jsonl, line 1: it does not follow" in printed) == (1, True)


async def test_files_that_were_moved_away_from_the_beginning_are_said_to_be(path: Path, audit: Audit) -> None:
    await written(path, range(9), most_bytes=500)
    first = put_aside(path)[0]
    last = json.loads(first.read_text().splitlines()[-1])["hash"]
    first.unlink()
    code, printed = audit("verify")
    assert code == 0
    assert f"It begins after {last}: files before audit.000002.jsonl are not here." in printed
    assert json.loads(audit("verify", "--json")[1])["begins"] == last


WRITER = """
import sys, anyio
from pathlib import Path
from pygent_registry.journal import Journal
async def write():
    journal = Journal(Path(sys.argv[1]), most_bytes=int(sys.argv[2]))
    for number in range(150):
        await journal.append({"who": sys.argv[3], "n": number})
    journal.close()
anyio.run(write)
"""


async def test_several_processes_write_one_chain_even_when_they_differ_on_when_a_file_is_full(
    path: Path, audit: Audit
) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(most), str(most)], env=env)
        for most in (1500, 4000, 0)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    code, printed = audit("verify")
    assert (code, printed.startswith("450 records in ")) == (0, True)


async def test_an_unfinished_line_is_closed_and_the_chain_goes_on(path: Path, audit: Audit) -> None:
    await written(path, range(2))
    with path.open("a") as file:
        file.write('{"n":2,"ser')
    await written(path, range(3, 5))
    code, printed = audit("verify")
    assert (code, "4 records, and the chain is whole. A crash left 1 unfinished line." in printed) == (
        0,
        True,
    )


# Onto the disk.


@pytest.fixture
def flushes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of the file at each time that it was really forced onto the disk."""
    seen: list[int] = []

    def flush(file: int) -> None:
        seen.append(os.fstat(file).st_size)
        os.fsync(file)

    monkeypatch.setattr(disk, "_flush", flush)
    return seen


async def test_each_record_is_on_the_disk_before_the_call_is_answered_where_that_is_wanted(
    path: Path, flushes: list[int]
) -> None:
    journal = Journal(path, "record")
    for number in range(3):
        await journal.append({"n": number})
        assert flushes[-1] == path.stat().st_size
    journal.close()
    assert len(flushes) == 3


async def test_records_that_wait_at_once_share_a_flush(path: Path, flushes: list[int]) -> None:
    journal = Journal(path, "record")
    async with anyio.create_task_group() as writing:
        for number in range(50):
            writing.start_soon(journal.append, {"n": number})
    journal.close()
    assert flushes[-1] == path.stat().st_size
    assert len(flushes) < 25
    assert sorted(numbers(path)) == list(range(50))


async def test_each_second_flushes_within_a_second_and_once_for_many(path: Path, flushes: list[int]) -> None:
    journal, began = Journal(path, "second"), anyio.current_time()
    for number in range(100):
        await journal.append({"n": number})
    with anyio.fail_after(5):
        while not flushes or flushes[-1] != path.stat().st_size:
            await anyio.sleep(0.05)
    assert len(flushes) <= anyio.current_time() - began + 1
    await journal.append({"n": 100})
    journal.close()
    assert flushes[-1] == path.stat().st_size


async def test_never_leaves_it_to_the_system(path: Path, flushes: list[int]) -> None:
    await written(path, range(3), sync="never")
    assert flushes == []


async def test_a_disk_that_cannot_be_flushed_is_an_error_that_is_logged(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(disk, "_flush", broken)
    with pytest.raises(OSError, match="Input/output error"):
        await written(path, range(1), sync="record")
    await written(path, range(1), sync="second")
    assert "a crash may lose records: [Errno 5] Input/output error" in caplog.text


# What a record holds.


async def test_a_record_names_its_trace_and_who_refused(fronted: Any, settings: Settings) -> None:
    servers = {
        "a": {"command": sys.executable, "args": [POLICY_SERVERS, "legacy"]},
        "b": {"command": sys.executable, "args": [POLICY_SERVERS, "legacy"]},
    }
    chosen = replace(settings, caller_rate=6)
    async with fronted(servers, settings=chosen) as client:
        await client.call_tool("a__echo", {}, meta={"traceparent": TRACEPARENT})
        await client.call_tool("a__echo", {})
    lines = (settings.data_dir / NAME).read_text().splitlines()
    first, second = map(json.loads, lines)
    assert (first["trace"], first["outcome"]) == (TRACEPARENT[3:35], "ok")
    assert (second["trace"], second["outcome"]) == ("", "refused by TooMany")
    assert chain.verify(lines).broken == ""


# Reading it.


async def test_records_are_found_by_their_fields(path: Path, audit: Audit) -> None:
    await written(path, range(9), most_bytes=500)
    found = json.loads(audit("show", "server=b", "--json")[1])
    assert [record["n"] for record in found] == [1, 3, 5, 7]
    found = json.loads(audit("show", "server=b", "name=a__[57]", "--json", "--last", "1")[1])
    assert [record["n"] for record in found] == [7]


@pytest.mark.parametrize(
    ("word", "said"), [("sevrer=b", 'Did you mean "server"?'), ("server", "FIELD=PATTERN")]
)
async def test_a_field_that_there_is_not_is_named(path: Path, audit: Audit, word: str, said: str) -> None:
    await written(path, range(1))
    code, printed = audit("show", word)
    assert (code, said in printed) == (2, True)


async def test_tail_shows_records_as_they_come_and_follows_the_file_that_comes_next(path: Path) -> None:
    await written(path, range(3), most_bytes=1500)
    words = ["-m", "pygent_registry.cli", "audit", "tail", "server=a", "--json", "--last", "1"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, *words, "--data-dir", str(path.parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as tail:
        assert tail.stdout is not None
        try:
            assert json.loads(tail.stdout.readline())["n"] == 2
            await written(path, range(3, 30), most_bytes=1500)
            shown = [json.loads(tail.stdout.readline())["n"] for _ in range(13)]
            assert shown == list(range(4, 30, 2))
        finally:
            tail.kill()
    assert len(put_aside(path)) > 2
