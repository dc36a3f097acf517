"""Asks the rag and memory servers for what bears on a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from pygent_orchestration.actions import Actions, Red
from pygent_orchestration.features.context import Context, Source, selected
from pygent_shared.errors import PygentError

SEARCH = "rag__search"
RECALL = "memory__memory_search"
FAILED = "failure"
"""The tag of memories of what failed."""
MOST = 10
"""Of each kind."""


async def gathered(actions: Actions, task: str, max_tokens: int) -> Context:
    """What is known that bears on a task. What cannot be asked is told, and the rest is given."""
    missing: dict[str, str] = {}
    found: dict[str, list[Source]] = {}

    async def ask(kind: str, tool: str, **arguments: Any) -> None:
        try:
            answer = await actions.tool(tool, {"max_tokens": max(max_tokens, 50), "limit": MOST, **arguments})
        except (Red, PygentError) as error:
            missing[tool] = f"{tool}: {error}"
            return
        found[kind] = _documents(answer) if tool == SEARCH else _memories(answer)

    query = " ".join(task.split())[:2000]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: ask("failure", RECALL, query=query, tags=[FAILED]))
        tasks.start_soon(lambda: ask("pattern", RECALL, query=query))
        tasks.start_soon(lambda: ask("document", SEARCH, question=query))
    order = [found.get(kind, []) for kind in ("failure", "pattern", "document")]
    return selected(order, max_tokens, sorted(missing.values()))


def _documents(answer: Mapping[str, Any]) -> list[Source]:
    return [
        Source(kind="document", place=passage["citation"], text=passage["text"])
        for passage in answer["passages"]
    ]


def _memories(answer: Mapping[str, Any]) -> list[Source]:
    return [
        Source(
            kind="failure" if FAILED in memory["tags"] else "pattern",
            place=f"memory {memory['id']}, {memory['date'][:10]}",
            text=memory["text"],
        )
        for memory in answer["results"]
    ]
