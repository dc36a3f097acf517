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
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.to_thread import run_sync

from pygent_shared.errors import SandboxMissing
from pygent_shared.sandbox import Sandbox, confined

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
    if lacking := await run_sync(missing):
        raise SandboxMissing(lacking.why, lacking.cure)
    told = {**ENVIRONMENT, **(environ or {})}
    words = confined(argv, sandbox, cwd=str(cwd), environ=told)
    process = await anyio.open_process(
        words, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=told, cwd="/", start_new_session=True
    )
    kept, why = _Kept(bounds.output), ""
    try:
        async with anyio.create_task_group() as tasks:
            watch = _Watch(process, cwd, bounds)
            tasks.start_soon(watch.look)
            with anyio.move_on_after(bounds.seconds) as time:
                await _drain(process, kept)
            tasks.cancel_scope.cancel()
        why = f"it took more than {bounds.seconds:g} s" if time.cancelled_caught else watch.why
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process, kept)
    return Ended(code=process.returncode or 0, output=kept.text(), killed=why)


@cache
def missing() -> SandboxMissing | None:
    """Why a program that nobody trusts cannot be run here; None where it can."""
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
    folder: Path
    bounds: Bounds
    why: str = ""

    async def look(self) -> None:
        free = shutil.disk_usage(self.folder).free
        while True:
            if sum(map(_memory, _family(self.process.pid))) > self.bounds.memory_mb << 20:
                self.why = f"it took more than {self.bounds.memory_mb} MB of memory"
            elif free - shutil.disk_usage(self.folder).free > self.bounds.disk_mb << 20:
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
    """Leave nothing of it running. bubblewrap's end is the end of all that runs in it, and of its output."""
    if process.returncode is None:
        _kill(process)
    with anyio.move_on_after(_REST_S):
        await _drain(process, kept)
    await process.aclose()


def _kill(process: Process) -> None:
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
