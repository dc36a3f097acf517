"""Workflows as they are begun, carried out, asked about and answered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio

from pygent_orchestration.actions import FACTORY, Actions
from pygent_orchestration.bus.post import Post, progress, workflow
from pygent_orchestration.events import BEGIN, KEPT, STEP, UNDO, WAITS, Event, history, states
from pygent_orchestration.execution import (
    APPROVAL,
    BODY,
    SAID,
    SIGNAL,
    TAKEN_BACK,
    WORKFLOW,
    Execution,
    answer,
)
from pygent_orchestration.graph import Graph
from pygent_orchestration.library import Library
from pygent_orchestration.reading import given
from pygent_orchestration.spec import Definition
from pygent_orchestration.standing import Standing, total, tree
from pygent_orchestration.store import Begun, Store, now
from pygent_shared.durable.engine import Engine, QueueStatus, pause
from pygent_shared.durable.status import UNENDED, Status, Step
from pygent_shared.errors import IllegalMove, InvalidArgument, UnknownName
from pygent_shared.peers import Peers

if TYPE_CHECKING:
    pass

APPROVED = "approved"
REJECTED = "rejected"

FOLLOW_SECONDS = 0.25
UNDO_SECONDS = 10.0
"""How long who cancels a workflow waits until what it did is taken back."""

Report = Callable[[Standing], Awaitable[None]]
"""Is told, now and then, where a workflow stands."""


class Workflows:
    """Begins them and follows them.

    Args:
        store: of definitions, and of what was begun.
        engine: carries them out, once it is needed.
        peers: whose tools and agents the steps use; None where this server stands alone.
        post: tells of them.
    """

    def __init__(self, store: Store, engine: Engine, peers: Peers | None, post: Post) -> None:
        self._store = store
        self._engine = engine
        self._peers = peers
        self._post = post
        self._actions = Actions(peers)
        self.library = Library(store)
        execution = Execution(store, engine, self._actions, post)
        engine.workflow(WORKFLOW, execution.work)
        engine.workflow(BODY, execution.body)
        engine.workflow(APPROVAL, answer)
        engine.workflow(SIGNAL, answer)
        engine.workflow(UNDO, execution.undo)

    async def begin(
        self,
        name: str,
        inputs: Mapping[str, Any],
        *,
        version: int | None = None,
        kept: Mapping[str, Any] | None = None,
        origin: str = "",
        id: str = "",
    ) -> str:
        """Begin a workflow, pinned to a version of its definition and to those of the workflows it uses as
        they are now. Returns its id.

        Args:
            kept: outcomes of steps, by name, that are not done again.
            origin: the workflow they are from.

        Raises:
            UnknownName: there is none of that name, or one of its tools there is not.
            InvalidArgument: an input is missing, unknown or of another type.
        """
        number, definition = self.library.get(name, version)
        whole = given(definition.inputs, inputs)
        uses = self.library.uses(name, definition)
        await self._look_at_tools([definition, *uses.values()])
        begun = Begun(
            id=id or f"w{uuid4().hex[:12]}",
            name=name,
            version=number,
            inputs=whole,
            began_at=now(),
            origin=origin,
        )
        self._store.begin(begun)
        for step, outcome in (kept or {}).items():
            self._store.note(begun.id, KEPT, now(), step, outcome)
        plan = {
            "definition": _dumped(definition),
            "uses": {used: _dumped(other) for used, other in uses.items()},
            "inputs": whole,
            "kept": dict(kept or {}),
        }
        await self._engine.enqueue(WORKFLOW, plan, id=begun.id)
        return begun.id

    async def get(self, id: str) -> Standing:
        """Where a workflow stands. Raises UnknownName: there is none."""
        begun = self._store.get(id)
        status = await self._engine.status(id)
        _, definition = self.library.get(begun.name, begun.version)
        rows = {id: (status, await self._steps(status))}
        for below in await self._engine.below(id):
            if not below.id.endswith(TAKEN_BACK):
                rows[below.id] = (below, await self._steps(below))
        noted = self._store.noted(id)
        at = states(definition, history(begun, status, rows[id][1], noted))
        waits = {f"{id}/{note.step}": note.data for note in noted if note.kind == WAITS}
        kept = {note.step: note.data for note in noted if note.kind == KEPT}
        nodes = tree(id, definition, rows, at, waits, kept)
        ended: dict[str, Any] = status.result or {}
        return Standing(
            id=id,
            name=begun.name,
            version=begun.version,
            state="failed" if ended.get("error") else status.state,
            value=ended.get("value"),
            error=ended.get("error") or status.error,
            steps=nodes,
            usage=total(node.usage for node in nodes),
            began_at=begun.began_at,
            seconds=(
                (datetime.now(UTC) if status.state in UNENDED else status.changed) - status.started
            ).total_seconds(),
            origin=begun.origin,
        )

    async def all(self, name: str, limit: int) -> list[tuple[Begun, Status]]:
        """The newest workflows, of one definition or of all, and where they stand."""
        found = []
        for begun in self._store.all(name, limit):
            # Written down, and not yet given to the engine: at this moment, or where a crash came between.
            with suppress(UnknownName):
                found.append((begun, await self._status(begun.id)))
        return found

    async def history(self, id: str) -> list[Event]:
        """All that happened to a workflow, oldest first. Raises UnknownName: there is none."""
        begun, status = self._store.get(id), await self._engine.status(id)
        return history(begun, status, await self._steps(status), self._store.noted(id))

    async def follow(self, id: str, within: float, report: Report | None = None) -> Standing:
        """Where a workflow stands once it has ended, or after so many seconds."""
        self._store.get(id)
        began = time.monotonic()
        seen = -1
        while True:
            status = await self._status(id)
            if report and (count := len(await self._engine.steps(id))) != seen:
                seen = count
                await report(await self.get(id))
            waited = time.monotonic() - began
            if status.state not in UNENDED or waited > within:
                return await self.get(id)
            await anyio.sleep(min(pause(waited, FOLLOW_SECONDS), max(within - waited, 0.01)))

    async def decide(self, id: str, step: str, comment: str, *, approved: bool) -> None:
        """Answer a workflow that waits for an approval. The first answer counts. Raises as `signal` does."""
        said = {"approved": approved, "comment": comment}
        await self._say(id, step, APPROVAL, said, APPROVED if approved else REJECTED)

    def decided(self, id: str) -> set[str]:
        """The steps of a workflow whose approvals were answered, whether they have gone on yet or not."""
        return {note.step for note in self._store.noted(id) if note.kind in (APPROVED, REJECTED)}

    async def signal(self, id: str, step: str, message: Any) -> None:
        """Give a workflow the message that one of its steps waits for.

        Args:
            step: which one, as its status has it; empty where it waits for one only.

        Raises:
            UnknownName: there is no such workflow, or it does not wait at that step.
            InvalidArgument: it waits for several, and none is named; or for none.
        """
        await self._say(id, step, SIGNAL, {"message": message}, "signalled")

    async def cancel(self, id: str, *, undo: bool = True) -> Standing:
        """Stop a workflow, with all that belongs to it; the runs of its agents too.

        Args:
            undo: take back what was done, of steps that say how; it is waited for a while.
        """
        self._store.get(id)
        if (await self._engine.status(id)).state in UNENDED:
            runs = await self._open_runs(id)
            await self._engine.cancel(id)
            self._store.note(id, "cancelled", now())
            self._post.put([progress(workflow(id), {"state": "cancelled"})])
            for run in runs:
                await self._actions.stop(run)
            if undo and await self._has_undos(id):
                below = [
                    other.id
                    for other in reversed(await self._engine.below(id))
                    if other.workflow in (WORKFLOW, BODY) and other.state == "cancelled"
                ]
                await self._engine.start(UNDO, id, below, id=f"{id}{TAKEN_BACK}")
                await self._engine.wait(f"{id}{TAKEN_BACK}", UNDO_SECONDS)
        return await self.get(id)

    async def _has_undos(self, id: str) -> bool:
        """Whether a step of a workflow says how it is taken back."""
        (plan,) = await self._engine.arguments(id)
        definitions = map(Definition.model_validate, [plan["definition"], *plan["uses"].values()])
        return any(step.undo for definition in definitions for step in definition.walk())

    async def _undoing(self, id: str) -> Status | None:
        """How the taking back of a cancelled workflow goes; None where there is none."""
        try:
            return await self._engine.status(f"{id}{TAKEN_BACK}")
        except UnknownName:
            return None

    async def _steps(self, status: Status) -> list[Step]:
        """The steps of a workflow, and those that took them back when it was cancelled."""
        steps = await self._engine.steps(status.id)
        if status.state == "cancelled":
            taken = await self._engine.steps(f"{status.id}{TAKEN_BACK}")
            steps += [step for step in taken if step.name.endswith(f" {UNDO}")]
        return steps

    async def resume(self, id: str) -> str:
        """Go on with a workflow that was cancelled or has failed. One that has failed, or was taken back,
        goes on as another, which keeps what was done well. Returns the id of the one that goes on.

        Raises:
            IllegalMove: it goes on anyway, is done, or is being taken back.
        """
        standing = await self.get(id)
        undoing = await self._undoing(id)
        if undoing is not None and undoing.state in UNENDED:
            cure = f'Wait until that has ended: workflow_status(workflow="{id}")'
            raise IllegalMove(f"Workflow {id}", "being taken back", "resumed", cure)
        if standing.state == "cancelled" and undoing is None:
            self._store.go_on(id)
            await self._engine.resume(id)
            self._store.note(id, "resumed", now())
            self._post.put([progress(workflow(id), {"state": "running"})])
            return id
        if standing.state not in ("failed", "cancelled"):
            cure = f'To do a part of it again: fork_from(workflow="{id}", step=…)'
            raise IllegalMove(f"Workflow {id}", standing.state, "resumed", cure)
        done = [node.name for node in standing.steps if node.state == "done" and not node.is_undone]
        return await self._again(id, done)

    async def fork(self, id: str, step: str, *, newest: bool = False, inputs: Mapping[str, Any]) -> str:
        """Begin another workflow that keeps what one did before a step, and does that step, and those after
        it, again. Returns its id.

        Args:
            newest: by the newest version of its definition.
            inputs: other ones than it had.

        Raises:
            UnknownName: it has no such step.
        """
        begun = self._store.get(id)
        version, definition = self.library.get(begun.name, None if newest else begun.version)
        if step not in definition.steps:
            raise UnknownName("step", step, definition.steps)
        graph = Graph(definition.steps)
        again = {step}
        for name in graph.order:
            if again & set(graph.before[name]):
                again.add(name)
        done = [node.name for node in (await self.get(id)).steps if node.state in ("done", "skipped")]
        return await self._again(id, [name for name in done if name not in again], version, inputs)

    async def queue(self) -> QueueStatus:
        """What waits to be begun, and who is at work."""
        return await self._engine.queue_status()

    async def _say(self, id: str, step: str, what: str, said: dict[str, Any], kind: str) -> None:
        self._store.get(id)
        waiting = [
            below.id.removeprefix(f"{id}/")
            for below in await self._engine.below(id)
            if below.workflow == what and below.state in UNENDED
        ]
        if not waiting:
            article = "an" if what == APPROVAL else "a"
            cure = f'See where it stands: workflow_status(workflow="{id}").'
            raise InvalidArgument("workflow", f'"{id}" waits for {article} {what} nowhere', cure)
        if not step and len(waiting) > 1:
            raise InvalidArgument("step", f"it waits at {' and '.join(sorted(waiting))}", "Name one of them.")
        if step and step not in waiting:
            raise UnknownName("step that waits", step, waiting)
        name = step or waiting[0]
        await self._engine.signal(f"{id}/{name}", SAID, said, key=f"{id}/{name}")
        self._store.note(id, kind, now(), name, said)

    async def _status(self, id: str) -> Status:
        status = await self._engine.status(id)
        if status.state not in UNENDED:
            self._store.end(id)
        return status

    async def _again(
        self,
        id: str,
        done: Sequence[str],
        version: int | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> str:
        begun = self._store.get(id)
        results = {event.step: event.data for event in await self.history(id) if event.kind == STEP}
        return await self.begin(
            begun.name,
            {**begun.inputs, **(inputs or {})},
            version=begun.version if version is None else version,
            kept={name: results[name] for name in done},
            origin=id,
        )

    async def _open_runs(self, id: str) -> list[str]:
        """The runs of agents that a workflow waits for."""
        found = []
        for at in [id, *(below.id for below in await self._engine.below(id))]:
            steps = {step.name: step for step in await self._engine.steps(at)}
            for name, step in steps.items():
                head, _, part = name.partition(" ")
                if part == BEGIN and head not in steps and "run" in (step.result or {}):
                    found.append(str(step.result["run"]))
        return found

    async def _look_at_tools(self, definitions: Sequence[Definition]) -> None:
        """Raises UnknownName: a tool that is named there is not."""
        tools = {tool for definition in definitions for tool in definition.tools}
        tools |= {f"{FACTORY}run_agent" for definition in definitions if definition.has_agents}
        if not tools:
            return
        if self._peers is None:
            why = "uses other servers, and this one stands alone"
            raise InvalidArgument("workflow", why, "Run it behind pygent serve or pygent up.")
        known = [str(tool["name"]) for tool in await self._peers.list_tools()]
        for tool in sorted(tools):
            if tool not in known:
                raise UnknownName("tool", tool, known, "See them: pygent list.")


def _dumped(definition: Definition) -> dict[str, Any]:
    return definition.model_dump(mode="json", by_alias=True, exclude_unset=True)
