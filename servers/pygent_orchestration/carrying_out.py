"""Carrying a graph of steps out, in a durable workflow.

The one rule: each step has its place among the workflow's checkpoints before the first one begins. So
whichever ends first, and wherever a crash falls, each finds its own result again, and none another's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio

from pygent_orchestration.actions import GATE_SECONDS, Actions, Red
from pygent_orchestration.events import BEGIN, UNDO
from pygent_orchestration.expressions import ExpressionInvalid, as_text, filled, value
from pygent_orchestration.graph import Graph
from pygent_orchestration.outcome import Outcome
from pygent_orchestration.spec import Action, Step, bare, braced, steps_read
from pygent_shared.durable.failure import Failed
from pygent_shared.errors import PygentError

MAP_CONCURRENCY = 8
FOREVER = 100 * 365 * 86_400.0
MOST_WAIT = 300.0
"""Seconds between two tries, at most."""


class Children(Protocol):
    """Begins workflows that belong to this one, each a workflow of its own, and waits for them."""

    async def asked(self, id: str, kind: str, within: float) -> Any:
        """What somebody says under an id, for an approval or as a signal; None where nobody does in time."""

    async def body(self, id: str, work: dict[str, Any]) -> Any:
        """What a body gives that was done for each item, or in rounds.

        Raises:
            Red: it failed.
        """

    async def other(self, id: str, name: str, inputs: Mapping[str, Any]) -> Any:
        """What another workflow gives.

        Raises:
            Red: it failed.
            InvalidArgument: it does not take such inputs.
        """


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """What steps are carried out with."""

    id: str
    actions: Actions
    children: Children
    tell: Callable[[str, str, str], None]
    """Is told what a step waits for: the step, approval, signal or run, and the rest."""
    ended: Callable[[str, Outcome], None]
    """Is told what came of a step, whenever the workflow is run."""


@dataclass(kw_only=True)
class Part:
    """One graph on its way: the steps, what they may read, and what they have given.

    Args:
        prefix: before each step's name among the checkpoints, such as "3." for the fourth item.
        kept: outcomes of another workflow's steps that are not done again.
    """

    graph: Graph
    scope: Mapping[str, Any]
    outer: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = ""
    kept: Mapping[str, Any] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    places: dict[str, list[Any]] = field(default_factory=dict)
    undos: dict[str, Any] = field(default_factory=dict)
    is_broken: bool = False
    """Whether a step has failed that is not optional."""

    def __post_init__(self) -> None:
        from pygent_shared.durable.workflow import Place

        self._known = dict(self.outer)
        for name, kept in self.kept.items():
            self.note(name, Outcome.model_validate(kept))
        for name in self.graph.order:
            if name not in self.outcomes:
                count = 2 if self.graph.steps[name].kind == "agent" else 1
                self.places[name] = [Place() for _ in range(count)]
        for name in reversed(self.graph.order):
            if self.graph.steps[name].undo is not None:
                self.undos[name] = Place()

    def note(self, name: str, outcome: Outcome) -> None:
        """Have what came of a step."""
        self.outcomes[name] = outcome
        self._known[name] = outcome.value
        self.is_broken |= outcome.is_failed and not self.graph.steps[name].optional

    @property
    def readable(self) -> dict[str, Any]:
        """What its expressions may read."""
        return {**self.scope, "steps": self._known}

    @property
    def failed(self) -> list[str]:
        """The steps whose failure is the whole's."""
        return [
            name
            for name in self.graph.order
            if (outcome := self.outcomes.get(name))
            and outcome.is_failed
            and not self.graph.steps[name].optional
        ]

    def gives(self, output: Any) -> Any:
        """What it gives when all is done."""
        if output is not None:
            return filled(output, self.readable)
        last = self.graph.last
        if len(last) == 1:
            return self.outcomes[last[0]].value
        return {name: self.outcomes[name].value for name in last}


