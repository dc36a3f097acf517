"""`pygent top`: what it shows of a running `pygent up`, on a terminal and without one."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pygent_registry.cli import main
from pygent_registry.cli.table import Frame, lines
from pygent_registry.cli.top import KEYS, SORTS

pytestmark = pytest.mark.usefixtures("own_logging")

PROGRAM = [sys.executable, "-m", "pygent_registry.cli"]

SERVERS = {
    "a": {
        "state": "ready",
        "kind": "stdio",
        "pid": 7,
        "rss_bytes": 13_000_000,
        "cpu_seconds": 4.5,
        "seconds_up": 7300.0,
        "calls": 30,
        "errors": 2,
        "p50_ms": 1.25,
        "p95_ms": 250.0,
        "in_flight": 1,
        "starts": 3,
    },
    "b": {"state": "waiting", "kind": "http", "why": "cannot be reached", "calls": 0, "p50_ms": None},
}


def frame(at: float, **changed: Any) -> Frame:
    return Frame(at=at, servers={**SERVERS, "a": {**SERVERS["a"], **changed}})


def shown(width: int = 0, *, colours: bool = False) -> list[str]:
    rows = frame(12.0).since(frame(10.0, calls=10, cpu_seconds=4.0))
    return lines(rows, "http://x", colours=colours, width=width)


def test_rates_are_those_between_two_looks() -> None:
    (a, b) = frame(12.0).since(frame(10.0, calls=10, cpu_seconds=4.0))
    assert (a.calls_per_second, a.cpu_percent, a.restarts) == (10.0, 25.0, 2)
    assert (b.calls_per_second, b.cpu_percent, b.restarts) == (0.0, None, 0)


def test_a_server_that_was_started_again_meanwhile_has_no_rate_of_processor_time() -> None:
    (a, _) = frame(12.0, pid=8, cpu_seconds=0.1).since(frame(10.0))
    assert a.cpu_percent is None


def test_the_table_shows_everything_where_there_is_room() -> None:
    head, _, titles, first, second, _, why = shown()
    assert head == "http://x: 1 of 2 servers ready, 10.0 calls/s"
    assert titles.split() == "SERVER STATE PID UP RSS CPU% CALLS /S P50 P95 ERR FLY WAIT RST".split()
    assert first.split() == "a ready 7 2h 13M 25.0 30 10.0 1.2ms 250ms 2 1 0 2".split()
    assert second.split() == "b waiting - - - - 0 0.0 - - 0 0 0 0".split()
    assert why == "b: cannot be reached"


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_the_state_always_shows(width: int) -> None:
    found = shown(width)
    assert max(map(len, found)) <= width
    assert found[4].startswith("b       waiting")


@pytest.mark.parametrize(("sort", "first"), [("name", "a"), ("state", "b"), ("errors", "a"), ("rss", "a")])
def test_rows_are_sorted_as_wanted(sort: str, first: str) -> None:
    assert frame(2.0).since(frame(1.0), sort)[0].name == first


def test_every_column_to_sort_by_has_a_key() -> None:
    assert tuple(KEYS.values()) == SORTS


def test_what_is_down_is_red_and_nothing_else_is_added_without_colours() -> None:
    assert shown(colours=True)[4].startswith("\x1b[31mb ")
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in shown(colours=True)] == shown()


def test_where_none_runs_it_is_said_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", "--once", "--port", "9", "--data-dir", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "No pygent up answers on http://127.0.0.1:9" in err
    assert "Start it: pygent up" in err


def test_a_column_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--sort", "cup"]) == 2
    assert 'Did you mean "cpu"?' in capsys.readouterr().err


@pytest.fixture
def up(tmp_path: Path, server: Any) -> Iterator[list[str]]:
    """The flags that name a running `pygent up` with one server that is up and one that is not."""
    config = tmp_path / "pygent.json"
    servers = {"old": server("well_behaved"), "gone": {"command": "no-such-program"}}
    config.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    own = ["--config", str(config), "--data-dir", str(tmp_path / "data"), "--embedder", "none"]
    with subprocess.Popen(
        [*PROGRAM, "up", "--port", "0", *own], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            said = [process.stderr.readline()]
            while "bearer token" not in said[-1]:
                said.append(process.stderr.readline())
                assert said[-1], said
            base = next(line.split()[1] for line in said if line.startswith("Serving ")).partition("/mcp")[0]
            token = (tmp_path / "data" / "token").read_text(encoding="ascii").strip()
            for _ in range(100):
                ready = httpx.get(f"{base}/health/ready", headers={"Authorization": f"Bearer {token}"})
                if ready.json()["servers"]["old"]["state"] == "ready":
                    break
                time.sleep(0.1)
            yield [*own, "--port", base.rpartition(":")[2]]
        finally:
            process.kill()


def test_once_without_a_terminal_it_prints_one_table_or_one_document(up: list[str]) -> None:
    table = subprocess.run([*PROGRAM, "top", *up], capture_output=True, text=True, timeout=30)
    assert table.returncode == 0
    assert "1 of 2 servers ready" in table.stdout
    assert "\x1b" not in table.stdout
    document = subprocess.run([*PROGRAM, "top", "--json", *up], capture_output=True, text=True, timeout=30)
    rows = {row["name"]: row for row in json.loads(document.stdout)["servers"]}
    assert rows["old"]["state"] == "ready"
    assert rows["old"]["pid"] > 0
    assert "no program" in rows["gone"]["why"]


def _unmeasured() -> dict[str, str]:
    """Our environment without what would tell a terminal's size before the terminal is asked."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


class Terminal:
    """`pygent top` on a terminal of its own."""

    def __init__(self, words: list[str], columns: int, **env: str) -> None:
        self._mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.process = subprocess.Popen(
            [*PROGRAM, "top", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**_unmeasured(), "TERM": "xterm", "NO_COLOR": "", **env},
        )
        self.seen = ""

    def until(self, wanted: str, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while wanted not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self._mine], [], [], 0.1)[0]:
                self.seen += os.read(self._mine, 65536).decode()

    def press(self, key: str) -> None:
        self.seen = ""
        os.write(self._mine, key.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._mine)
        os.close(self._theirs)


def test_on_a_terminal_it_goes_on_until_q_and_leaves_the_terminal_as_it_was(up: list[str]) -> None:
    terminal = Terminal(up, 100)
    try:
        terminal.until("\x1b[31mgone")
        terminal.press("u")
        terminal.until("SERVER")
        terminal.press("q")
        terminal.until("\x1b[?1049l")
        assert terminal.process.wait(10) == 0
        assert termios.tcgetattr(terminal._theirs) == terminal.before
    finally:
        terminal.close()


def test_on_a_narrow_terminal_without_colours_it_shows_what_fits(up: list[str]) -> None:
    terminal = Terminal(up, 40, NO_COLOR="1")
    try:
        terminal.until("\x1b[J")
        picture = terminal.seen.partition("\x1b[H")[2].partition("\x1b[J")[0]
        assert not re.search(r"\x1b\[\d+m", picture)
        assert max(len(line.removesuffix("\x1b[K")) for line in picture.split("\r\n")) <= 40
        terminal.press("q")
        terminal.until("\x1b[?1049l")
    finally:
        terminal.close()
