"""Bodies: graphs that are done for each item of a list, or in rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from pygent_orchestration.actions import Red
from pygent_orchestration.carrying_out import Carrier, Part, carry_out
from pygent_orchestration.expressions import ExpressionInvalid, value
from pygent_orchestration.graph import Graph
from pygent_orchestration.spec import Step, bare


async def for_each(work: Mapping[str, Any], carrier: Carrier) -> list[Any]:
    """A body, done for each item.

    Raises:
        Red: one of them failed.
    """
    graph = Graph(_steps(work))
    items: Sequence[Any] = work["items"]
    parts = [
        Part(
            graph=graph,
            scope={**work["scope"], "item": item, "index": index},
            outer=work["outer"],
            prefix=f"{index}.",
        )
        for index, item in enumerate(items)
    ]
    room = asyncio.Semaphore(work["concurrency"])
    stopped = False

    async def one(part: Part) -> Any:
        nonlocal stopped
        async with room:
            if stopped:
                return None
            try:
                await carry_out(part, carrier, len(graph.order))
                return part.gives(work["output"])
            except (Red, ExpressionInvalid):
                stopped = True
                raise

    return await _all([asyncio.create_task(one(part)) for part in parts])


def begun(work: Mapping[str, Any], done: Mapping[str, Any]) -> list[Part]:
    """The parts of a body that was stopped, with the outcomes of their steps that were done, by name."""
    graph, last = Graph(_steps(work)), None
    kept: dict[int, dict[str, Any]] = {}
    for name, outcome in done.items():
        index, _, step = name.partition(".")
        kept.setdefault(int(index), {})[step] = outcome
    parts = []
    for number, outcomes in sorted(kept.items()):
        more = {"item": work["items"][number]} if "items" in work else {"last": last}
        scope = {**work["scope"], "index": number, **more}
        part = Part(graph=graph, scope=scope, outer=work["outer"], prefix=f"{number}.", kept=outcomes)
        if outcomes.keys() == graph.steps.keys():
            last = part.gives(work["output"])
        parts.append(part)
    return parts


async def _all(tasks: Sequence[asyncio.Task[Any]]) -> list[Any]:
    """What all give; the first error, by their order, once all have ended."""
    try:
        results = await asyncio.gather(*tasks, return_exceptions=True)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return list(results)


async def in_rounds(work: Mapping[str, Any], carrier: Carrier) -> Any:
    """A body, done again and again, until its expression says so or its rounds are over.

    Raises:
        Red: a round failed.
    """
    graph, last = Graph(_steps(work)), None
    for index in range(work["rounds"]):
        scope = {**work["scope"], "index": index, "last": last}
        part = Part(graph=graph, scope=scope, outer=work["outer"], prefix=f"{index}.")
        await carry_out(part, carrier, len(graph.order))
        last = part.gives(work["output"])
        if work["until"] and value(bare(work["until"]), {**part.readable, "last": last}):
            break
    return last


def _steps(work: Mapping[str, Any]) -> dict[str, Step]:
    return {name: Step.model_validate(step) for name, step in work["steps"].items()}
