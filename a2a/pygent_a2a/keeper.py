"""What goes on beside the requests: a replica says that it lives, takes over what dead ones left, ends what
others ended, and lets go of what is old."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread

from pygent_a2a.handler import TaskHandler
from pygent_a2a.leases import Held, Leases
from pygent_a2a.retention import Retention
from pygent_a2a.store import run
from pygent_a2a.tasks import agent_of

log = logging.getLogger(__name__)

SWEEP_SECONDS = 3600.0

HandlerOf = Callable[[str], Awaitable[TaskHandler | None]]
"""Finds what answers for an agent, by its name."""


class Keeper:
    """Keeps one replica's part of the store in order, while `run` runs.

    Args:
        leases: this replica's.
        handler_of: what answers for an agent; None where it is not served here, and its tasks are left alone.
        retention: how long what has ended is kept.
        seconds: between two beats; several must fit into a lease.
    """

    def __init__(
        self, leases: Leases, handler_of: HandlerOf, retention: Retention, *, seconds: float = 1.0
    ) -> None:
        self._leases, self._handler_of, self._retention = leases, handler_of, retention
        self._seconds = seconds
        self._engine = leases.engine

    async def run(self) -> None:
        """Ends by being cancelled, and lets others have what is worked on here then."""
        await run(self._engine, self._leases.begin)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._repeat, self._seconds, self.look)
                tasks.start_soon(self._repeat, SWEEP_SECONDS, self.sweep)
                tasks.start_soon(self._repeat, self._seconds, self._flush)
        finally:
            with anyio.CancelScope(shield=True):
                await run(self._engine, self._leases.end)
                await self._flush()

    async def look(self) -> None:
        """Say that this replica lives, and see to the others' tasks once."""
        await run(self._engine, self._leases.beat)
        for held in await run(self._engine, self._leases.ended_elsewhere):
            await self._stop(held)
        for orphan in await run(self._engine, self._leases.orphans):
            await self._take_over(orphan)

    async def sweep(self) -> None:
        """Let go of what is old."""
        await run(self._engine, self._leases.tidy)
        await self._retention.sweep()

    async def _flush(self) -> None:
        await anyio.to_thread.run_sync(self._engine.flush)

    async def _stop(self, held: Held) -> None:
        if handler := await self._handler_of(agent_of(held.owner)[0]):
            await handler.stop(held.owner, held.id)
        await run(self._engine, self._leases.release, held)

    async def _take_over(self, orphan: Held) -> None:
        agent, _ = agent_of(orphan.owner)
        handler = await self._handler_of(agent)
        if handler is None or not await run(self._engine, self._leases.adopt, orphan):
            return
        log.warning("Task %s of agent %r was left by a server that ended; it goes on here", orphan.id, agent)
        await handler.resume(orphan.owner, orphan.id)

    async def _repeat(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("What goes on beside the requests failed; it is tried again in %g s", seconds)
            await anyio.sleep(seconds)
