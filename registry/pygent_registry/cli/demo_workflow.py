"""The demo of a feature: planned, coded as two tasks at once, judged by gates, agreed to elsewhere, merged.

The agents are the factory's own; only their models are scripts, which stand in configs/demo-workflow.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from pygent_registry.cli.demo_host import WAIT_SECONDS, call, host
from pygent_registry.cli.terminal import Progress
from pygent_shared.errors import FileRefused, ServerUnavailable
from pygent_shared.shipped import shipped

if TYPE_CHECKING:
    from mcp import Client

TYPES = {"planner": "planning", "coder": "coding", "reviewer": "review"}
"""The agents, and what of."""
HEALTH = """\
from feet import feet
from upcoming import upcoming
tide = upcoming("12:00")
print(f"The next tide is at {tide.time}, {feet(tide.depth)} deep.")
"""
OVER = ("COMPLETED", "FAILED")


class Workflow:
    """The story, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shipped = shipped("demo-workflow")
        self._repository = folder / "repository"
        self._config = json.loads(shipped("pygent.json").read_text(encoding="utf-8"))

    async def play(self) -> None:
        """Print the whole story."""
        began = time.monotonic()
        self._make_repository()
        async with self._host("a first process") as first:
            await self._deploy_agents(first)
            id = await self._submit(first)
            await self._follow(first, id)
            async with self._host("a second process") as second:
                await self._approve(second)
            await self._merge(first, id)
        print(
            f"\nDone in {time.monotonic() - began:.1f} s. Nothing left this machine; no key was used. Next:"
        )
        print("  pygent install claude              give Claude Desktop all of this (or: cursor, vscode)")
        print("  docs/features.md                   the same, for your own repository and your own model")

    def _host(self, which: str) -> Any:
        return host(which, self._config, self._folder, {"PYGENT_EMBEDDER": "none"})

    def _make_repository(self) -> None:
        """A repository with one commit.

        Raises:
            FileRefused: there is something in its place, or no git.
        """
        if shutil.which("git") is None:
            raise FileRefused(self._repository, "cannot be made: there is no git", "Install git.")
        if self._repository.exists():
            raise FileRefused(self._repository, "is there already", "Name another folder: --keep FOLDER")
        shutil.copytree(self._shipped / "repository", self._repository)
        self._git("init", "-q", "-b", "main")
        self._git("add", ".")
        self._git("commit", "-q", "-m", "The tides")
        print(f"A repository with {self._files()}.")

    async def _deploy_agents(self, client: Client) -> None:
        for name, type in TYPES.items():
            script = f"scripted:{self._shipped / name}.json"
            await call(client, "factory__create_agent", name=name, type=type, model=script)
            await call(client, "factory__deploy_agent", name=name)
        print("Deployed three agents, whose models are scripts: " + ", ".join(TYPES))

    async def _submit(self, client: Client) -> str:
        tests = self._shipped / "tests"
        asked = (self._shipped / "request.md").read_text(encoding="utf-8").strip()
        _, feature = await call(
            client,
            "orchestration__submit_feature",
            request=asked,
            repository=str(self._repository),
            policy={"tests": str(tests)},
            policies={place.name: {"tests": str(place)} for place in tests.glob("[a-z]*")},
            health=[sys.executable, "-c", HEALTH],
            approvals=["deployment"],
        )
        print(f"\nAsked: {asked}")
        return str(feature["feature"])

    async def _follow(self, client: Client, id: str) -> None:
        """Print what is done until somebody is asked."""
        began = time.monotonic()
        with Progress("coding") as progress:
            feature = await self._standing(client, id, progress)
        events = await _events(client, id)
        print(f"Planned: {feature['summary']}")
        for task in feature["tasks"]:
            result = next(event["data"]["result"] for event in events if _is_end(event, task["task"]))
            print(f"  {task['task']}: {task['goal']}")
            for number, attempt in enumerate(result["attempts"], 1):
                print(f"    attempt {number}: {_outcome(attempt)}")
        spans = [_span(events, task["task"]) for task in feature["tasks"]]
        both = min(end for _, end in spans) - max(begin for begin, _ in spans)
        print(f"  Both were at work at once for {both:.1f} s, each in a worktree of its own.")
        print(f"It asks: {feature['question']['text'].partition('?')[0].replace(id, 'ID')}?", end="")
        print(f"  [{time.monotonic() - began:.1f} s]")
        print(f"Until then main has {self._files()}.")

    async def _approve(self, client: Client) -> None:
        """As anybody else with the same rights: who asked needs not be there."""
        _, found = await call(client, "orchestration__list_features")
        [waiting] = [feature["feature"] for feature in found["features"] if feature["asks"]]
        took, _ = await call(
            client, "orchestration__answer_feature", feature=waiting, verdict="approve", comment="Looks good."
        )
        print(f"The second client found the question and approved.  [{took:.1f} s]")

    async def _merge(self, client: Client, id: str) -> None:
        began = time.monotonic()
        with Progress("merging") as progress:
            feature = await self._standing(client, id, progress)
        took = time.monotonic() - began
        deployed = feature["deployed"]
        print(f"\nThe merged files: {_gates(deployed['verdict']['gates'])} green.")
        print(f"Merged: main has {self._files()}.  [{took:.1f} s]")
        print(f"Its health command says: {deployed['health'].strip()}")

    async def _standing(self, client: Client, id: str, progress: Progress) -> dict[str, Any]:
        """A feature once it asks something, or is over.

        Raises:
            ServerUnavailable: it failed.
        """
        with anyio.fail_after(WAIT_SECONDS):
            while True:
                asked = {"feature": id, "wait_s": 30}
                _, feature = await call(client, "orchestration__feature_status", progress.report, **asked)
                if feature["state"] == "FAILED":
                    raise ServerUnavailable("orchestration", f"gave the feature up: {feature['error']}")
                if feature.get("question") or feature["state"] in OVER:
                    return feature

    def _files(self) -> str:
        """The Python files of the main branch."""
        names = self._git("ls-tree", "--name-only", "main").splitlines()
        return ", ".join(name for name in names if name.endswith(".py"))

    def _git(self, *words: str) -> str:
        who = ("-c", "user.name=PyGent Factory", "-c", "user.email=pygent@localhost")
        told = subprocess.run(
            ("git", *who, *words), cwd=self._repository, check=True, capture_output=True, text=True
        )
        return told.stdout


async def _events(client: Client, id: str) -> list[dict[str, Any]]:
    """All that happened to a feature."""
    read = await client.read_resource(f"feature://{id}/events")
    return [json.loads(line) for line in getattr(read.contents[0], "text", "").splitlines()]


def _is_end(event: dict[str, Any], task: str) -> bool:
    return event["task"] == task and "result" in event["data"]


def _span(events: list[dict[str, Any]], task: str) -> tuple[float, float]:
    """When a task was begun and when it was merged, in seconds."""
    times = [datetime.fromisoformat(event["at"]).timestamp() for event in events if event["task"] == task]
    return times[0], times[-1]


def _outcome(attempt: dict[str, Any]) -> str:
    gates = attempt["verdict"]["gates"]
    if red := [gate for gate in gates if not gate["green"]]:
        return f"{red[0]['name']} red: {red[0]['why']}"
    said = (attempt["review"] or {}).get("summary", "")
    return f"{_gates(gates)} green; the reviewer: {said}"


def _gates(gates: list[dict[str, Any]]) -> str:
    return ", ".join(gate["name"] for gate in gates)
