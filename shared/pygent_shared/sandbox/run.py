"""Run a program that nobody trusts to its end: with an environment of its own, and a bound on its time, its
memory, its disk and its output.

The one rule: when the bound is met nothing of it is left running.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import anyio
from anyio.abc import Process
from anyio.to_thread import run_sync

from pygent_shared.errors import SandboxMissing
from pygent_shared.sandbox import Sandbox, confined, landlock
from pygent_shared.sandbox.view import NOBODY

ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
}
"""All that it is told of this machine, beside what the caller adds."""

ALLOW = "Allow it user namespaces (docs/factory.md says how), and take version 0.8 or newer: bwrap --version"

_LOOK_S = 0.1
_REST_S = 10.0
_ROUNDS = 50


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What ends a program: it and all that it started."""

    seconds: float = 60.0
    memory_mb: int = 4096
    """Of all its processes together, looked at ten times a second; /tmp counts for itself."""
    disk_mb: int = 2048
    """By which the free space of the disk it writes to may shrink meanwhile."""
    output: int = 16_000
    """Characters that are kept: the first half and the last."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How it ended: `code` is its exit code, below 0 for a signal; `killed` the bound it met, if any."""

    code: int
    output: str
    killed: str = ""


async def run(
    argv: Sequence[str],
    sandbox: Sandbox,
    *,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    bounds: Bounds = Bounds(),
) -> Ended:
    """Run it; its standard output and error come as one.

    Args:
        argv: a program and its arguments.
        sandbox: what it may do.
        cwd: the folder it starts in.
        environ: variables beside `ENVIRONMENT`.
        bounds: what ends it early.

    Raises:
        SandboxMissing: this machine cannot give such a sandbox.
        FileNotFoundError: there is no such program.
    """
    engine = await run_sync(chosen)
    if isinstance(engine, SandboxMissing):
        raise SandboxMissing(engine.why, engine.cure)
    told = {**ENVIRONMENT, **(environ or {})}
    with _temporary(engine) as temporary:
        if temporary is None:
            words = confined(argv, sandbox, cwd=str(cwd), environ=told)
        else:
            told = {name: _moved(value, temporary) for name, value in told.items()} | landlock.ENVIRONMENT
            words = landlock.landlocked(argv, sandbox, cwd=str(cwd), temporary=temporary, environ=told)
        return await _ran(words, told, [cwd, *([temporary] if temporary else [])], bounds)


async def _ran(
    words: Sequence[str], told: Mapping[str, str], folders: Sequence[Path], bounds: Bounds
) -> Ended:
    """Run these words to their end. `folders`: what it may write to."""
    process = await anyio.open_process(
        words, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=told, cwd="/", start_new_session=True
    )
    kept, why = _Kept(bounds.output), ""
    try:
        async with anyio.create_task_group() as tasks:
            watch = _Watch(process, folders, bounds)
            tasks.start_soon(watch.look)
            with anyio.move_on_after(bounds.seconds) as time:
                await _drain(process, kept)
            tasks.cancel_scope.cancel()
        why = f"it took more than {bounds.seconds:g} s" if time.cancelled_caught else watch.why
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process, kept)
    return Ended(code=process.returncode or 0, output=kept.text(), killed=why)


Engine = Literal["bubblewrap", "landlock"]


@cache
def chosen() -> Engine | SandboxMissing:
    """What runs programs that nobody trusts here; why nothing does, where neither can."""
    if (no_bubblewrap := walled_off()) is None:
        return "bubblewrap"
    if (no_landlock := landlock.lacking()) is None:
        return "landlock"
    why = f"{no_bubblewrap.why}, and instead of it {no_landlock.why}"
    return SandboxMissing(why, f"{no_bubblewrap.cure.rstrip('.')}. Or else: {no_landlock.cure}")


def missing() -> SandboxMissing | None:
    """Why a program that nobody trusts cannot be run here; None where it can."""
    engine = chosen()
    return engine if isinstance(engine, SandboxMissing) else None


def user() -> int:
    """Whose the folders must be that such a program writes to."""
    return NOBODY if os.geteuid() == 0 and chosen() == "bubblewrap" else os.geteuid()


