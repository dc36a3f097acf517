"""The durable engine of a server: DBOS behind a small interface; only this package knows it.

What DBOS leaves to its users is done here: an id of its own for every process, held by a lock; the work of
processes that died taken over by those that know it; state as JSON; versions that do not change with every
edit of the source; all of a server's workflows in the event loop of that server.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import anyio
from anyio.to_thread import run_sync

from pygent_shared import traces
from pygent_shared.durable.process import Bell, Process, join, leave
from pygent_shared.durable.status import UNENDED, Status, Step, done, stands
from pygent_shared.errors import UnknownName

if TYPE_CHECKING:
    from dbos import DBOS

    from pygent_shared.durable.schedules import Schedule

log = logging.getLogger(__name__)

RECOVERY_SECONDS = 2.0
"""How often dead processes are looked for."""
SOONEST_SECONDS = 0.002
LATEST_SECONDS = 0.05
"""Between two looks at a workflow that is waited for: often at first, as most end soon."""
HERE_SECONDS = 1.0
"""And at one that runs in this process: its end is told, but for what others do to it."""
QUEUE_SECONDS = 0.5
"""Between two looks at the queue, unless this process puts something into it, or has room again."""
WRITTEN_SECONDS = 0.02
"""After the end of a workflow: its result is written down, and its place free."""
AGAIN_SECONDS = 1.0
"""And for what goes on: was taken over, resumed or forked, or is begun by the clock."""
FIRST_VERSION = "1"

Workflow = Callable[..., Awaitable[Any]]
Given = TypeVar("Given")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How many workflows of a queue run at once: in each process, and in all together; None is any number."""

    each: int | None = None
    all: int | None = None


@dataclass(frozen=True, kw_only=True)
class QueueStatus:
    """What waits in a queue, and which process is at how many of what it has taken from it."""

    waiting: int
    running: dict[str, int]


