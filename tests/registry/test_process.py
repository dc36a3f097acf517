"""Nothing a registry started outlives it, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pygent_shared.stdio import LAST_ANSWERS_SECONDS

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    },
}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
SECONDS_TO_DIE = 8.0


def greeting() -> bytes:
    """What a host sends first, up to the first message that needs the servers."""
    return b"".join(json.dumps(message).encode() + b"\n" for message in (HELLO, LIST))


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def pids_in(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether a condition comes true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


@pytest.fixture(params=["alone", "behind a shell"])
def registry(request: pytest.FixtureRequest, server: Any, tmp_path: Path) -> Iterator[tuple[Any, Path]]:
    """A registry over one stubborn server (and that server's own deaf child), up and listed."""
    noted = tmp_path / "pids"
    entry = server("stubborn", noted)
    if request.param == "behind a shell":
        entry = {"command": "sh", "args": ["-c", '"$@"; true', "sh", entry["command"], *entry["args"]]}
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"mcpServers": {"stubborn": entry}}))
    environment = {**os.environ, "PYGENT_DATA_DIR": str(tmp_path / "data")}
    with subprocess.Popen(
        [sys.executable, "-m", "pygent_registry", "--config", str(config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(greeting())
        process.stdin.flush()
        while b'"id":2' not in process.stdout.readline():
            assert process.poll() is None
        assert until(lambda: len(pids_in(noted)) == 2, 5)
        yield process, noted
        process.kill()
    for pid in filter(alive, pids_in(noted)):
        os.kill(pid, signal.SIGKILL)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


@needs_proc
@pytest.mark.parametrize("ending", ["SIGKILL", "SIGTERM", "end of stdin"])
def test_no_child_outlives_the_registry(registry: tuple[Any, Path], ending: str) -> None:
    process, noted = registry
    assert all(map(alive, pids_in(noted)))
    if ending == "end of stdin":
        process.stdin.close()
    else:
        process.send_signal(signal.Signals[ending])
    assert until(lambda: process.poll() is not None, SECONDS_TO_DIE)
    assert until(lambda: not any(map(alive, pids_in(noted))), SECONDS_TO_DIE)


@contextmanager
def running(*words: str, config: Path, server: Any, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A `pygent` process over one server, killed at the end in any case."""
    config.write_text(json.dumps({"mcpServers": {"a": server}}))
    own = ["--config", str(config)]
    environment = {**os.environ, "PYGENT_DATA_DIR": str(config.with_name("data"))}
    with subprocess.Popen([sys.executable, *words, *own], env=environment, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@needs_proc
@pytest.mark.parametrize("ending", ["SIGKILL", "SIGTERM", "end of stdin"])
def test_no_child_that_is_still_starting_outlives_the_registry(
    server: Any, tmp_path: Path, ending: str
) -> None:
    noted = tmp_path / "pids"
    entry = server("stubborn_start", noted)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with running("-m", "pygent_registry", config=tmp_path / "c.json", server=entry, **pipes) as process:
        assert process.stdin is not None
        process.stdin.write(greeting())
        process.stdin.flush()
        assert until(lambda: len(pids_in(noted)) == 2, 15)
        if ending == "end of stdin":
            process.stdin.close()
        else:
            process.send_signal(signal.Signals[ending])
        # After the end of stdin it waits so long for the answer to the list it was asked for.
        assert until(lambda: process.poll() is not None, LAST_ANSWERS_SECONDS + SECONDS_TO_DIE)
        assert until(lambda: not any(map(alive, pids_in(noted))), SECONDS_TO_DIE)


UP = ("-m", "pygent_registry.cli", "up", "--port", "0")


@needs_proc
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("behaviour", ["stubborn", "stubborn_start"])
def test_no_child_outlives_pygent_up(
    server: Any, tmp_path: Path, behaviour: str, ending: signal.Signals
) -> None:
    noted = tmp_path / "pids"
    entry = server(behaviour, noted)
    with running(*UP, config=tmp_path / "c.json", server=entry, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        while b"bearer token" not in process.stderr.readline():
            assert process.poll() is None
        assert until(lambda: len(pids_in(noted)) == 2, 15)
        process.send_signal(ending)
        assert until(lambda: process.poll() is not None, SECONDS_TO_DIE)
        assert until(lambda: not any(map(alive, pids_in(noted))), SECONDS_TO_DIE)


@needs_proc
def test_a_child_that_is_started_again_leaves_nothing_of_its_earlier_life(
    server: Any, tmp_path: Path
) -> None:
    noted = tmp_path / "pids"
    entry = server("stubborn", noted)
    with running(*UP, config=tmp_path / "c.json", server=entry, stderr=subprocess.DEVNULL):
        assert until(lambda: len(pids_in(noted)) == 2, 15)
        first = pids_in(noted)
        os.kill(next(pid for pid in first if os.getpgid(pid) == pid), signal.SIGKILL)
        assert until(lambda: len(pids_in(noted)) == 4, 15)
        assert not any(map(alive, first))


@needs_proc
def test_a_child_that_left_its_group_is_found_by_its_environment(server: Any, tmp_path: Path) -> None:
    noted = tmp_path / "pids"
    entry = server("stubborn", noted)
    config = tmp_path / "config.json"
    detached = {"command": "setsid", "args": [entry["command"], *entry["args"]]}
    config.write_text(json.dumps({"mcpServers": {"stubborn": detached}}))
    with subprocess.Popen(
        [sys.executable, "-m", "pygent_registry", "--config", str(config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYGENT_DATA_DIR": str(tmp_path / "data")},
    ) as process:
        assert process.stdin is not None
        process.stdin.write(greeting())
        process.stdin.flush()
        assert until(lambda: len(pids_in(noted)) == 2, 15)
        process.kill()
    assert until(lambda: not any(map(alive, pids_in(noted))), SECONDS_TO_DIE)
