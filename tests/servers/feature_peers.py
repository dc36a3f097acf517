"""Agents, documents and memories for tests of features: a planner that answers from a list, a coder that
writes one file a task, and gates that are quick.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from coding_peers import Asked, CodingPeers
from coding_worker import BAD, GOOD, compiles

from pygent_orchestration.actions import Actions
from pygent_orchestration.coding.merging import Check
from pygent_orchestration.features.features import Features
from pygent_orchestration.features.model import Request
from pygent_orchestration.features.store import FeatureStore, Tell
from pygent_orchestration.store import MIGRATIONS
from pygent_shared.database import Database
from pygent_shared.durable.engine import Engine, Limits


def plan(*tasks: str, **more: Any) -> str:
    """A plan of tasks such as "a" or "c<a,b", which waits for two."""
    entries = []
    for task in tasks:
        id, _, before = task.partition("<")
        needs = before.split(",") if before else []
        entries.append({"id": id, "goal": f"There is {id}.py.", "depends_on": needs, "paths": [f"{id}.py"]})
    return json.dumps({"summary": "Files.", "requirements": ["They compile."], "tasks": entries, **more})


def coder(asked: Asked) -> str:
    """Writes the file of its task; wrong at the first attempt at one called "slip", always at "bad"."""
    assert asked.folder is not None
    found = re.search(r'^id: "(.*)"$', asked.task, re.MULTILINE)
    assert found is not None, asked.task
    id = found[1]
    is_bad = id == "bad" or (id == "slip" and asked.number == 1)
    (asked.folder / f"{id}.py").write_text(f"{BAD if is_bad else GOOD}# {asked.number}\n")
    return "Written."


class FeaturePeers(CodingPeers):
    """They.

    Args:
        folder: where all is kept.
        plans: what the planner answers, one after the other, and the last one for good.
        planner_in_code: whether the planner looks at the repository.
    """

    def __init__(
        self, folder: Path, plans: Sequence[Any] = (), *, seconds: float = 0.0, planner_in_code: bool = False
    ) -> None:
        coders = ("coder", "slow", "sage", *(["planner"] if planner_in_code else []))
        super().__init__(folder, coder, seconds, coders)
        self.plans = list(plans)
        self.planned: list[str] = []
        """What the planner was told."""
        self.searches: list[tuple[str, dict[str, Any]]] = []
        self.agents: dict[str, list[str]] = {}
        """Those that are deployed, with what each can be asked for."""
        self.known: dict[str, list[dict[str, Any]]] = {}
        """What a search finds: by its tool, and for memories by `tool tag`."""

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if name == "factory__list_agents":
            rows = [{"name": agent, "capabilities": able} for agent, able in self.agents.items()]
            wanted = arguments["capability"]
            return {"structuredContent": {"agents": [row for row in rows if wanted in row["capabilities"]]}}
        if name not in ("rag__search", "memory__memory_search"):
            return await super().call_tool(name, arguments)
        self.searches.append((name, arguments))
        if name == "rag__search":
            return {"structuredContent": {"passages": self.known.get(name, [])}}
        tags = [name, *arguments.get("tags", [])]
        return {"structuredContent": {"results": self.known.get(" ".join(tags), [])}}

    def _done(self, run: str, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["name"] != "planner":
            return super()._done(run, asked)
        self.planned.append(asked["task"])
        answer = self.plans[min(int(run.rpartition("-")[2]), len(self.plans)) - 1]
        return {"run": run, "state": "done", "answer": answer, "usage": {"requests": 1}}


def request(place: Path, **more: Any) -> Request:
    """What is wanted of a repository; nobody is asked, and nobody reviews."""
    asked = {"text": "Doubling", "repository": str(place), "approvals": [], "reviewer": ""}
    return Request.model_validate({**asked, **more})


@asynccontextmanager
async def features(
    folder: Path,
    peers: Any,
    check: Check | None = None,
    tell: Tell = lambda feature, event: None,
    limit: int | None = None,
) -> AsyncIterator[Features]:
    """Features, at work."""
    database = Database(folder / "orchestration.db", MIGRATIONS)
    engine = Engine(folder / "durable.db", name="features", limits=Limits())
    found = Features(
        FeatureStore(database, tell),
        engine,
        Actions(peers),
        folder / "coding",
        check or compiles(folder),
        limit,
    )
    try:
        async with engine.running():
            yield found
    finally:
        database.close()