async def carry_out(part: Part, carrier: Carrier, concurrency: int) -> None:
    """Do all its steps, as many at once as their order and the limit allow. When one fails none is begun any
    more; those at work come to their ends, and then what can be undone is undone.

    Raises:
        Red: a step failed that is not optional.
    """
    tasks: dict[asyncio.Task[Outcome], str] = {}
    waits = {
        name: set(before) - part.outcomes.keys()
        for name, before in part.graph.before.items()
        if name not in part.outcomes
    }
    ready = [name for name in part.graph.order if name in waits and not waits[name]]
    after: dict[str, list[str]] = {name: [] for name in part.graph.steps}
    for name, before in waits.items():
        for other in before:
            after[other].append(name)
    try:
        while tasks or (ready and not part.is_broken):
            while ready and len(tasks) < concurrency and not part.is_broken:
                name = ready.pop(0)
                tasks[asyncio.create_task(_done(part, carrier, name))] = name
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                name = tasks.pop(task)
                part.note(name, task.result())
                carrier.ended(part.prefix + name, part.outcomes[name])
                for later in after[name]:
                    waits[later].discard(name)
                    if not waits[later]:
                        ready.append(later)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if part.is_broken:
        await take_back(part, carrier)
        name = part.failed[0]
        raise Red(f'Step "{part.prefix}{name}" failed: {part.outcomes[name].error}')


async def _done(part: Part, carrier: Carrier, name: str) -> Outcome:
    """One step, done once; a defect of what it uses is its failure too."""
    try:
        return await _checked(part, carrier, name)
    except Failed as error:
        return Outcome(error=f"{error.kind}: {error}")


async def _checked(part: Part, carrier: Carrier, name: str) -> Outcome:
    """One step: what came of it is a checkpoint, whether good or bad."""
    step, places, shown = part.graph.steps[name], part.places[name], part.prefix + name
    run = ""
    if len(places) == 2:
        begun = await places[0].step(f"{shown} {BEGIN}", lambda: _begun(part, carrier, step))
        if "run" not in begun:
            return Outcome.model_validate(begun)
        run = begun["run"]

    async def do() -> dict[str, Any]:
        outcome = await _tried(part, carrier, step, shown, run)
        return outcome.model_dump(exclude_defaults=True)

    is_long = step.kind not in ("tool", "condition")
    return Outcome.model_validate(await places[-1].step(shown, do, long=is_long))


async def _begun(part: Part, carrier: Carrier, step: Step) -> dict[str, Any]:
    """The run of an agent, begun; or the outcome, where there is none."""
    try:
        if step.when and not value(bare(step.when), part.readable):
            return {"skipped": True}
        return {"run": await _agent(carrier, step, part.readable)}
    except (Red, ExpressionInvalid, PygentError) as error:
        return {"error": str(error)}


async def _agent(carrier: Carrier, action: Action, scope: Mapping[str, Any]) -> str:
    words = (action.agent, action.task, action.workspace, action.branch)
    return await carrier.actions.begin(*(as_text(filled(word, scope)) for word in words))


async def _tried(part: Part, carrier: Carrier, step: Step, name: str, run: str) -> Outcome:
    scope = part.readable
    try:
        if step.when and not value(bare(step.when), scope):
            return Outcome(skipped=True)
    except ExpressionInvalid as error:
        return Outcome(error=str(error))
    wait = step.retry_wait
    for attempt in range(1, step.retries + 2):
        why = ""
        with anyio.move_on_after(None if step.kind in ("approval", "signal") else step.timeout):
            try:
                result, usage = await _once(part, carrier, step, name, run)
                return Outcome(value=result, usage=dict(usage), run=run, attempts=attempt)
            except (Red, ExpressionInvalid, PygentError) as caught:
                why = str(caught) or type(caught).__name__
        if not why:
            why = f"It took more than {step.timeout:g} s."
            if run:
                await carrier.actions.stop(run)
        if attempt <= step.retries:
            await anyio.sleep(wait)
            wait = min(2 * wait, MOST_WAIT)
            if run:
                run = await _agent(carrier, step, scope)
    return Outcome(error=why, run=run, attempts=step.retries + 1)


