"""The stdio servers of the churn: `python soak_servers.py BEHAVIOUR ARGUMENT`.

Each has the one tool `say`, which answers its `payload` after so many `seconds`, with a report of progress
every `seconds / steps` that says the payload too, so that whoever gets another caller's answer sees it.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from stdio_servers import Legacy, Modern, deaf, send, text

SAY = {
    "name": "say",
    "description": "Say it back, later.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "payload": {"type": "string"},
            "seconds": {"type": "number"},
            "steps": {"type": "integer"},
        },
        "required": ["payload"],
    },
}
FLOOD_LINES = 200
FLOOD_SECONDS = 0.1


class Later(Legacy):
    """Answers when it is time to, many calls at once."""

    def __init__(self) -> None:
        super().__init__()
        self.tools = [SAY]
        self._due: list[tuple[float, int, Any, dict[str, Any]]] = []
        self._order = count()

    def serve(self) -> None:
        unread = b""
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            if select.select([0], [], [], wait)[0]:
                if not (read := os.read(0, 65536)):
                    return
                *lines, unread = (unread + read).split(b"\n")
                for line in lines:
                    self.take(json.loads(line))
            while self._due and self._due[0][0] <= time.monotonic():
                _, _, number, message = heapq.heappop(self._due)
                if number not in self.cancelled:
                    send(message)

    def take(self, message: dict[str, Any]) -> None:
        if message.get("method") == "notifications/cancelled":
            self.cancelled = [*self.cancelled[-99:], message["params"]["requestId"]]
        elif "method" in message and "id" in message:
            self.answer(message)

    def call(self, number: Any, params: dict[str, Any]) -> None:
        arguments = params["arguments"]
        payload, seconds, steps = (arguments.get(key, 0) for key in ("payload", "seconds", "steps"))
        token = (params.get("_meta") or {}).get("progressToken")
        for step in range(1, steps + 1):
            report = {"progressToken": token, "progress": step, "total": steps, "message": payload}
            if token is not None:
                message = {"method": "notifications/progress", "params": report}
                self.later(seconds * step / (steps + 1), number, message)
        self.later(seconds, number, {"id": number, "result": text(payload)})

    def later(self, seconds: float, number: Any, message: dict[str, Any]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), number, message))


class LaterModern(Later, Modern):
    """The same, of the 2026 era only."""


def old(argument: str) -> None:
    Later().serve()


def new(argument: str) -> None:
    LaterModern().serve()


def stubborn(argument: str) -> None:
    """Ignores the end of its stdin and SIGTERM, and so does the child that it starts."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, __file__, "deaf", os.devnull, argument], stdin=subprocess.DEVNULL)
    Later().serve()
    while True:
        time.sleep(1)


def noisy(argument: str) -> None:
    """Floods stderr all its life."""

    def flood() -> None:
        line = "x" * 99 + "\n"
        while True:
            sys.stderr.write(line * FLOOD_LINES)
            time.sleep(FLOOD_SECONDS)

    threading.Thread(target=flood, daemon=True).start()
    Later().serve()


BEHAVIOURS: dict[str, Callable[[str], None]] = {
    function.__name__: function for function in (old, new, stubborn, noisy, deaf)
}

if __name__ == "__main__":
    BEHAVIOURS[sys.argv[1]](sys.argv[2])
