"""A `pygent up` under observation: what its process holds, and which processes are of its family."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

SCRIPT = Path(__file__).with_name("soak_up.py")
START_SECONDS = 60.0
STOP_SECONDS = 20.0
ANSWER_SECONDS = 30.0

Process = tuple[int, str]
"""A process by its id and when it started: ids are used again."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the process held at one moment."""

    at: float
    rss: float
    """Megabytes."""
    fds: int
    threads: int
    children: int
    tasks: int
    task_kinds: Mapping[str, int] = field(default_factory=dict, repr=False)

    def row(self) -> str:
        held = f"{self.rss:8.1f} {self.fds:5d} {self.threads:7d} {self.children:8d} {self.tasks:6d}"
        return f"{self.at / 60:6.2f} {held}"


HEAD = "   min   RSS MB   fds threads children  tasks"


class Up:
    """A running `pygent up`; see `soak_up.py`."""

    def __init__(
        self, process: subprocess.Popen[bytes], control: socket.socket, log: Path, token: str
    ) -> None:
        self.process, self.log = process, log
        self._bearer = {"Authorization": f"Bearer {token}"}
        self.began = time.monotonic()
        self.ever: set[Process] = set()
        """Every process that was ever seen to be of its family."""
        self._control = control
        self._answers = control.makefile("r")
        self.base = self._announced()

    def _announced(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(r"Serving (http://[^/]*)/", self.log.read_text(errors="replace"))):
            assert self.process.poll() is None, self.log.read_text(errors="replace")
            assert time.monotonic() < deadline, "it did not come up"
            time.sleep(0.05)
        return found[1]

    def tasks(self) -> dict[str, int]:
        """How many tasks there are, by what they run; see `soak_up.py`."""
        self._control.sendall(b"tasks\n")
        counted: dict[str, int] = json.loads(self._answers.readline())
        return counted

    def states(self) -> dict[str, str]:
        """The state of each server, as `/health/ready` tells it."""
        ready = httpx.get(f"{self.base}/health/ready", headers=self._bearer, timeout=ANSWER_SECONDS)
        return {name: found["state"] for name, found in ready.json()["servers"].items()}

    def reading(self) -> Reading:
        pid = self.process.pid
        kinds = self.tasks()
        below = family(pid)
        self.ever |= set(below)
        status = Path(f"/proc/{pid}/status").read_text()
        return Reading(
            at=time.monotonic() - self.began,
            rss=int(_field(status, "VmRSS")) / 1024,
            fds=len(os.listdir(f"/proc/{pid}/fd")),
            threads=int(_field(status, "Threads")),
            children=len(below),
            tasks=sum(kinds.values()),
            task_kinds=kinds,
        )

    def survivors(self) -> list[Process]:
        """Of all that ever were, who is alive."""
        return [process for process in self.ever if started(process[0]) == process[1]]


@contextmanager
def up(options: Sequence[str], environ: Mapping[str, str], log: Path) -> Iterator[Up]:
    """`pygent up` with these options, until the block ends; it is killed if it does not end by itself."""
    ours, its = socket.socketpair()
    ours.settimeout(ANSWER_SECONDS)
    with ours, log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(its.fileno()), *options],
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[its.fileno()],
        )
        its.close()
        try:
            yield Up(process, ours, log, environ["PYGENT_TOKEN"])
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def family(pid: int) -> dict[Process, str]:
    """The processes that a registry started, and those they started -> their command lines; zombies too.

    Whoever lost its parent belongs to it still, by the word that the registry puts into every environment.
    """
    found = [(child, fields) for child, fields in _stats()]
    own = [(child, fields[19]) for child, fields in found if fields[1] == str(pid)]
    reaper = next((command(child) for child, _ in own if "pygent-reaper" in command(child)), "")
    word = reaper.split()[-1].encode() if reaper else None
    others = [(child, fields[19]) for child, fields in found if word and word in _environment(child)]
    return {process: command(process[0]) for process in (*own, *others)}


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it ended meanwhile, or is somebody else's
        return b""


def started(pid: int) -> str:
    """When a process started, in the kernel's ticks; "" where there is none, or only what is left of one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def running_with(word: str) -> list[int]:
    """The processes that have a word in their command line."""
    return [pid for pid, _ in _stats() if word in command(pid)]


def _stats() -> Iterator[tuple[int, list[str]]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            yield int(path.parent.name), path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue


def _field(status: str, name: str) -> str:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert found is not None
    return found[1]
