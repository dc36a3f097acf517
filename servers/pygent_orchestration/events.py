"""The history of a workflow, and where its steps stand by it: nothing is known but what is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pygent_orchestration.graph import Graph
from pygent_orchestration.outcome import Outcome
from pygent_orchestration.spec import Definition
from pygent_orchestration.store import Begun, Noted
from pygent_shared.durable.status import UNENDED, Status, Step

StepState = Literal["pending", "running", "waiting", "done", "failed", "skipped"]

BEGAN = "began"
ENDED = "ended"
STEP = "step"
WAITS = "waits"
KEPT = "kept"
"""A step was done by the workflow that this one is forked from."""
BEGIN = "begin"
"""After the name of an agent's step: its run was begun."""
UNDO = "undo"
"""After the name of a step: it was taken back."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened: `kind` is began, step, begin, undo, waits, approved, rejected, signalled,
    cancelled, resumed or ended; `data` what came of it."""

    at: str
    kind: str
    step: str = ""
    actor: str = ""
    data: Any = None


def history(begun: Begun, status: Status, steps: Sequence[Step], noted: Sequence[Noted]) -> list[Event]:
    """All that happened to a workflow, oldest first. What has once stood in it stays."""
    kept = [
        Event(
            at=note.at,
            kind=STEP if note.kind == KEPT else note.kind,
            step=note.step,
            actor=note.actor,
            data=note.data,
        )
        for note in noted
    ]
    ends = [Event(at=iso(status), kind=ENDED, data=status.state)] if status.state not in UNENDED else []
    first = Event(at=begun.began_at, kind=BEGAN, data={"inputs": begun.inputs, "version": begun.version})
    return [first, *sorted([*kept, *_done(steps)], key=lambda event: event.at), *ends]


def _done(steps: Sequence[Step]) -> Iterator[Event]:
    for step in steps:
        if step.name.startswith("DBOS."):
            continue
        name, _, part = step.name.partition(" ")
        data = step.result if step.result is not None else {"error": step.error}
        kind = STEP if not part or (part == BEGIN and "run" not in data) else part
        yield Event(at=_iso(step.ended), kind=kind, step=name, data=data)


def states(definition: Definition, events: Sequence[Event]) -> Mapping[str, StepState]:
    """Where each step of a workflow stands, by its history alone."""
    found: dict[str, StepState] = {}
    is_over = any(event.kind == ENDED for event in events)
    for event in events:
        if event.kind == STEP and event.step in definition.steps:
            found[event.step] = state_of(Outcome.model_validate(event.data))
        elif event.kind == WAITS and event.step in definition.steps:
            found.setdefault(event.step, "waiting")
    graph = Graph(definition.steps)
    ended = {name for name, state in found.items() if state != "waiting"}
    room = 0 if is_over else definition.concurrency - (len(found) - len(ended))
    for name in graph.order:
        if name not in found:
            is_begun = room > 0 and ended.issuperset(graph.before[name])
            found[name] = "running" if is_begun else "pending"
            room -= is_begun
        elif is_over and found[name] == "waiting":
            found[name] = "pending"
    return {name: found[name] for name in definition.steps}


def state_of(outcome: Outcome) -> StepState:
    """Where a step stands of which that came."""
    if outcome.skipped:
        return "skipped"
    return "failed" if outcome.is_failed else "done"


def iso(status: Status) -> str:
    """When a workflow's state last changed."""
    return _iso(status.changed)


def _iso(time: Any) -> str:
    return str(time.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