async def _once(
    part: Part, carrier: Carrier, step: Step, name: str, run: str
) -> tuple[Any, Mapping[str, Any]]:
    """What a step gives, and what it used."""
    scope, id = part.readable, f"{carrier.id}/{name}"
    match step.kind:
        case "agent":
            ended = await carrier.actions.ended(run, lambda text: carrier.tell(name, "run", text))
            return ended["answer"], ended["usage"]
        case "tool":
            return await _called(carrier, step, scope), {}
        case "gate":
            return await _gated(carrier, step, scope, step.timeout), {}
        case "condition":
            return value(bare(step.condition), scope), {}
        case "approval" | "signal":
            return await _answered(carrier, step, scope, id, name), {}
        case "workflow":
            return await carrier.children.other(id, step.workflow, filled(step.arguments, scope)), {}
        case "map" | "repeat":
            return await carrier.children.body(id, _body(part, step, scope)), {}


async def _answered(carrier: Carrier, step: Step, scope: Mapping[str, Any], id: str, name: str) -> Any:
    carrier.tell(name, step.kind, step.signal or as_text(filled(step.approval, scope)))
    said = await carrier.children.asked(id, step.kind, step.timeout or FOREVER)
    if said is None:
        raise Red(f"Nobody answered in {step.timeout or FOREVER:g} s.")
    if step.signal:
        return said["message"]
    if not said["approved"]:
        raise Red(f"It was rejected: {said['comment']}" if said["comment"] else "It was rejected.")
    return said


async def _called(carrier: Carrier, action: Action, scope: Mapping[str, Any]) -> Any:
    return await carrier.actions.tool(as_text(filled(action.tool, scope)), filled(action.arguments, scope))


async def _gated(carrier: Carrier, action: Action, scope: Mapping[str, Any], seconds: float | None) -> str:
    folder = as_text(filled(action.folder, scope))
    return await carrier.actions.gate(filled(action.gate, scope), folder, seconds or GATE_SECONDS)


def _body(part: Part, step: Step, scope: Mapping[str, Any]) -> dict[str, Any]:
    """The work of a map or of rounds, as the workflow that does it is given it."""
    steps = step.steps
    if step.workflow:
        steps = {"workflow": Step.model_validate({"workflow": step.workflow, "with": step.arguments})}
    read = set().union(*(steps_read(inner) for inner in steps.values())) - set(steps) | steps_read(step)
    known = scope["steps"]
    work = {
        "steps": {name: inner.model_dump(by_alias=True, exclude_unset=True) for name, inner in steps.items()},
        "scope": {name: item for name, item in scope.items() if name != "steps"},
        "outer": {name: known[name] for name in sorted(read) if name in known},
        "output": step.output,
    }
    if step.kind == "repeat":
        return {**work, "rounds": step.repeat, "until": step.until}
    items = filled(braced(step.map) if isinstance(step.map, str) else step.map, scope)
    if not isinstance(items, list):
        raise Red(f"Its map is over a {type(items).__name__}, and must be over a list.")
    return {**work, "items": items, "concurrency": step.concurrency or MAP_CONCURRENCY}


async def take_back(part: Part, carrier: Carrier) -> None:
    """Take back what was done, the latest in the order first. What cannot be is told, and hinders nothing."""
    for name, place in part.undos.items():
        undo, outcome = part.graph.steps[name].undo, part.outcomes.get(name)
        if undo is None or outcome is None or outcome.is_failed or outcome.skipped:
            continue

        async def undone(undo: Action = undo) -> dict[str, Any]:
            try:
                await _undone(part, carrier, undo)
            except (Red, ExpressionInvalid, PygentError) as error:
                return {"error": str(error)}
            return {}

        await place.step(f"{part.prefix}{name} {UNDO}", undone)


async def _undone(part: Part, carrier: Carrier, undo: Action) -> None:
    if undo.tool:
        await _called(carrier, undo, part.readable)
    elif undo.gate:
        await _gated(carrier, undo, part.readable, None)
    else:
        run = await _agent(carrier, undo, part.readable)
        await carrier.actions.ended(run, lambda text: None)
