"""The durable engine of a process: DBOS behind a small interface, and this the only module that knows it.

What DBOS leaves to its users is done here: an id of its own for every process, held by a lock; the work of
processes that died taken over; state as JSON; a version that does not change with every edit of the source.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import anyio
import anyio.to_thread

from pygent_shared.durable.executor import Executor, FileExecutor, PostgresExecutor
from pygent_shared.errors import MissingExtra, UnknownName

if TYPE_CHECKING:
    from dbos import DBOS

log = logging.getLogger(__name__)

RECOVERY_SECONDS = 2.0
"""How often dead processes are looked for."""
SOONEST_SECONDS = 0.002
LATEST_SECONDS = 0.05
"""Between two looks at a workflow that is waited for: often at first, as most end soon."""

Workflow = Callable[..., Awaitable[Any]]
State = Literal["waiting", "running", "done", "failed", "cancelled"]

_STATES: dict[str, State] = {
    "ENQUEUED": "waiting",
    "DELAYED": "waiting",
    "PENDING": "running",
    "SUCCESS": "done",
    "ERROR": "failed",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
    "CANCELLED": "cancelled",
}


@dataclass(frozen=True, kw_only=True)
class Status:
    """Where a workflow stands. `error` says why it failed; `executor` is the process last at work on it."""

    id: str
    workflow: str
    state: State
    result: Any = None
    error: str = ""
    executor: str = ""
    started: datetime
    changed: datetime


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step that was done, and what it gave."""

    number: int
    name: str
    result: Any = None
    error: str = ""


