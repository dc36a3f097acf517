"""Which acknowledged writes are there afterwards, in ours and in the protocol's reference memory server.

    python tests/benchmarks/memory_writes.py [--processes 8] [--writes 200] [--kills 20] [--pipelined 50]

Three trials of each server, over stdio: one client that does not wait for answers; so many processes that
write to the same file at once; and one process that is killed with SIGKILL while it writes, again and again.
Printed are the writes acknowledged, refused, and found in the file afterwards by a process of its own, and
what is wrong with that file: broken lines of the reference's, what `pygent-memory verify` finds in ours.
The reference runs where it is installed: python -m tests.interop.real_servers --install
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.stdio_client import Ended, Stdio
from tests.interop.real_servers import entry, missing

from pygent_memory.schema import MIGRATIONS
from pygent_memory.verifying import verify
from pygent_shared.database import Database


@dataclass
class Trial:
    """What a server acknowledged and refused."""

    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0

    def note(self, text: str, result: dict[str, object]) -> None:
        if result.get("isError"):
            self.refused += 1
        else:
            self.acknowledged.add(text)


@dataclass(frozen=True)
class Server:
    """A server over one file: how it is started, told something, and its file read."""

    name: str
    start: Callable[[Path], Stdio]
    request: Callable[[str], tuple[str, dict[str, object]]]
    read: Callable[[Path], tuple[set[str], int]]


def start_ours(folder: Path) -> Stdio:
    environ = {"PYGENT_DATA_DIR": str(folder), "PYGENT_EMBEDDER": "none", "PYGENT_CONFIG": ""}
    return Stdio([sys.executable, "-m", "pygent_memory"], environ)


def read_ours(folder: Path) -> tuple[set[str], int]:
    with closing(Database(folder / "memory.db", MIGRATIONS)) as database:
        wrong = verify(database)
        for finding in wrong:
            print(f"    {finding.sentence}")
        return {str(text) for (text,) in database.query("SELECT text FROM memory")}, len(wrong)


def start_reference(folder: Path) -> Stdio:
    of = entry("server-memory")
    return Stdio([of["command"], *of["args"]], {"MEMORY_FILE_PATH": str(folder / "memory.jsonl")})


def read_reference(folder: Path) -> tuple[set[str], int]:
    names, broken = set(), 0
    path = folder / "memory.jsonl"
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            names.add(str(json.loads(line)["name"]))
        except (ValueError, KeyError):
            broken += bool(line.strip())
    return names, broken


OURS = Server("ours", start_ours, lambda text: ("memory_add", {"text": text}), read_ours)
REFERENCE = Server(
    "reference",
    start_reference,
    lambda text: (
        "create_entities",
        {"entities": [{"name": text, "entityType": "note", "observations": [text]}]},
    ),
    read_reference,
)


def pipelined(server: Server, folder: Path, count: int) -> Trial:
    """One client that sends everything before it reads anything."""
    trial = Trial()
    client = server.start(folder)
    texts = [f"Pipelined reading {number}." for number in range(count)]
    waiting = []
    for text in texts:
        tool, arguments = server.request(text)
        waiting.append((text, client.send("tools/call", {"name": tool, "arguments": arguments})))
    for text, queue in waiting:
        trial.note(text, client.answer(queue))
    client.close()
    return trial


def together(server: Server, folder: Path, processes: int, count: int) -> Trial:
    """Several processes that write to one file at the same time."""
    trial = Trial()
    clients = [server.start(folder) for _ in range(processes)]

    def write(name: int, client: Stdio) -> None:
        for number in range(count):
            text = f"Process {name}, reading {number}."
            trial.note(text, client.call(*server.request(text)))

    threads = [threading.Thread(target=write, args=pair) for pair in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in clients:
        client.close()
    return trial


def killed(server: Server, folder: Path, rounds: int) -> Trial:
    """A writer that is killed while it writes, each time a little later."""
    trial = Trial()
    chance = random.Random(7)
    for number in range(rounds):
        client = server.start(folder)
        killer = threading.Timer(0.2 + chance.random() * 0.6, client.kill)
        killer.start()
        try:
            for reading in range(100_000):
                text = f"Round {number}, reading {reading}."
                trial.note(text, client.call(*server.request(text)))
        except Ended:
            killer.join()
    return trial


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--pipelined", type=int, default=50)
    asked.add_argument("--processes", type=int, default=8)
    asked.add_argument("--writes", type=int, default=200)
    asked.add_argument("--kills", type=int, default=20)
    options = asked.parse_args()
    if why := missing():
        print(f"without the reference: {why}")
    trials: dict[str, Callable[[Server, Path], Trial]] = {
        f"{options.pipelined} pipelined": lambda server, at: pipelined(server, at, options.pipelined),
        f"{options.processes} processes x {options.writes}": lambda server, at: together(
            server, at, options.processes, options.writes
        ),
        f"killed x {options.kills}": lambda server, at: killed(server, at, options.kills),
    }
    head = ("acked", "refused", "present", "lost", "wrong", "seconds")
    print(f"{'trial':20}{'server':12}" + "".join(f"{word:>10}" for word in head))
    for title, run in trials.items():
        for server in (OURS,) if missing() else (OURS, REFERENCE):
            with tempfile.TemporaryDirectory() as folder:
                began = time.monotonic()
                trial = run(server, Path(folder))
                took = time.monotonic() - began
                present, wrong = server.read(Path(folder))
            kept = len(trial.acknowledged & present)
            counts = (len(trial.acknowledged), trial.refused, kept, len(trial.acknowledged) - kept, wrong)
            row = "".join(f"{count:>10}" for count in counts)
            print(f"{title:20}{server.name:12}{row}{took:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
