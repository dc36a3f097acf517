"""Asks the rag and memory servers for what bears on a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from pygent_orchestration.actions import Actions, Red
from pygent_orchestration.coding.knowledge import SPACE, TAG
from pygent_orchestration.features.context import Context, Kind, Source, selected
from pygent_shared.errors import PygentError

SEARCH = "rag__search"
RECALL = "memory__memory_search"
MOST = 10
"""Of each kind."""
MOST_QUERY = 2_000
LEAST_TOKENS = 50
"""That a search takes as its budget."""
_OUTCOMES = {"space": SPACE}

LEGS: tuple[tuple[Kind, str, Mapping[str, Any]], ...] = (
    ("failure", RECALL, {"tags": [TAG, "bad"], **_OUTCOMES}),
    ("pattern", RECALL, {"tags": [TAG, "good"], **_OUTCOMES}),
    ("pattern", RECALL, {}),
    ("document", SEARCH, {}),
)
"""What is asked for: outcomes of earlier coding tasks, bad and good; all else in memory; documents."""


async def gathered(actions: Actions, task: str, max_tokens: int) -> Context:
    """What is known that bears on a task. What cannot be asked is told, and the rest is given."""
    found: list[list[Source]] = [[] for _ in LEGS]
    missing: dict[str, None] = {}
    words = " ".join(task.split())[:MOST_QUERY]
    common = {"limit": MOST, "max_tokens": max(max_tokens, LEAST_TOKENS)}

    async def ask(place: int, kind: Kind, tool: str, more: Mapping[str, Any]) -> None:
        query = {"question" if tool == SEARCH else "query": words}
        try:
            answer = await actions.tool(tool, {**query, **common, **more})
        except (Red, PygentError) as error:
            missing[f"{tool}: {error}"] = None
            return
        found[place] = _documents(answer) if tool == SEARCH else _memories(answer, kind)

    async with anyio.create_task_group() as tasks:
        for place, (kind, tool, more) in enumerate(LEGS):
            tasks.start_soon(ask, place, kind, tool, more)
    return selected(found, max_tokens, list(missing))


def _documents(answer: Mapping[str, Any]) -> list[Source]:
    return [
        Source(kind="document", place=passage["citation"], text=passage["text"])
        for passage in answer["passages"]
    ]


def _memories(answer: Mapping[str, Any], kind: Kind) -> list[Source]:
    return [
        Source(kind=kind, place=f"memory {memory['id']}, {memory['date'][:10]}", text=memory["text"])
        for memory in answer["results"]
    ]
