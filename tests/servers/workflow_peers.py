"""Servers beside the orchestration, for its tests: the factory's tools for runs, and two that note calls.

What an agent answers is a function of its name and its task. A call adds a line to a file, if there is one,
so that several processes can be counted.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

Answers = Callable[[str, str], Any]


def no_agent(name: str, task: str) -> str:
    raise AssertionError(f"{name} was asked: {task}")


class Peers:
    """They.

    Args:
        answers: what agents say.
        log: where calls are noted, as `PID TOOL WHAT`.
        seconds: that a call of `work__do` takes.
    """

    def __init__(self, answers: Answers = no_agent, log: Path | None = None, seconds: float = 0.0) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.failing: Counter[str] = Counter()
        self.held = anyio.Event()
        self.cancelled: list[str] = []
        self._answers = answers
        self._log = log
        self._seconds = seconds
        self._runs: dict[str, tuple[str, str]] = {}

    async def list_tools(self) -> list[dict[str, Any]]:
        names = ("factory__run_agent", "factory__get_run", "factory__cancel_run")
        return [
            {"name": name, "inputSchema": {"type": "object"}} for name in (*names, "work__do", "work__hold")
        ]

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((name, arguments))
        match name:
            case "factory__run_agent":
                run = f"r{len(self._runs)}"
                self._runs[run] = (arguments["name"], arguments["task"])
                return {"structuredContent": {"run": run, "state": "running"}}
            case "factory__get_run":
                return {"structuredContent": await self._run(arguments["run"])}
            case "factory__cancel_run":
                self.cancelled.append(arguments["run"])
                return {"structuredContent": {"state": "cancelled"}}
            case "work__hold":
                await self.held.wait()
        return await self._do(arguments)

    async def _run(self, run: str) -> dict[str, Any]:
        name, task = self._runs[run]
        if name == "slow":
            await self.held.wait()
        answer = self._answers(name, task)
        usage = {"requests": 1, "input_tokens": 10}
        return {"run": run, "state": "done", "answer": answer, "usage": usage}

    async def _do(self, arguments: dict[str, Any]) -> dict[str, Any]:
        what = str(arguments.get("what", ""))
        if self._log is not None:
            note(self._log, f"{os.getpid()} {what}")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await anyio.sleep(self._seconds)
        self.at_once -= 1
        if what == "defect":
            raise RuntimeError("the wire is cut")
        if self.failing[what]:
            self.failing[what] -= 1
            return {"isError": True, "content": [{"type": "text", "text": f"{what} broke"}]}
        return {"structuredContent": {"did": what}}


def note(file: Path, line: str) -> None:
    """Add a line to a file that several processes write to."""
    opened = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(opened, f"{line}\n".encode())
    finally:
        os.close(opened)


def asked(task: str, pattern: str) -> bool:
    """Whether a task holds a pattern."""
    return re.search(pattern, task) is not None