class Engine:
    """Runs workflows. A process may have several, for different workflows, on one store.

    Args:
        store: a SQLite file, or the URL of a PostgreSQL database.
        version: of the workflows. Those that began under another are left to the processes that have it.
        name: of the engine: processes with one of this name share its queue, and take over from each other.
        limits: of what is put in the queue; what is started past it, taken over or resumed is not counted.
            None: it has no queue.
    """

    def __init__(
        self,
        store: Path | str,
        *,
        version: str = FIRST_VERSION,
        name: str = "pygent",
        limits: Limits | None = None,
    ) -> None:
        self._store = store
        self._version = version
        self._queue = name
        self._own_queue = f"{name}-again"
        self._limits = limits
        self._workflows: dict[str, Workflow] = {}
        self._registered: dict[str, Any] = {}
        self._process: Process | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._bell = Bell()
        self._at_work: dict[str, asyncio.Event] = {}
        """Of each workflow that runs here, what tells of its end."""

    def workflow(self, name: str, function: Workflow) -> None:
        """Let a coroutine function be started under a name. Its arguments and result are fit for JSON."""

        async def run(*arguments: Any) -> Any:  # methods are welcome too, which the engine does not take
            return await self._at_home(function, arguments)

        self._workflows[name] = run
        if self._process is not None:
            self._registered[name] = self._process.dbos.workflow(name=self._versioned(name))(run)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be at work inside: what this store was left with by processes that died goes on.

        Raises:
            MissingExtra: the engine is not installed.
            NotAllowed: this process is at work on another store.
        """
        self._loop = asyncio.get_running_loop()
        process = self._process = await self._joined()
        stop, again = self._bell, Bell()
        stop.clear()
        listeners: Sequence[threading.Thread] = ()
        try:
            for name, function in self._workflows.items():
                self._registered[name] = process.dbos.workflow(name=self._versioned(name))(function)
            listeners = await run_sync(self._listen, again)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._take_over)
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                stop.set()
                again.set()
                for listener in listeners:
                    await run_sync(listener.join)
                await self._interrupt()
                self._process = None
                self._registered.clear()
                await run_sync(leave, process)

    async def start(self, name: str, *arguments: Any, id: str = "") -> str:
        """Begin a workflow here and now, or do nothing where one of this id has begun. Returns its id.

        Asked in a workflow's step, it is no child of that one, but for its id: see `cancel`.
        """
        from dbos import SetWorkflowID

        workflow = self._named(name)

        async def begin() -> str:
            with SetWorkflowID(id or uuid4().hex):
                handle = await self._dbos.start_workflow_async(workflow, *arguments)
            return str(handle.workflow_id)

        return await self._outside(begin())

    async def enqueue(self, name: str, *arguments: Any, id: str = "") -> str:
        """Have a workflow begun by whichever process with this engine has room for it, or do nothing where
        one of this id was. Returns its id."""
        from dbos import SetWorkflowID

        assert self._limits is not None, "the engine has no queue"
        workflow = self._named(name)

        async def put() -> str:
            with SetWorkflowID(id or uuid4().hex):
                handle = await self._dbos.enqueue_workflow_async(self._queue, workflow, *arguments)
            return str(handle.workflow_id)

        put_in = await self._outside(put())
        self._bell.ring()
        return put_in

    async def queue_status(self) -> QueueStatus:
        """What the queue holds, and who is at work on it."""
        found = await self._outside(
            self._dbos.list_workflows_async(
                queue_name=self._queue, status=["ENQUEUED", "PENDING"], load_input=False, load_output=False
            )
        )
        running = Counter(item.executor_id or "" for item in found if item.status == "PENDING")
        return QueueStatus(waiting=len(found) - running.total(), running=dict(running))

    async def status(self, id: str) -> Status:
        """Where a workflow stands.

        Raises:
            UnknownName: there is none of this id.
        """
        listed = self._dbos.list_workflows_async(workflow_ids=[id], load_input=False)
        if not (found := await self._outside(listed)):
            raise UnknownName("workflow", id, ())
        return stands(found[0])

    async def below(self, id: str) -> list[Status]:
        """The workflows whose ids begin with this one and a slash: they belong to it."""
        found = self._dbos.list_workflows_async(workflow_id_prefix=f"{id}/", load_input=False)
        return [stands(item) for item in await self._outside(found)]

    async def wait(self, id: str, within: float, *, latest: float = LATEST_SECONDS) -> Status:
        """Where a workflow stands once it has ended, or after so many seconds. Raises as `status` does.

        Args:
            latest: seconds between two looks, once it has taken long.
        """
        since = time.monotonic()
        end = since + within
        while (status := await self.status(id)).state in UNENDED and (now := time.monotonic()) <= end:
            if at_work := self._at_work.get(id):
                with anyio.move_on_after(min(end - now, HERE_SECONDS)):
                    await at_work.wait()
                    since = time.monotonic()  # what it gave is written down in an instant
            await anyio.sleep(pause(time.monotonic() - since, latest))
        return status

    async def steps(self, id: str) -> list[Step]:
        """The steps a workflow has done, in order."""
        return [done(step) for step in await self._dbos.list_workflow_steps_async(id)]

    async def arguments(self, id: str) -> list[Any]:
        """What a workflow was begun with.

        Raises:
            UnknownName: there is none of this id.
        """
        listed = self._dbos.list_workflows_async(workflow_ids=[id], load_output=False)
        if not (found := await self._outside(listed)):
            raise UnknownName("workflow", id, ())
        given: Any = found[0].input
        return list(given["args"])

    async def signal(self, id: str, topic: str, message: Any, *, key: str = "") -> None:
        """Send a workflow a message; two of one key are one message."""
        await self._dbos.send_async(id, message, topic, idempotency_key=key or None)

    async def seen(self, id: str, key: str, within: float) -> Any:
        """What a workflow published under a key; None where it has not, after so many seconds."""
        return await self._dbos.get_event_async(id, key, timeout_seconds=within)

    async def stream(self, id: str, name: str, *, after: int = 0) -> AsyncIterator[Any]:
        """What a workflow emits, from the value of a number on, until it ends."""
        async for value in self._dbos.read_stream_async(id, name, offset=after):
            yield value

    async def cancel(self, id: str) -> None:
        """Stop a workflow, those it started, and those below it: the step each is at ends within a second, or
        by itself where it is not to be stopped in the middle.
        """
        await self._dbos.cancel_workflow_async(id, cancel_children=True)
        if below := [status.id for status in await self.below(id) if status.state in UNENDED]:
            await self._dbos.cancel_workflows_async(below)

    async def resume(self, id: str) -> None:
        """Go on with a workflow that was cancelled, and those below it, after the last step that was done.
        One that has failed or is done stays so."""
        below = [status.id for status in await self.below(id) if status.state == "cancelled"]
        await self._dbos.resume_workflows_async([id, *below], queue_name=self._own_queue)

    async def fork(self, id: str, step: int) -> str:
        """Begin a new workflow that shares the steps of another up to one. Returns its id."""
        handle = await self._dbos.fork_workflow_async(id, step, queue_name=self._own_queue)
        return handle.workflow_id

    async def schedule(self, name: str, workflow: str, cron: str, zone: str, argument: Any) -> None:
        """Begin a workflow by the clock: with the time, as ISO 8601 has it, and an argument.

        Args:
            name: of the schedule; one of this name is replaced.
            cron: five fields, or six with seconds before them.
            zone: IANA's name of the time zone it is meant in.

        Raises:
            InvalidArgument: the expression or the time zone is none.
            UnknownName: there is no such workflow.
        """
        from pygent_shared.durable.schedules import checked

        checked(cron, zone)
        function = self._named(workflow)

        def put() -> None:
            self._dbos.delete_schedule(name)
            self._dbos.create_schedule(
                schedule_name=name,
                workflow_fn=function,
                schedule=cron,
                context=argument,
                cron_timezone=zone,
                queue_name=self._own_queue,
            )

        await run_sync(put)

    async def unschedule(self, name: str) -> None:
        """Take a schedule away; what it has begun goes on."""
        await run_sync(self._dbos.delete_schedule, name)

    async def pause_schedule(self, name: str, *, paused: bool) -> None:
        """Have a schedule begin nothing for a while, or go on. The times it missed are not made up for."""
        await run_sync(self._dbos.pause_schedule if paused else self._dbos.resume_schedule, name)

    async def schedules(self) -> list[Schedule]:
        """The schedules of this engine's workflows, by name."""
        from pygent_shared.durable.schedules import read

        mine = {self._versioned(name): name for name in self._workflows}
        rows = await run_sync(self._dbos.list_schedules)
        found = [row for row in rows if row["workflow_name"] in mine]
        now = datetime.now(UTC)
        return [
            read(row, mine[row["workflow_name"]], now, await self._failed(row))
            for row in sorted(found, key=lambda row: row["schedule_name"])
        ]

    async def _failed(self, row: Mapping[str, Any]) -> str:
        """Why what a schedule began last has failed; empty where it has not."""
        if not (last := row["last_fired_at"]):
            return ""
        begun = await self._outside(
            self._dbos.list_workflows_async(
                schedule_name=row["schedule_name"], start_time=last, sort_desc=True, limit=1, load_input=False
            )
        )
        return str(begun[0].error or "") if begun else ""

    async def recover(self) -> Sequence[str]:
        """Take over what processes that died were at, as is done every two seconds. Returns their ids."""
        assert self._process is not None
        executor = self._process.executor
        pending = await self._dbos.list_workflows_async(
            status="PENDING",
            load_input=False,
            load_output=False,
            name=list(map(self._versioned, self._workflows)),
        )
        others = {work.executor_id for work in pending if work.executor_id} - {executor.id}
        dead = [id for id in sorted(others) if await run_sync(executor.is_dead, id)]
        if dead:
            log.warning("Going on with what %d ended process(es) left unfinished", len(dead))
            left = [work.workflow_id for work in pending if work.executor_id in dead]
            await run_sync(self._process.requeue, left, dead, self._own_queue)
        return dead

    @property
    def executor(self) -> str:
        """The id of this process among those on the store; empty while it is not at work."""
        return self._process.executor.id if self._process else ""

    @property
    def at_work(self) -> int:
        """How many workflows run here."""
        return len(self._at_work)

    @property
    def _dbos(self) -> type[DBOS]:
        assert self._process is not None, "the engine is not running"
        return self._process.dbos

    def _named(self, name: str) -> Any:
        if name not in self._registered:
            raise UnknownName("workflow", name, self._registered)
        return self._registered[name]

    def _versioned(self, name: str) -> str:
        return name if self._version == FIRST_VERSION else f"{name}@{self._version}"

    async def _at_home(self, function: Workflow, arguments: Sequence[Any]) -> Any:
        """Run a workflow in the loop the engine runs in: what comes from a queue is started in another."""
        assert self._loop is not None

        async def here() -> Any:
            assert self._loop is not None
            task, id = asyncio.current_task(), self._dbos.workflow_id or ""
            assert task is not None
            self._tasks.add(task)
            ended = self._at_work.setdefault(id, asyncio.Event())
            try:
                return await function(*arguments)
            finally:
                self._tasks.discard(task)
                self._at_work.pop(id, None)
                ended.set()
                self._loop.call_later(WRITTEN_SECONDS, self._bell.ring)

        if asyncio.get_running_loop() is self._loop:
            return await here()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(here(), self._loop))

    async def _outside(self, work: Coroutine[Any, Any, Given]) -> Given:
        """Do something as nobody's step, for nobody; only the trace goes along."""
        return await asyncio.get_running_loop().create_task(work, context=traces.alone())

    async def _interrupt(self) -> None:
        """End the workflows at work here, as a crash would, but for what they clean up."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _joined(self) -> Process:
        """Join the process's work; one that was begun is left again where this is cancelled meanwhile."""
        joining = asyncio.ensure_future(run_sync(join, self._store))
        try:
            return await asyncio.shield(joining)
        except asyncio.CancelledError:
            await run_sync(leave, await joining)
            raise

    def _listen(self, again: Bell) -> list[threading.Thread]:
        """Take workflows from the queues until told to stop."""
        assert self._process is not None
        listeners = [self._process.listen(self._own_queue, AGAIN_SECONDS, again)]
        if self._limits is not None:
            each, all = self._limits.each, self._limits.all
            listeners.append(self._process.listen(self._queue, QUEUE_SECONDS, self._bell, each=each, all=all))
        return listeners

    async def _take_over(self) -> None:
        while True:
            await self.recover()
            await anyio.sleep(RECOVERY_SECONDS)


def pause(waited: float, latest: float = LATEST_SECONDS) -> float:
    """How long to wait before the next look, after so many seconds."""
    return min(max(waited / 5, SOONEST_SECONDS), latest)
