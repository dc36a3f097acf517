"""What the tools answer: the shapes a program reads, and the short text a model reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, Field

from pygent_orchestration.answers_messages import WorkerRow
from pygent_orchestration.spec import Definition
from pygent_orchestration.standing import Node, Standing
from pygent_orchestration.store import SHIPPED, Begun
from pygent_shared.durable.engine import QueueStatus
from pygent_shared.durable.status import Status

MOST_TEXT = 2_000
"""Of a value in a text for a model."""


class DefinitionRow(BaseModel):
    name: str
    version: int = Field(description="0: it ships with the program.")
    description: str
    inputs: dict[str, Any]
    steps: dict[str, str] = Field(description="Their kinds, in an order in which they may be done.")

    @classmethod
    def of(cls, name: str, version: int, definition: Definition, order: Sequence[str]) -> DefinitionRow:
        return cls(
            name=name,
            version=version,
            description=definition.description,
            inputs={
                key: row.model_dump(mode="json", exclude_unset=True) for key, row in definition.inputs.items()
            },
            steps={step: definition.steps[step].kind for step in order},
        )

    def line(self) -> str:
        ships = " (ships with pygent)" if self.version == SHIPPED else f", version {self.version}"
        return f"{self.name}{ships}: {self.description} Inputs: {', '.join(self.inputs) or 'none'}."


class DefinitionAnswer(BaseModel):
    """A definition whole."""

    workflow: DefinitionRow
    definition: dict[str, Any]

    def text(self) -> str:
        steps = " → ".join(f"{name} ({kind})" for name, kind in self.workflow.steps.items())
        begin = f'Begin it: start_workflow(name="{self.workflow.name}", inputs={{…}}).'
        return f"{self.workflow.line()}\nSteps: {steps}\n{begin}"


class BegunRow(BaseModel):
    workflow: str = Field(description="Its id.")
    name: str
    version: int
    state: str
    began_at: str

    @classmethod
    def of(cls, begun: Begun, status: Status) -> BegunRow:
        state = "failed" if (status.result or {}).get("error") else status.state
        return cls(
            workflow=begun.id, name=begun.name, version=begun.version, state=state, began_at=begun.began_at
        )


class WorkflowsAnswer(BaseModel):
    definitions: list[DefinitionRow]
    workflows: list[BegunRow]

    def text(self) -> str:
        known = "\n".join(row.line() for row in self.definitions)
        begun = "\n".join(f"{row.workflow} {row.name} {row.state} {row.began_at}" for row in self.workflows)
        return f"{known}\n\nBegun, the newest first:\n{begun or 'none yet'}"


class StepRow(BaseModel):
    step: str
    kind: str = ""
    state: str
    seconds: float | None = None
    attempts: int = 1
    value: Any = None
    error: str = ""
    waits_for: str = Field(default="", description="approval, signal, or run: one that needs your model.")
    waits: str = Field(default="", description="The question, the signal's name, or what to call.")
    run: str = Field(default="", description="Of an agent: its run in the factory.")
    usage: dict[str, float] = {}
    undone: bool = False
    steps: list[StepRow] = []

    @classmethod
    def of(cls, node: Node) -> StepRow:
        return cls(
            step=node.name,
            kind=node.kind,
            state=node.state,
            seconds=node.seconds,
            attempts=node.attempts,
            value=node.value,
            error=node.error,
            waits_for=node.waits.get("for", ""),
            waits=node.waits.get("text", ""),
            run=node.run,
            usage=node.usage,
            undone=node.is_undone,
            steps=[cls.of(below) for below in node.below],
        )

    def lines(self, depth: int = 0) -> Iterable[str]:
        took = f", {self.seconds:.1f} s" if self.seconds is not None else ""
        tried = f", tried {self.attempts} times" if self.attempts > 1 else ""
        said = self.error.partition("\n")[0] or self.waits
        more = f": {said}" if said else ""
        undone = ", undone" if self.undone else ""
        yield f"{'  ' * depth}{self.step} {self.state}{took}{tried}{undone}{more}"
        for below in self.steps:
            yield from below.lines(depth + 1)


class WorkflowAnswer(BaseModel):
    """A workflow as it stands."""

    workflow: str = Field(description="Its id.")
    name: str
    version: int
    state: str
    value: Any = None
    error: str = ""
    steps: list[StepRow]
    usage: dict[str, float] = Field(default={}, description="What its agents used of models, all together.")
    seconds: float
    began_at: str
    origin: str = Field(default="", description="The workflow it was forked from.")
    next: str = Field(default="", description="What to do now.")

    @classmethod
    def of(cls, standing: Standing) -> WorkflowAnswer:
        rows = [StepRow.of(node) for node in standing.steps]
        return cls(
            workflow=standing.id,
            name=standing.name,
            version=standing.version,
            state=standing.state,
            value=standing.value,
            error=standing.error,
            steps=rows,
            usage=standing.usage,
            seconds=round(standing.seconds, 3),
            began_at=standing.began_at,
            origin=standing.origin,
            next=_next(standing, rows),
        )

    def text(self) -> str:
        head = f"{self.workflow} ({self.name}) is {self.state} after {self.seconds:.1f} s."
        tree = "\n".join(line for row in self.steps for line in row.lines(1))
        value = "" if self.value is None else f"It gave:\n{_short(self.value)}"
        return "\n\n".join(filter(None, (head, tree, self.error, value, self.next)))


def _next(standing: Standing, rows: Sequence[StepRow]) -> str:
    id = standing.id
    if standing.state == "failed":
        return f'When its cause is mended: resume_workflow(workflow="{id}"); it keeps what was done well.'
    if standing.state == "cancelled":
        return f'It can go on: resume_workflow(workflow="{id}").'
    if standing.is_over:
        return ""
    for name, row in waiting(rows):
        if row.waits_for == "run":
            return row.waits
        if row.waits_for == "signal":
            return f'It waits for a signal: signal_workflow(workflow="{id}", step="{name}", message=…).'
        answers = f'approve(workflow="{id}", step="{name}"), or reject(…)'
        return f"It waits for an approval: {row.waits}\nAnswer: {answers}."
    return f'It goes on. Look again: wait_for_workflow(workflow="{id}").'


def waiting(rows: Sequence[StepRow]) -> Iterable[tuple[str, StepRow]]:
    """The steps that wait for something, by the names that `approve` and `signal_workflow` take."""
    return [(name, row) for name, row in _all(rows) if row.waits and row.state in ("running", "waiting")]


def _all(rows: Sequence[StepRow], path: str = "") -> Iterable[tuple[str, StepRow]]:
    for row in rows:
        yield path + row.step, row
        yield from _all(row.steps, f"{path}{row.step}/")


class ScheduleRow(BaseModel):
    name: str
    workflow: str
    inputs: dict[str, Any]
    cron: str
    zone: str
    paused: bool
    next: str = ""
    last: str = ""
    error: str = Field(default="", description="Why nothing was begun the last time.")

    def line(self) -> str:
        when = "is paused" if self.paused else f"next {self.next}"
        failed = f"; at {self.last} nothing was begun: {self.error}" if self.error else ""
        return f"{self.name}: {self.workflow} at {self.cron!r} in {self.zone}, {when}{failed}"


class SchedulesAnswer(BaseModel):
    schedules: list[ScheduleRow]

    @classmethod
    def of(cls, schedules: Iterable[Any]) -> SchedulesAnswer:
        return cls(
            schedules=[
                ScheduleRow(
                    name=row.name,
                    workflow=row.argument["workflow"],
                    inputs=row.argument["inputs"],
                    cron=row.cron,
                    zone=row.zone,
                    paused=row.paused,
                    next=row.next.isoformat() if row.next else "",
                    last=row.last.isoformat() if row.last else "",
                    error=row.failed,
                )
                for row in schedules
            ]
        )

    def text(self) -> str:
        return "\n".join(row.line() for row in self.schedules) or "There are none."


class QueueAnswer(BaseModel):
    waiting: int
    running: dict[str, int] = Field(description="Workflows by the process that is at them.")
    each: int = Field(description="How many one process takes at once.")
    all: int = Field(description="How many all may be at; 0 is any number.")
    workers: list[WorkerRow] = Field(
        default=[], description="Processes at work: with PYGENT_REDIS_URL all of them, else this one."
    )
    problem: str = Field(default="", description="Why no workers are known.")

    @classmethod
    def of(cls, status: QueueStatus, each: int, all: int) -> QueueAnswer:
        return cls(waiting=status.waiting, running=status.running, each=each, all=all)

    def text(self) -> str:
        at = sum(self.running.values())
        queue = f"{self.waiting} wait; {at} are carried out, by {len(self.running)} process(es)."
        return "\n".join([queue, *(row.line() for row in self.workers), *filter(None, [self.problem])])


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}… ({len(text)} characters)"
