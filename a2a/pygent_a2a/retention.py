"""How long tasks are kept: those that have ended for some days, and those that wait for a caller who does
not come for some others; those are ended then, with the reason, and kept as what has ended."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from a2a.server.cluster.task_store import ConcurrentTaskModificationError
from a2a.types.a2a_pb2 import Message, Part, Role, TaskState, TaskStatus, TaskStatusUpdateEvent

from pygent_a2a.identity import acting_for
from pygent_a2a.store import TERMINAL, Engine, listed, remove_all, run
from pygent_a2a.tasks import Tasks, agent_of, owned_through

log = logging.getLogger(__name__)

DAY = 86_400.0
PARKED = (TaskState.TASK_STATE_INPUT_REQUIRED, TaskState.TASK_STATE_AUTH_REQUIRED)
MOST = 500
"""How many are let go in one transaction."""


class Retention:
    """What is let go, and when.

    Args:
        ended: days that a task is kept after its end; 0 keeps it for ever.
        parked: days that a task waits for its caller; 0 lets it wait for ever.
    """

    def __init__(self, engine: Engine, *, ended: float, parked: float, replica: str = "") -> None:
        self._engine, self._ended, self._parked, self._replica = engine, ended, parked, replica

    async def sweep(self) -> None:
        """Let go of what is old now."""
        if self._parked:
            for owner, id in await run(self._engine, self._overdue):
                await self._end(owner, id)
        if self._ended:
            while gone := await run(self._engine, self._let_go):
                log.info("Let go of %d tasks that ended over %g days ago", gone, self._ended)

    def _overdue(self) -> list[tuple[str, str]]:
        rows = self._engine.query(
            f"SELECT owner, id FROM a2a_task WHERE state IN ({listed(PARKED)}) AND since < ?",
            (self._engine.now() - self._parked * DAY,),
        )
        return [(owner, id) for owner, id in rows]

    async def _end(self, owner: str, id: str) -> None:
        agent, caller = agent_of(owner)
        tasks, context = Tasks(self._engine, owned_through(agent), self._replica), acting_for(caller)
        found = await tasks.get(id, context)
        if found is None or found.task.status.state not in PARKED:
            return
        task = found.task
        text = f"Nobody answered within {self._parked:g} days."
        message = Message(
            message_id=f"{id}-overdue",
            role=Role.ROLE_AGENT,
            task_id=id,
            context_id=task.context_id,
            parts=[Part(text=text)],
        )
        status = TaskStatus(state=TaskState.TASK_STATE_FAILED, message=message)
        status.timestamp.FromDatetime(datetime.now(UTC))
        task.history.append(task.status.message)
        task.status.CopyFrom(status)
        event = TaskStatusUpdateEvent(task_id=id, context_id=task.context_id, status=status)
        try:
            await tasks.save(task, event=event, prev=None, prev_version=found.version, context=context)
        except ConcurrentTaskModificationError:
            log.debug("Task %s was answered after all", id)

    def _let_go(self) -> int:
        with self._engine.writing() as execute:
            gone = execute(
                "DELETE FROM a2a_task WHERE id IN"
                f" (SELECT id FROM a2a_task WHERE state IN ({listed(TERMINAL)}) AND since < ? LIMIT ?)"
                " RETURNING id",
                (self._engine.now() - self._ended * DAY, MOST),
            )
            for (id,) in gone:
                remove_all(execute, id)
        return len(gone)