def walled_off() -> SandboxMissing | None:
    """Why bubblewrap makes no such sandbox; None where it does."""
    try:
        words = confined(["/bin/true"], Sandbox(network=False, write=(), read=()), cwd="/")
        tried = subprocess.run(words, capture_output=True, text=True, timeout=20, env=ENVIRONMENT)
    except SandboxMissing as error:
        return error
    except subprocess.TimeoutExpired:
        return SandboxMissing("bubblewrap did not start a program within 20 s", ALLOW)
    if tried.returncode == 0:
        return None
    said = tried.stderr.strip().splitlines()
    return SandboxMissing(
        f"bubblewrap makes no sandbox here ({said[-1] if said else 'no reason given'})", ALLOW
    )


@contextmanager
def _temporary(engine: Engine) -> Iterator[Path | None]:
    """A folder for what the program would put into /tmp; None where it has a /tmp of its own."""
    if engine == "bubblewrap":
        yield None
        return
    with TemporaryDirectory(prefix="pygent-sandbox-", ignore_cleanup_errors=True) as folder:
        yield Path(os.path.realpath(folder))


def _moved(value: str, temporary: Path) -> str:
    """A variable's value, its /tmp being that folder."""
    return f"{temporary}{value[4:]}" if value == "/tmp" or value.startswith("/tmp/") else value


@dataclass
class _Kept:
    """The beginning and the end of an output of any length."""

    most: int
    head: bytes = b""
    tail: bytes = b""
    left_out: int = field(default=0)

    def add(self, data: bytes) -> None:
        room = self.most // 2 - len(self.head)
        self.head, self.tail = self.head + data[:room], self.tail + data[room:]
        over = max(0, len(self.tail) - self.most // 2)
        self.left_out += over
        self.tail = self.tail[over:]

    def text(self) -> str:
        if not self.left_out:
            return (self.head + self.tail).decode(errors="replace")
        ends = [part.decode(errors="replace") for part in (self.head, self.tail)]
        return f"\n[… {self.left_out} bytes left out …]\n".join(ends)


@dataclass
class _Watch:
    """Ends a program that takes too much."""

    process: Process
    folders: Sequence[Path]
    bounds: Bounds
    why: str = ""

    async def look(self) -> None:
        free = [shutil.disk_usage(folder).free for folder in self.folders]
        while True:
            if sum(map(_memory, _family(self.process.pid))) > self.bounds.memory_mb << 20:
                self.why = f"it took more than {self.bounds.memory_mb} MB of memory"
            elif any(
                before - shutil.disk_usage(folder).free > self.bounds.disk_mb << 20
                for before, folder in zip(free, self.folders, strict=True)
            ):
                self.why = f"the disk lost more than {self.bounds.disk_mb} MB while it ran"
            if self.why:
                _kill(self.process)
                return
            await anyio.sleep(_LOOK_S)


async def _drain(process: Process, kept: _Kept) -> None:
    assert process.stdout is not None
    async for data in process.stdout:
        kept.add(data)
    await process.wait()


async def _end(process: Process, kept: _Kept) -> None:
    """Leave nothing of it running. Its sandbox's end is the end of all that runs in it, and of its output."""
    if process.returncode is None:
        _kill(process)
    with anyio.move_on_after(_REST_S):
        await _drain(process, kept)
    await process.aclose()


def _kill(process: Process) -> None:
    """End all of it: what came of it first, as long as it falls to the one that started it."""
    for _ in range(_ROUNDS):
        if not (below := list(_family(process.pid))[1:]):
            break
        for other in below:
            with suppress(ProcessLookupError):
                os.kill(other, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _family(process: int) -> Iterator[int]:
    """A process and all that came of it."""
    yield process
    with suppress(OSError):  # it may end meanwhile
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            for child in task.read_text().split():
                yield from _family(int(child))


def _memory(process: int) -> int:
    """Bytes it holds that are no file's."""
    with suppress(OSError):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        held = [line.split()[1] for line in lines if line.startswith(("RssAnon", "RssShmem"))]
        return sum(map(int, held)) << 10
    return 0
