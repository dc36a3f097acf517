"""A `pygent` process over one server, started as a host does, and a look at which processes live."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


@contextmanager
def greeted(**options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """`running` over stdio, with its greeting sent: it starts the server."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with running("-m", "pygent_registry", **{**pipes, **options}) as process:
        assert process.stdin is not None
        process.stdin.write(greeting())
        process.stdin.flush()
        yield process
