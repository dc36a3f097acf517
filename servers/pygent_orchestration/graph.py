"""The order of steps: which come before which, and whether they go round in a circle."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from pygent_orchestration.spec import Step, steps_read


class Graph:
    """The steps of a workflow, or of a body, and what each waits for.

    Raises:
        CycleError: they go round in a circle.
    """

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self.steps = steps
        self.before = {name: before(name, step, steps) for name, step in steps.items()}
        self.order = list(TopologicalSorter(self.before).static_order())

    @property
    def last(self) -> list[str]:
        """The steps that none waits for, as they were written."""
        waited_for = {name for names in self.before.values() for name in names}
        return [name for name in self.steps if name not in waited_for]


def before(name: str, step: Step, steps: Mapping[str, Step]) -> list[str]:
    """What a step waits for, sorted."""
    return sorted({*step.needs, *steps_read(step)} & steps.keys() - {name})


def circle(steps: Mapping[str, Step]) -> list[str]:
    """The steps of a circle, the first one again at its end; none where there is no circle."""
    try:
        Graph(steps)
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[::-1]
    return []
