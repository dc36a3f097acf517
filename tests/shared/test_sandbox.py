"""A program in a sandbox: what it cannot do there, and that it never runs without it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pygent_shared.errors import SandboxMissing
from pygent_shared.sandbox import Sandbox, confined

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces and these limits are Linux's")


def no_wall() -> str:
    """Why bubblewrap cannot be used here; empty where it can."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return "bubblewrap is not installed"
    words = [bwrap, "--ro-bind", "/", "/", "--unshare-pid", "--unshare-net", "true"]
    tried = subprocess.run(words, capture_output=True, text=True, timeout=20)
    return "" if tried.returncode == 0 else f"bubblewrap cannot make namespaces here: {tried.stderr.strip()}"


walled = pytest.mark.skipif(bool(no_wall()), reason=no_wall() or "-")


def run(code: str, *words: str, cwd: str | None = None, **asked: Any) -> subprocess.CompletedProcess[str]:
    """Python code in a sandbox, run to its end."""
    argv = confined([sys.executable, "-c", code, *words], Sandbox(**asked), cwd=cwd)
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=cwd)


# Limits.


def test_memory_beyond_the_limit_is_refused_to_the_program() -> None:
    code = "x = bytearray(300 << 20); print(len(x))"
    assert "MemoryError" in run(code, memory_mb=200).stderr
    assert run(code, memory_mb=600).stdout.strip() == str(300 << 20)


def test_processor_time_beyond_the_limit_ends_the_program() -> None:
    ended = run("while True: pass", cpu_seconds=1)
    assert ended.returncode < 0


def test_a_file_does_not_grow_beyond_the_limit(tmp_path: Path) -> None:
    code = "import sys; open(sys.argv[1], 'wb').write(bytes(2 << 20))"
    assert "File too large" in run(code, str(tmp_path / "big"), file_mb=1).stderr
    assert (tmp_path / "big").stat().st_size <= 1 << 20
    assert run(code, str(tmp_path / "small"), file_mb=3).returncode == 0


def test_the_program_cannot_raise_its_limits() -> None:
    code = "import resource as r; print(r.getrlimit(r.RLIMIT_CPU)); r.setrlimit(r.RLIMIT_CPU, (9, 7))"
    told = run(code, cpu_seconds=7)
    assert "(7, 7)" in told.stdout
    assert "ValueError" in told.stderr


def test_limits_alone_need_no_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **more: None)
    argv = confined([sys.executable, "-c", "print('here')"], Sandbox(cpu_seconds=9, memory_mb=400, file_mb=9))
    assert subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout == "here\n"


# Files and network.

WRITE = "import sys; open(sys.argv[1], 'w').write('x'); print('written')"


@walled
def test_it_writes_only_where_it_may(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    assert run(WRITE, str(mine / "x"), write=(mine,)).stdout == "written\n"
    assert (mine / "x").read_text() == "x"
    for place in (other / "x", Path.home() / ".pygent-sandbox-test", Path("/etc/pygent-sandbox-test")):
        assert run(WRITE, str(place), write=(mine,)).returncode != 0
        assert not place.exists()


@walled
def test_its_temporary_files_are_its_own(tmp_path: Path) -> None:
    place = Path("/tmp/pygent-sandbox-test")
    assert run(WRITE, str(place), write=()).stdout == "written\n"
    assert not place.exists()


@walled
def test_it_starts_in_its_folder(tmp_path: Path) -> None:
    told = run("import os; print(os.getcwd())", cwd=str(tmp_path), write=(tmp_path,))
    assert told.stdout.strip() == str(tmp_path)


@walled
@pytest.mark.parametrize("network", [True, False])
def test_without_network_not_even_this_machine_is_reached(network: bool) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5); print('reached')"
        told = run(code, network=network, write=())
    assert (told.stdout == "reached\n") == network


@walled
def test_without_network_sockets_in_run_are_out_of_reach(tmp_path: Path) -> None:
    assert run("import os; print(os.listdir('/run'))", network=False).stdout.strip() in ("[]", "['systemd']")


@walled
def test_it_has_no_capabilities_left() -> None:
    code = "print([line for line in open('/proc/self/status') if line.startswith('CapEff')][0].split()[1])"
    assert int(run(code, write=()).stdout, 16) == 0


@walled
@pytest.mark.skipif(os.geteuid() == 0, reason="the kernel does not limit the number of root's processes")
def test_it_has_no_more_processes_than_it_may() -> None:
    code = "import subprocess; [subprocess.Popen(['sleep', '5']) for _ in range(30)]"
    assert "Resource temporarily unavailable" in run(code, processes=10).stderr
    assert run(code, processes=100).returncode == 0


@walled
def test_what_it_starts_ends_with_it(tmp_path: Path) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '987.654']); print('started')"
    assert run(code, write=()).stdout == "started\n"
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(b"987.654" in words for words in running)


# What cannot be had.


@pytest.mark.parametrize("asked", [{"network": False}, {"write": ()}])
def test_without_bubblewrap_the_command_that_installs_it_is_named(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, **more: None if name == "bwrap" else found(name, **more)
    )
    with pytest.raises(SandboxMissing, match="needs bubblewrap") as missing:
        confined([sys.executable], Sandbox(**asked))
    assert "apt install bubblewrap" in str(missing.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_a_limit_that_the_kernel_does_not_hold_root_to_is_refused() -> None:
    with pytest.raises(SandboxMissing, match="Run pygent as another user"):
        confined([sys.executable], Sandbox(processes=4))


def test_a_folder_to_write_to_that_is_not_there_is_named(tmp_path: Path) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    with pytest.raises(SandboxMissing, match="is no folder") as missing:
        confined([sys.executable], Sandbox(write=(tmp_path / "nowhere",)))
    assert "mkdir -p" in missing.value.cure


def test_a_program_that_is_not_there_is_told_as_without_a_sandbox() -> None:
    for program in ("no-such-program", "./no-such-program", "/no/such/program"):
        with pytest.raises(FileNotFoundError) as missing:
            confined([program], Sandbox(cpu_seconds=1))
        assert missing.value.filename == program
