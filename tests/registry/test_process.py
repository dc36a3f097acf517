"""Nothing a registry started outlives it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pygent_shared.stdio import LAST_ANSWERS_SECONDS

from .programs import SECONDS_TO_DIE, alive, greeted, pids_in, running, until


@pytest.fixture(params=["alone", "behind a shell"])
def registry(request: pytest.FixtureRequest, server: Any, tmp_path: Path) -> Iterator[tuple[Any, Path]]:
    """A registry over one stubborn server (and that server's own deaf child), up and listed."""
    noted = tmp_path / "pids"
    entry = server("stubborn", noted)
    if request.param == "behind a shell":
        entry = {"command": "sh", "args": ["-c", '"$@"; true', "sh", entry["command"], *entry["args"]]}
    with greeted(config=tmp_path / "c.json", server=entry, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while b'"id":2' not in process.stdout.readline():
            assert process.poll() is None
        assert until(lambda: len(pids_in(noted)) == 2, 5)
        yield process, noted
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


@needs_proc
@pytest.mark.parametrize("ending", ["SIGKILL", "SIGTERM", "end of stdin"])
def test_no_child_that_is_still_starting_outlives_the_registry(
    server: Any, tmp_path: Path, ending: str
) -> None:
    noted = tmp_path / "pids"
    entry = server("stubborn_start", noted)
    with greeted(config=tmp_path / "c.json", server=entry) as process:
        assert process.stdin is not None
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
    detached = {"command": "setsid", "args": [entry["command"], *entry["args"]]}
    with greeted(config=tmp_path / "c.json", server=detached):
        assert until(lambda: len(pids_in(noted)) == 2, 15)
    assert until(lambda: not any(map(alive, pids_in(noted))), SECONDS_TO_DIE)
