"""When what can be done: the critical path of tasks, and how long they take.

The critical path method: Kelley and Walker, 1959. With fewer hands than tasks that could be done at once, the
one with the longest way to the end is begun first: list scheduling, which takes at most 2 - 1/n times as long
as the best order does (Graham, 1969).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from pygent_orchestration.features.model import Prp


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A task in time, in hours from the beginning: its soonest, and by how much it may slip."""

    task: str
    start: float
    end: float
    slack: float


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """All tasks in time.

    Args:
        critical: the tasks none of which can slip, in order: their hours are the least the whole takes.
        hours: that it takes with so many hands as there are.
        work: the hours of all tasks together.
    """

    slots: tuple[Slot, ...]
    critical: tuple[str, ...]
    hours: float
    work: float


def circle(tasks: Sequence[Prp]) -> list[str]:
    """Tasks that wait for each other in a circle, the first one again at its end."""
    try:
        _order(tasks)
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[::-1]
    return []


def tails(tasks: Sequence[Prp]) -> dict[str, float]:
    """Of each task, the hours from its beginning to the end of all that waits for it."""
    hours = {task.id: task.hours for task in tasks}
    after = _after(tasks)
    found: dict[str, float] = {}
    for name in reversed(_order(tasks)):
        found[name] = hours[name] + max((found[later] for later in after[name]), default=0.0)
    return found


def timeline(tasks: Sequence[Prp], at_once: int) -> Timeline:
    """Tasks in time, so many of them at once.

    Raises:
        CycleError: they wait for each other in a circle.
    """
    by_id = {task.id: task for task in tasks}
    tail = tails(tasks)
    starts: dict[str, float] = {}
    for name in _order(tasks):
        before = by_id[name].depends_on
        starts[name] = max((starts[other] + by_id[other].hours for other in before), default=0.0)
    whole = max(tail.values(), default=0.0)
    slots = tuple(
        Slot(
            task=task.id,
            start=starts[task.id],
            end=starts[task.id] + task.hours,
            slack=max(whole - starts[task.id] - tail[task.id], 0.0),
        )
        for task in tasks
    )
    return Timeline(
        slots=slots,
        critical=_critical(by_id, tail),
        hours=_taken(by_id, tail, at_once),
        work=sum(task.hours for task in tasks),
    )


def _critical(by_id: Mapping[str, Prp], tail: Mapping[str, float]) -> tuple[str, ...]:
    after = _after(list(by_id.values()))
    path: list[str] = []
    ready = [name for name, task in by_id.items() if not task.depends_on]
    while ready:
        path.append(max(ready, key=lambda name: tail[name]))
        ready = after[path[-1]]
    return tuple(path)


def _taken(by_id: Mapping[str, Prp], tail: Mapping[str, float], at_once: int) -> float:
    """The hours that so many hands take."""
    after = _after(list(by_id.values()))
    waits = {name: len(set(task.depends_on)) for name, task in by_id.items()}
    ready = [(-tail[name], name) for name, count in waits.items() if not count]
    heapq.heapify(ready)
    working: list[tuple[float, str]] = []
    now = 0.0
    while ready or working:
        while ready and len(working) < at_once:
            _, name = heapq.heappop(ready)
            heapq.heappush(working, (now + by_id[name].hours, name))
        now, ended = heapq.heappop(working)
        for later in after[ended]:
            waits[later] -= 1
            if not waits[later]:
                heapq.heappush(ready, (-tail[later], later))
    return now


def _order(tasks: Sequence[Prp]) -> list[str]:
    return list(TopologicalSorter({task.id: task.depends_on for task in tasks}).static_order())


def _after(tasks: Sequence[Prp]) -> dict[str, list[str]]:
    after: dict[str, list[str]] = {task.id: [] for task in tasks}
    for task in tasks:
        for before in dict.fromkeys(task.depends_on):
            after[before].append(task.id)
    return after
