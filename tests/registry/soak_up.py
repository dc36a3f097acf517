"""`pygent up`, which also answers on a private socket what only its event loop knows.

    python soak_up.py SOCKET [OPTION OF pygent up]...

SOCKET is the number of an inherited file descriptor. For each line read from it one line of JSON is written:
`tasks` gives the number of asyncio's tasks by what they run. With PYGENT_SOAK_TRACE in the environment
`memory` gives where memory was allocated since the last time.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import sys
import tracemalloc
from collections import Counter
from typing import Any

from pygent_registry import endpoint
from pygent_registry.cli import main

MOST_PLACES = 40
FRAMES = 6


class Insight:
    """Answers on the socket, on the loop that it tells about."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._before: tracemalloc.Snapshot | None = None

    def answer(self) -> None:
        asked = self._control.recv(4096).decode().split()
        if not asked:
            asyncio.get_running_loop().remove_reader(self._control)
        for word in asked:
            said = {"tasks": tasks, "memory": self.memory, "objects": objects}[word]()
            self._control.sendall(json.dumps(said).encode() + b"\n")

    def memory(self) -> list[str]:
        gc.collect()
        now = tracemalloc.take_snapshot()
        before, self._before = self._before, now
        if before is None:
            return []
        places = now.compare_to(before, "traceback")[:MOST_PLACES]
        return [f"{place} | {' < '.join(map(str, reversed(place.traceback)))}" for place in places]


def tasks() -> dict[str, int]:
    """By the name that anyio gives them, the function's, and what they wait in."""
    return dict(
        Counter(f"{task.get_name()} in {_innermost(task.get_coro())}" for task in asyncio.all_tasks())
    )


def _innermost(coroutine: Any) -> str:
    """Where a coroutine stands; an async generator that is being closed has no such place."""
    while hasattr(awaited := getattr(coroutine, "cr_await", None), "cr_frame"):
        coroutine = awaited
    frame = getattr(coroutine, "cr_frame", None)
    return f"{getattr(coroutine, '__qualname__', '?')}:{frame.f_lineno if frame else 0}"


def objects() -> dict[str, int]:
    """How many objects of each class there are."""
    gc.collect()
    found = Counter(f"{type(item).__module__}.{type(item).__qualname__}" for item in gc.get_objects())
    return dict(found.most_common(400))


if __name__ == "__main__":
    if os.environ.get("PYGENT_SOAK_TRACE"):
        tracemalloc.start(FRAMES)
    control = socket.socket(fileno=int(sys.argv[1]))
    serve_up = endpoint.serve_up

    async def observed(settings: Any) -> None:
        asyncio.get_running_loop().add_reader(control, Insight(control).answer)
        await serve_up(settings)

    endpoint.serve_up = observed
    sys.exit(main(["up", *sys.argv[2:]]))
