"""`pygent up`, which also answers on a private socket what only its event loop knows.

    python soak_up.py SOCKET [OPTION OF pygent up]...

SOCKET is the number of an inherited file descriptor. For each word read from it one line of JSON is written:
the number of asyncio's tasks by what they run.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections import Counter
from typing import Any

from pygent_registry import endpoint
from pygent_registry.cli import main


class Insight:
    """Answers on the socket, on the loop that it tells about."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def answer(self) -> None:
        asked = self._control.recv(4096).decode().split()
        if not asked:
            asyncio.get_running_loop().remove_reader(self._control)
        for _ in asked:
            self._control.sendall(json.dumps(tasks()).encode() + b"\n")


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


if __name__ == "__main__":
    control = socket.socket(fileno=int(sys.argv[1]))
    serve_up = endpoint.serve_up

    async def observed(settings: Any) -> None:
        asyncio.get_running_loop().add_reader(control, Insight(control).answer)
        await serve_up(settings)

    endpoint.serve_up = observed
    sys.exit(main(["up", *sys.argv[2:]]))
