"""The factory and the memory, for tests of coding tasks: agents whose work is a function, done as the factory
does it, in a worktree of the repository on a branch of its own.

What a run came to is kept in files, so that a process finds what another one began, and each run that is
really made adds a line to a log.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from workflow_peers import note


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an agent is asked: `folder` is its worktree, where it has one, and `number` which of the task's
    runs of this agent it is."""

    name: str
    task: str
    folder: Path | None
    number: int


class Fails(Exception):
    """An agent's run that fails; the text is its error."""


Agents = Callable[[Asked], Any]
"""Does an agent's work, and gives its answer."""


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "gc.auto=0")
    return subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def repository(folder: Path, files: dict[str, str]) -> Path:
    """A repository with one commit, on the branch main."""
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for name, text in files.items():
        (folder / name).write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "Begin")
    return folder


class CodingPeers:
    """They.

    Args:
        folder: where worktrees, runs and the log `done` are.
        agents: their work.
        seconds: that a run takes.
        coders: those that work in a workspace; the others answer.
    """

    def __init__(
        self, folder: Path, agents: Agents, seconds: float = 0.0, coders: tuple[str, ...] = ("coder",)
    ) -> None:
        self._folder = folder
        self._agents = agents
        self.seconds = seconds
        self._coders = coders
        self.memories: list[dict[str, Any]] = []
        self.has_memory = True
        self.tasks: list[str] = []
        """What agents were told, in order."""
        self.stopped: list[str] = []
        self.broken = 0
        """So many calls to come find no factory."""

    async def list_tools(self) -> list[dict[str, Any]]:
        return []

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        server, _, tool = name.partition("__")
        if server == "memory" and not self.has_memory:
            return _error('There is no tool "memory__memory_add".')
        if server == "factory" and self.broken:
            self.broken -= 1
            return _error('Server "factory" cannot be reached.')
        match tool:
            case "run_agent":
                return _data(await self._begin(arguments))
            case "get_run":
                return _data(await self._run(arguments["run"], arguments["wait_s"]))
            case "cancel_run":
                self.stopped.append(arguments["run"])
                return _data({"run": arguments["run"], "state": "cancelled"})
            case "resume_run":
                self.stopped.remove(arguments["run"])
                return _data({"run": arguments["run"], "state": "running"})
            case "show_agent":
                tools = ["workspace__*"] if arguments["name"] in self._coders else []
                return _data({"agent": {"state": "deployed"}, "spec": {"tools": tools}})
            case "memory_add":
                self.memories.append(arguments)
                return _data({"created": 1})
            case "memory_search":
                return _data({"results": [{"text": kept["text"]} for kept in self.memories[-3:]]})
        raise AssertionError(name)

    async def _begin(self, asked: dict[str, Any]) -> dict[str, Any]:
        run = asked["id"]
        if not self._kept(run).exists():
            self._kept(run).parent.mkdir(exist_ok=True)
            self._kept(run).write_text(json.dumps({"asked": asked}))
        return {"run": run, "state": "running"}

    async def _run(self, run: str, wait: float) -> dict[str, Any]:
        kept = json.loads(self._kept(run).read_text())
        if run in self.stopped:
            return {"run": run, "state": "cancelled"}
        if "found" not in kept and wait:
            await self._at_work(run)
            if run in self.stopped:
                return {"run": run, "state": "cancelled"}
            kept["found"] = self._done(run, kept["asked"])
            self._kept(run).write_text(json.dumps(kept))
        return dict(kept.get("found") or {"run": run, "state": "running"})

    async def _at_work(self, run: str) -> None:
        """Take the time that a run takes, unless it is stopped."""
        with anyio.move_on_after(self.seconds):
            while run not in self.stopped:
                await anyio.sleep(0.02)

    def _done(self, run: str, asked: dict[str, Any]) -> dict[str, Any]:
        note(self._folder / "done", f"{os.getpid()} run {asked['name']} {run}")
        self.tasks.append(asked["task"])
        number = int(run.split("-attempt-")[1].split("-")[0])
        found: dict[str, Any] = {"run": run, "state": "done", "usage": {"requests": 1}, "workspace": {}}
        folder = None
        if asked["workspace"]:
            folder = self._folder / "workspaces" / run
            if folder.exists():  # begun by a process that died
                git(Path(asked["workspace"]), "worktree", "remove", "--force", str(folder))
            words = ("worktree", "add", "-q", "-B", f"pygent/{run}", str(folder), asked["branch"])
            git(Path(asked["workspace"]), *words)
        try:
            found["answer"] = self._agents(
                Asked(name=asked["name"], task=asked["task"], folder=folder, number=number)
            )
        except Fails as error:
            found |= {"state": "failed", "error": str(error)}
        if folder is not None:
            git(folder, "add", "--all")
            git(folder, "commit", "--quiet", "--allow-empty", "-m", "Work")
            found["workspace"] = {
                "folder": str(folder),
                "branch": f"pygent/{run}",
                "commit": git(folder, "rev-parse", "HEAD"),
            }
        return found

    def _kept(self, run: str) -> Path:
        return self._folder / "runs" / f"{run}.json"


def _data(data: dict[str, Any]) -> dict[str, Any]:
    return {"content": [], "structuredContent": data}


def _error(text: str) -> dict[str, Any]:
    return {"isError": True, "content": [{"type": "text", "text": text}]}