class Engine:
    """Runs workflows. There is one in a process.

    Args:
        store: a SQLite file, or the URL of a PostgreSQL database.
        version: of the workflows. Those that began under another are left to the processes that have it.
    """

    def __init__(self, store: Path | str, *, version: str = "1") -> None:
        self._store = store
        self._version = version
        self._workflows: dict[str, Workflow] = {}
        self._registered: dict[str, Any] = {}
        self._executor: Executor | None = None
        self._dbos: type[DBOS] | None = None
        self._home: asyncio.AbstractEventLoop | None = None

    def workflow(self, name: str, function: Workflow) -> None:
        """Let a coroutine function be started under a name. Its arguments and result are fit for JSON."""

        async def run(*arguments: Any) -> Any:  # methods are welcome too, which the engine does not take
            if self._home is None or self._home is asyncio.get_running_loop():
                return await function(*arguments)
            # DBOS goes on with what it takes over in a loop of its own, where nothing of ours is at home. The
            # context goes along.
            done = asyncio.run_coroutine_threadsafe(_awaited(function, arguments), self._home)
            return await asyncio.wrap_future(done)

        self._workflows[name] = run
        if self._dbos is not None:
            self._registered[name] = self._dbos.workflow(name=name)(run)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be at work inside: what this store was left with by processes that died goes on.

        Raises:
            MissingExtra: the engine is not installed.
        """
        self._home = asyncio.get_running_loop()
        executor = await anyio.to_thread.run_sync(self._launch)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._take_over)
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._end, executor)

    async def start(self, name: str, *arguments: Any, id: str = "") -> str:
        """Begin a workflow, or do nothing where one of this id has begun. Returns its id."""
        from dbos import SetWorkflowID

        workflow = self._named(name)
        with SetWorkflowID(id or uuid4().hex):
            handle = await self._engine.start_workflow_async(workflow, *arguments)
        return handle.workflow_id

    async def status(self, id: str) -> Status:
        """Where a workflow stands.

        Raises:
            UnknownName: there is none of this id.
        """
        found = await self._engine.get_workflow_status_async(id)
        if found is None:
            raise UnknownName("workflow", id, ())
        return Status(
            id=id,
            workflow=found.name,
            state=_STATES[found.status],
            result=found.output,
            error=str(found.error or ""),
            executor=found.executor_id or "",
            started=_time(found.created_at),
            changed=_time(found.updated_at),
        )

    async def wait(self, id: str, within: float) -> Status:
        """Where a workflow stands once it has ended, or after so many seconds. Raises as `status` does."""
        began = time.monotonic()
        while (status := await self.status(id)).state in ("waiting", "running"):
            if (waited := time.monotonic() - began) > within:
                break
            await anyio.sleep(pause(waited))
        return status

    async def steps(self, id: str) -> list[Step]:
        """The steps a workflow has done, in order."""
        return [
            Step(
                number=step["function_id"],
                name=step["function_name"],
                result=step["output"],
                error=str(step["error"] or ""),
            )
            for step in await self._engine.list_workflow_steps_async(id)
        ]

    async def signal(self, id: str, topic: str, message: Any, *, key: str = "") -> None:
        """Send a workflow a message; two of one key are one message."""
        await self._engine.send_async(id, message, topic, idempotency_key=key or None)

    async def seen(self, id: str, key: str, within: float) -> Any:
        """What a workflow published under a key; None where it has not, after so many seconds."""
        return await self._engine.get_event_async(id, key, timeout_seconds=within)

    async def stream(self, id: str, name: str, *, after: int = 0) -> AsyncIterator[Any]:
        """What a workflow emits, from the value of a number on, until it ends."""
        async for value in self._engine.read_stream_async(id, name, offset=after):
            yield value

    async def cancel(self, id: str) -> None:
        """Stop a workflow, and those it started: the step each is at ends within a second."""
        await self._engine.cancel_workflow_async(id, cancel_children=True)

    async def resume(self, id: str) -> None:
        """Go on with a workflow that was cancelled or has failed, after the last step that was done."""
        await self._engine.resume_workflows_async([id])

    async def fork(self, id: str, step: int) -> str:
        """Begin a new workflow that shares the steps of another up to one. Returns its id."""
        handle = await self._engine.fork_workflow_async(id, step)
        return handle.workflow_id

    async def recover(self) -> Sequence[str]:
        """Take over what processes that died were at, as is done every two seconds. Returns their ids."""
        assert self._executor is not None
        pending = await self._engine.list_workflows_async(
            status="PENDING", load_input=False, load_output=False, app_version=self._version
        )
        others = {work.executor_id for work in pending if work.executor_id} - {self._executor.id}
        dead = [id for id in sorted(others) if await anyio.to_thread.run_sync(self._executor.is_dead, id)]
        if dead:
            log.warning("Going on with what %d ended process(es) left unfinished", len(dead))
            # Private, but with a check of the owner that the public way to resume lacks.
            await anyio.to_thread.run_sync(self._engine._recover_pending_workflows, dead)
        return dead

    @property
    def _engine(self) -> type[DBOS]:
        assert self._dbos is not None, "the engine is not running"
        return self._dbos

    def _named(self, name: str) -> Any:
        if name not in self._registered:
            raise UnknownName("workflow", name, self._registered)
        return self._registered[name]

    async def _take_over(self) -> None:
        while True:
            await self.recover()
            await anyio.sleep(RECOVERY_SECONDS)

    def _launch(self) -> Executor:
        try:
            from dbos import DBOS, DBOSConfig

            from pygent_shared.durable.storage import Json, sqlite
        except ImportError as error:
            raise MissingExtra("durable workflows", "agents") from error
        config: DBOSConfig = {
            "name": "pygent",
            "application_version": self._version,
            "log_level": "ERROR",
            "serializer": Json(),
            "notification_listener_polling_interval_sec": LATEST_SECONDS,
        }
        if isinstance(self._store, Path):
            files = FileExecutor(self._store.parent / "executors")
            files.tidy()
            self._executor = files
            config["system_database_engine"] = sqlite(self._store)
            config["system_database_url"] = f"sqlite:///{self._store}"
        else:
            self._executor = PostgresExecutor(self._store)
            config["system_database_url"] = self._store
        config["executor_id"] = self._executor.id
        DBOS(config=config)
        self._dbos = DBOS
        for name, function in self._workflows.items():
            self._registered[name] = DBOS.workflow(name=name)(function)
        DBOS.launch()
        return self._executor

    def _end(self, executor: Executor) -> None:
        self._engine.destroy(destroy_registry=True)
        self._dbos, self._executor = None, None
        self._registered.clear()
        executor.close()


async def _awaited(function: Workflow, arguments: Sequence[Any]) -> Any:
    return await function(*arguments)


def pause(waited: float) -> float:
    """How long to wait before the next look, after so many seconds."""
    return min(max(waited / 5, SOONEST_SECONDS), LATEST_SECONDS)


def _time(milliseconds: int | None) -> datetime:
    return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC)
