"""What the engine carries out: the workflow of a definition, a body's, and the wait for somebody's answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pygent_orchestration.actions import Actions, Red
from pygent_orchestration.bodies import begun, for_each, in_rounds
from pygent_orchestration.bus import post
from pygent_orchestration.bus.post import Post
from pygent_orchestration.carrying_out import FOREVER, Carrier, Part, carry_out, take_back
from pygent_orchestration.events import UNDO, WAITS, state_of
from pygent_orchestration.expressions import ExpressionInvalid
from pygent_orchestration.graph import Graph
from pygent_orchestration.outcome import Outcome
from pygent_orchestration.reading import given
from pygent_orchestration.spec import Definition
from pygent_orchestration.store import Store, now
from pygent_shared.durable.engine import Engine
from pygent_shared.durable.status import Status

WORKFLOW = "workflow"
BODY = "body"
APPROVAL = "approval"
SIGNAL = "signal"
TAKEN_BACK = "~undo"
"""After a workflow's id: the one that takes back what it had done when it was cancelled."""
SAID = "said"

LATEST_SECONDS = 1.0
"""Between two looks at what may take days."""


class Execution:
    """Carries them out.

    Args:
        store: where it is noted what steps wait for, and that a workflow has ended.
        engine: begins what belongs to a workflow.
        post: tells of each step that ends, or waits for somebody.
    """

    def __init__(self, store: Store, engine: Engine, actions: Actions, post: Post) -> None:
        self._store = store
        self._engine = engine
        self._actions = actions
        self._post = post

    async def work(self, plan: dict[str, Any]) -> dict[str, Any]:
        """The workflow: a graph of steps, and what it gives or why it failed."""
        from pygent_shared.durable import workflow

        id = workflow.workflow_id()
        definition = Definition.model_validate(plan["definition"])
        part = Part(graph=Graph(definition.steps), scope={"inputs": plan["inputs"]}, kept=plan["kept"])
        try:
            await carry_out(part, self._carrier(id, plan["uses"]), definition.concurrency)
            ended = {"value": part.gives(definition.output)}
        except (Red, ExpressionInvalid) as error:
            ended = {"error": str(error)}
        if "/" not in id:
            self._store.end(id)
            self._post.put(
                [post.progress(post.workflow(id), {"state": "failed" if "error" in ended else "done"})]
            )
        return ended

    async def body(self, work: dict[str, Any], uses: dict[str, Any]) -> dict[str, Any]:
        """The body of a map, or of rounds."""
        from pygent_shared.durable import workflow

        carrier = self._carrier(workflow.workflow_id(), uses)
        try:
            return {"value": await (for_each if "items" in work else in_rounds)(work, carrier)}
        except (Red, ExpressionInvalid) as error:
            return {"error": str(error)}

    async def undo(self, id: str, below: list[str]) -> None:
        """Take back what a workflow had done that was cancelled; first, what those below it had."""
        from pygent_shared.durable import workflow

        for other in below:
            await _Children(self._engine, {}).undone(other)
        work, uses, done = await workflow.step("found", lambda: self._stopped(id))
        if "definition" in work:
            graph = Graph(Definition.model_validate(work["definition"]).steps)
            parts = [Part(graph=graph, scope={"inputs": work["inputs"]}, kept={**work["kept"], **done})]
        else:
            parts = begun(work, done)
        for part in reversed(parts):
            await take_back(part, self._carrier(id, uses))

    async def _stopped(self, id: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """What a workflow was to do, what it uses, and the outcomes of its steps that were not undone yet."""
        work, *more = await self._engine.arguments(id)
        results = {step.name: step.result for step in await self._engine.steps(id)}
        done = {
            name: outcome
            for name, outcome in results.items()
            if outcome and " " not in name and f"{name} {UNDO}" not in results
        }
        return work, (more[0] if more else work["uses"]), done

    def _carrier(self, id: str, uses: Mapping[str, Any]) -> Carrier:
        told: set[tuple[str, str]] = set()
        top, _, path = id.partition("/")

        def tell(step: str, what: str, text: str) -> None:
            if (step, text) in told:
                return
            told.add((step, text))
            name, data = f"{path}/{step}" if path else step, {"for": what, "text": text}
            if not any(note.step == name and note.data == data for note in self._store.noted(top)):
                self._store.note(top, WAITS, now(), name, data)
                said = {"step": name, "state": "waiting"}
                self._post.put([post.progress(post.workflow(top), said)])

        def ended(step: str, outcome: Outcome) -> None:
            name = f"{path}/{step}" if path else step
            said = {"step": name, "state": state_of(outcome)}
            self._post.put([post.progress(post.workflow(top), said)])

        children = _Children(self._engine, uses)
        return Carrier(id=id, actions=self._actions, children=children, tell=tell, ended=ended)


class _Children:
    """Workflows below one: `carrying_out.Children`."""

    def __init__(self, engine: Engine, uses: Mapping[str, Any]) -> None:
        self._engine = engine
        self._uses = uses

    async def asked(self, id: str, kind: str, within: float) -> Any:
        return (await self._ended(kind, id, within)).result

    async def body(self, id: str, work: dict[str, Any]) -> Any:
        return _value(await self._ended(BODY, id, work, dict(self._uses)))

    async def other(self, id: str, name: str, inputs: Mapping[str, Any]) -> Any:
        definition = Definition.model_validate(self._uses[name])
        whole = given(definition.inputs, inputs)
        plan = {"definition": self._uses[name], "uses": dict(self._uses), "inputs": whole, "kept": {}}
        return _value(await self._ended(WORKFLOW, id, plan))

    async def undone(self, id: str) -> None:
        """Have what a workflow had done be taken back."""
        await self._ended(UNDO, f"{id}{TAKEN_BACK}", id, [])

    async def _ended(self, workflow: str, id: str, *arguments: Any) -> Status:
        await self._engine.start(workflow, *arguments, id=id)
        return await self._engine.wait(id, FOREVER, latest=LATEST_SECONDS)


def _value(status: Status) -> Any:
    if status.state == "cancelled":
        raise Red("It was cancelled.")
    ended = status.result or {}
    if error := ended.get("error") or status.error:
        raise Red(error)
    return ended.get("value")


async def answer(within: float) -> Any:
    """Wait for what somebody says."""
    from pygent_shared.durable import workflow

    return await workflow.signalled(SAID, within)
