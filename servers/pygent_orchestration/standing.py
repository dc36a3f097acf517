"""Where a workflow stands: its steps as a tree, with times and what they used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pygent_orchestration.events import BEGIN, UNDO, StepState, state_of
from pygent_orchestration.outcome import Outcome
from pygent_orchestration.spec import Definition
from pygent_shared.durable.status import UNENDED, State, Status, Step


@dataclass(frozen=True, kw_only=True)
class Node:
    """A step, with those of the workflow it is, if it is one. `waits` says what it waits for, as
    `Waits` has it."""

    name: str
    kind: str = ""
    state: StepState | State
    seconds: float | None = None
    attempts: int = 1
    value: Any = None
    error: str = ""
    waits: Mapping[str, str] = field(default_factory=dict)
    run: str = ""
    usage: dict[str, float] = field(default_factory=dict)
    is_undone: bool = False
    below: tuple[Node, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A workflow as it stands. `usage` is of all its steps."""

    id: str
    name: str
    version: int
    state: State
    value: Any = None
    error: str = ""
    steps: tuple[Node, ...]
    usage: dict[str, float]
    began_at: str
    seconds: float
    origin: str = ""

    @property
    def is_over(self) -> bool:
        return self.state not in UNENDED


Rows = Mapping[str, tuple[Status, Sequence[Step]]]
"""Workflows and their checkpoints, by id."""
Waits = Mapping[str, Mapping[str, str]]
"""What steps wait for, by id: `for` is approval, signal or run, `text` says the rest."""


def tree(
    id: str,
    definition: Definition,
    rows: Rows,
    states: Mapping[str, StepState],
    waits: Waits,
    kept: Mapping[str, Any],
) -> tuple[Node, ...]:
    """The steps of a workflow, those not begun too."""
    by_name = {step.name: step for step in rows[id][1]}
    nodes = []
    for name, step in definition.steps.items():
        node = _node(f"{id}/{name}", name, by_name, rows, waits, kept.get(name))
        nodes.append(_with(node, kind=step.kind, state=states[name]))
    return tuple(nodes)


def _node(
    id: str, name: str, by_name: Mapping[str, Step], rows: Rows, waits: Waits, kept: Any = None
) -> Node:
    row, begun = by_name.get(name), by_name.get(f"{name} {BEGIN}")
    result: Any = (row.result or {"error": row.error}) if row else kept or {}
    if begun and not row and isinstance(begun.result, Mapping):
        result = begun.result
    outcome = Outcome.model_validate(result)
    inner = _below(id, rows, waits)
    is_ended = bool(row) or kept is not None
    return Node(
        name=name,
        state=state_of(outcome) if is_ended else "running",
        seconds=_seconds(begun or row, row),
        attempts=outcome.attempts,
        value=outcome.value,
        error=outcome.error,
        waits={} if is_ended else waits.get(id, {}),
        run=outcome.run,
        usage=total([outcome.usage, *(node.usage for node in inner)]),
        is_undone=f"{name} {UNDO}" in by_name,
        below=inner,
    )


def _below(id: str, rows: Rows, waits: Waits) -> tuple[Node, ...]:
    """What was done in the workflow that a step is, and what is still waited for in it."""
    if id not in rows or rows[id][0].workflow in ("approval", "signal"):
        return ()
    by_name = {step.name: step for step in rows[id][1] if not step.name.startswith("DBOS.")}
    names = dict.fromkeys(name.partition(" ")[0] for name in by_name)
    for other in rows:
        head, _, name = other.rpartition("/")
        if head == id:
            names.setdefault(name)
    return tuple(_node(f"{id}/{name}", name, by_name, rows, waits) for name in names)


def _seconds(first: Step | None, last: Step | None) -> float | None:
    return (last.ended - first.started).total_seconds() if first and last else None


def _with(node: Node, *, kind: str, state: StepState) -> Node:
    from dataclasses import replace

    return replace(node, kind=kind, state=state)


def total(usages: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """What several used, together."""
    whole: dict[str, float] = {}
    for usage in usages:
        for name, number in usage.items():
            if isinstance(number, int | float):
                whole[name] = whole.get(name, 0) + number
    return whole
