"""A program that nobody trusts: what it tries, and that it gets nowhere. Each test bounds what it does."""

from __future__ import annotations

import ast
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import anyio
import pytest

from pygent_shared.errors import SandboxMissing
from pygent_shared.sandbox import Sandbox, landlock
from pygent_shared.sandbox import run as runner
from pygent_shared.sandbox.landlock import lacking
from pygent_shared.sandbox.run import Bounds, Ended, chosen, run, walled_off
from pygent_shared.sandbox.view import NOBODY

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's"),
]
PROCESSES = 30
ENGINES = {"bubblewrap": cache(walled_off), "landlock": cache(lacking)}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What makes the sandbox; skipped where this machine's kernel offers it not."""
    name: str = request.param
    if why := ENGINES[name]():
        pytest.skip(str(why))
    monkeypatch.setattr(runner, "chosen", lambda: name)
    return name


@pytest.fixture
def folder(engine: str, tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    if os.geteuid() == 0:
        os.chown(made, runner.user(), runner.user())
    return made


async def tried(folder: Path, code: str, *words: str, bounds: Bounds = Bounds(seconds=30)) -> Ended:  # noqa: B008
    """Python code that nobody trusts, run to its end."""
    sandbox = Sandbox(
        network=False,
        write=(folder,),
        read=(),
        memory_mb=200,
        cpu_seconds=20,
        processes=PROCESSES,
        file_mb=1,
    )
    return await run([sys.executable, "-c", code, *words], sandbox, cwd=folder, bounds=bounds)


async def test_it_works_in_its_folder(folder: Path) -> None:
    ended = await tried(folder, "import os; open('x', 'w').write('y'); print(os.getcwd())")
    assert (ended.code, ended.output.strip(), ended.killed) == (0, str(folder), "")
    assert (folder / "x").read_text() == "y"


async def test_it_reads_nothing_outside(folder: Path) -> None:
    secret = folder.parent / "secret"
    secret.write_text("hush")
    secret.chmod(0o666)
    places = [str(secret), str(Path(__file__)), "/etc/shadow", "/root/.bashrc", "/proc/1/root/etc/shadow"]
    code = """
import sys
for place in sys.argv[1:]:
    try: print("read", place, open(place).read())
    except OSError as error: print(type(error).__name__)
"""
    told = (await tried(folder, code, *places)).output.split()
    assert len(told) == len(places)
    assert set(told) <= {"FileNotFoundError", "PermissionError"}


async def test_the_folders_of_users_are_not_shown(engine: str, folder: Path) -> None:
    code = """
import os
try: print(set(os.listdir("/")) & {"home", "var", "srv", "mnt", "run", "sys", "boot"} or "none")
except PermissionError: print("none")
try: print(os.listdir("/home") or "none")
except OSError: print("none")
print(os.path.expanduser("~") == os.environ["TMPDIR"])
"""
    assert (await tried(folder, code)).output.split() == ["none", "none", "True"]


async def test_it_writes_nothing_outside(folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir(mode=0o777)
    other.chmod(0o777)
    places = [str(other / "x"), "/etc/x", "/usr/x", "/x", "/dev/x", sys.prefix + "/x"]
    code = """
import sys, tempfile
for place in [*sys.argv[1:], tempfile.gettempdir() + "/inside"]:
    try: open(place, "w").write("x"); print("written")
    except OSError as error: print(type(error).__name__)
"""
    *told, own = (await tried(folder, code, *places)).output.split()
    assert set(told) <= {"FileNotFoundError", "PermissionError", "OSError"}
    assert own == "written"
    assert not any(Path(place).exists() for place in places)


async def test_what_is_shown_in_its_folder_stays_as_it_is(folder: Path) -> None:
    (folder / ".git").write_text("gitdir: elsewhere")
    sandbox = Sandbox(network=False, write=(folder,), read=(folder / ".git",))
    code = """
import os
for do in (lambda: open(".git", "w"), lambda: os.remove(".git"), lambda: os.rename(".git", "x")):
    try: do(); print("done")
    except OSError as error: print(error.strerror)
"""
    ended = await run([sys.executable, "-c", code], sandbox, cwd=folder)
    assert (ended.code, "done" in ended.output) == (0, False)
    assert (folder / ".git").read_text() == "gitdir: elsewhere"


async def test_a_symbolic_link_leads_it_nowhere(folder: Path) -> None:
    secret = folder.parent / "secret"
    secret.write_text("hush")
    secret.chmod(0o666)
    (folder / "link").symlink_to(secret)
    (folder / "up").symlink_to(folder.parent)
    code = """
import os
os.symlink("/etc/shadow", "own")
for place in ("link", "up/secret", "own"):
    try: print("read", open(place).read())
    except OSError as error: print(type(error).__name__)
for place in ("link", "up/secret", "own"):
    try: print("more", file=open(place, "a"))  # at most a file in its own /tmp
    except OSError: pass
"""
    told = (await tried(folder, code)).output.split()
    assert len(told) == 3
    assert set(told) <= {"FileNotFoundError", "PermissionError"}
    assert secret.read_text() == "hush"


async def test_it_reaches_no_network_this_machine_included(folder: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        code = f"""
import socket
for place in (("127.0.0.1", {listener.getsockname()[1]}), ("192.0.2.1", 80)):
    try: socket.create_connection(place, 5); print("reached")
    except OSError as error: print("refused")
"""
        assert (await tried(folder, code)).output.split() == ["refused"] * 2


async def test_a_fork_bomb_is_bounded(folder: Path) -> None:
    code = f"""
import os, time
made = 0
try:
    for _ in range({PROCESSES * 3}):
        if not os.fork():
            time.sleep(20); os._exit(0)
        made += 1
except OSError as error:
    print(made, error.strerror)
"""
    began = time.monotonic()
    made, _, why = (await tried(folder, code)).output.partition(" ")
    assert int(made) < PROCESSES
    assert "temporarily unavailable" in why
    assert time.monotonic() - began < 15, "its children outlived it"


async def test_a_memory_bomb_is_bounded_in_a_process_and_over_all(folder: Path) -> None:
    assert "MemoryError" in (await tried(folder, "bytearray(300 << 20)")).output
    code = """
import mmap, time
held = mmap.mmap(-1, 400 << 20)
for place in range(0, len(held), 4096): held[place] = 1
time.sleep(20)
"""
    ended = await tried(folder, code, bounds=Bounds(seconds=30, memory_mb=250))
    assert ended.killed == "it took more than 250 MB of memory"


async def test_its_temporary_files_do_not_fill_the_memory(engine: str, folder: Path) -> None:
    if engine == "landlock":
        pytest.skip("they lie on the disk, which is watched")
    code = """
for place in ("/tmp", "/dev/shm"):
    try:
        for number in range(400): open(f"{place}/{number}", "wb").write(bytes(1 << 20))
        print("filled")
    except OSError as error: print(error.strerror)
"""
    assert (await tried(folder, code)).output.splitlines() == ["No space left on device"] * 2


async def test_an_endless_loop_ends_by_the_clock_and_by_the_processor(folder: Path) -> None:
    began = time.monotonic()
    ended = await tried(folder, "while True: pass", bounds=Bounds(seconds=1))
    assert ended.killed == "it took more than 1 s"
    assert time.monotonic() - began < 10
    code = "import resource, signal; print(resource.getrlimit(resource.RLIMIT_CPU))"
    assert (await tried(folder, code)).output.strip() == "(20, 20)"


async def test_nothing_of_it_is_left_when_it_is_ended(folder: Path) -> None:
    code = (
        "import subprocess as s; s.Popen(['setsid', 'sleep', '986.654']); print('on'); s.run(['sleep', '60'])"
    )
    ended = await tried(folder, code, bounds=Bounds(seconds=1))
    assert ended.killed
    assert not running("986.654")


async def test_a_flood_of_output_keeps_its_beginning_and_its_end(folder: Path) -> None:
    code = "print('first'); [print('x' * 100) for _ in range(200_000)]; print('last')"
    ended = await tried(folder, code, bounds=Bounds(seconds=30, output=1000))
    assert ended.output.startswith("first\n")
    assert ended.output.endswith("last\n")
    assert "bytes left out" in ended.output
    assert len(ended.output) < 1100


async def test_a_big_file_is_refused_to_it(folder: Path) -> None:
    ended = await tried(folder, "open('big', 'wb').write(bytes(3 << 20))")
    assert "File too large" in ended.output
    assert (folder / "big").stat().st_size <= 1 << 20


@pytest.mark.parametrize("place", [".", "/tmp"])
async def test_many_files_do_not_fill_the_disk(engine: str, folder: Path, place: str) -> None:
    if (engine, place) == ("bubblewrap", "/tmp"):
        pytest.skip("it is in memory, and small")
    code = f"""
import os, time
os.chdir(os.environ["TMPDIR"] if {place!r} == "/tmp" else {place!r})
for number in range(40): open(str(number), "wb").write(b"x" * (1 << 20))
time.sleep(20)
"""
    ended = await tried(folder, code, bounds=Bounds(seconds=30, disk_mb=16))
    assert ended.killed == "the disk lost more than 16 MB while it ran"


async def test_it_sees_no_secret_of_our_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hush-hush")
    code = """
import glob, os
print(sorted(os.environ))
for place in glob.glob("/proc/[0-9]*/environ"):
    try: print(open(place, "rb").read())
    except OSError: pass
"""
    ended = await tried(folder, code)
    assert ended.code == 0
    assert "hush-hush" not in ended.output
    names = {*ast.literal_eval(ended.output.splitlines()[0])} - {"PWD", "GIT_CONFIG_NOSYSTEM"}
    assert names == {"HOME", "LANG", "PATH", "TMPDIR"}


async def test_it_sees_and_ends_no_process_but_its_own(folder: Path) -> None:
    code = f"""
import os, signal
try: print(len([name for name in os.listdir("/proc") if name.isdigit()]) < 5)
except PermissionError: print(True)
try: os.kill({os.getpid()}, 0); print("reached")
except OSError as error: print(type(error).__name__)
"""
    seen, reached = (await tried(folder, code)).output.split()
    assert (seen, reached != "reached") == ("True", True)


async def test_it_has_no_rights_of_roots(engine: str, folder: Path) -> None:
    code = """
import ctypes, os
held = (ctypes.c_uint32 * 6)()
asked = ctypes.CDLL(None).capget((ctypes.c_uint32 * 2)(0x20080522, 0), held)
print(os.geteuid(), asked, held[0] | held[1] | held[3] | held[4])
"""
    user, asked, capabilities = map(int, (await tried(folder, code)).output.split())
    nobody = engine == "bubblewrap" and os.geteuid() == 0
    assert (user, asked, capabilities) == (NOBODY if nobody else os.geteuid(), 0, 0)


async def test_it_changes_no_mode_owner_or_time_outside(folder: Path) -> None:
    other = folder.parent / "other"
    other.write_text("x")
    before = other.stat()
    code = """
import os, sys
place, left = sys.argv[1], 0
for do in (
    lambda: os.chmod(place, 0o777),
    lambda: os.chown(place, os.getuid(), os.getgid()),
    lambda: os.utime(place, (1, 1)),
    lambda: os.setxattr(place, b"user.x", b"1"),
    lambda: os.truncate(place, 0),
    lambda: os.rename(place, place + "2"),
    lambda: os.link(place, "linked"),
):
    try: do(); print("done")
    except OSError: left += 1
print(left)
"""
    assert (await tried(folder, code, str(other))).output.split() == ["7"]
    after = other.stat()
    assert (after.st_mode, after.st_uid, after.st_mtime) == (before.st_mode, before.st_uid, before.st_mtime)


async def test_it_reaches_no_socket_of_another_program(folder: Path) -> None:
    place = folder.parent / "s"
    code = """
import socket, sys
for place in (sys.argv[1], "\\0" + sys.argv[2]):
    try: socket.socket(socket.AF_UNIX).connect(place); print("reached")
    except OSError: print("refused")
"""
    name = f"pygent-{os.getpid()}-{os.urandom(4).hex()}"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as abstract:
        listener.bind(str(place))
        listener.listen()
        place.chmod(0o777)
        abstract.bind(f"\0{name}")
        abstract.listen()
        (folder / "near").symlink_to("../s")
        assert (await tried(folder, code, "near", name)).output.split() == ["refused"] * 2


async def test_where_bubblewrap_is_missing_landlock_serves_and_without_both_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, **more: None if name == "bwrap" else found(name, **more)
    )
    if lacking() is None:
        assert chosen.__wrapped__() == "landlock"
    monkeypatch.setattr(landlock, "find_spec", lambda name: None)
    monkeypatch.setattr(runner, "chosen", chosen.__wrapped__)
    folder = tmp_path / "work"
    folder.mkdir()
    with pytest.raises(SandboxMissing, match=r"apt install bubblewrap .*Or else: .*pip install") as told:
        await tried(folder, "open('ran', 'w')")
    assert "needs bubblewrap, which is not installed, and instead of it sandlock is not" in str(told.value)
    assert not (folder / "ran").exists()


async def test_a_bubblewrap_that_may_not_make_a_sandbox_is_told_apart_from_one_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2; exit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    told = str(walled_off())
    assert told.startswith(
        "Bubblewrap makes no sandbox here (bwrap: setting up uid map: Permission denied). "
    )
    assert "Allow it user namespaces" in told


async def test_what_runs_in_landlock_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    if why := lacking():
        pytest.skip(str(why))
    mark = f"986.{os.getpid()}"
    code = f"""
import subprocess, sys
from pathlib import Path
from pygent_shared.sandbox import Sandbox
from pygent_shared.sandbox.landlock import landlocked
sandbox = Sandbox(network=False, write=(), read=())
words = landlocked(["sh", "-c", "setsid sleep {mark} & echo on; wait"], sandbox, cwd="/",
                   temporary=Path({str(tmp_path)!r}), environ={{"PATH": "/usr/bin:/bin"}})
subprocess.run(words)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"on\n"
        assert running(mark)
        started.kill()
        started.wait()
    with anyio.fail_after(10):
        while running(mark):
            await anyio.sleep(0.05)


def running(mark: str) -> bool:
    """Whether a process has this among its words."""
    words = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words.append(path.read_bytes())
    return any(mark.encode() in line for line in words)
