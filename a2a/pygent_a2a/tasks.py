"""The stores the SDK asks for, on ours: tasks with versions, the stream of their events, and push targets.

The one rule: whose a task is, is the agent's name and the caller's, so neither another caller nor another
agent of the same database ever meets it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

from a2a.server.cluster.event_stream import TaskEventStream, VersionedEvent
from a2a.server.cluster.task_store import (
    ConcurrentTaskModificationError,
    StoredTask,
    VersionedTaskStore,
)
from a2a.server.cluster.version import TaskVersion
from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event
from a2a.server.tasks.push_notification_config_store import (
    PushNotificationConfigStore,
    normalize_push_notification_config,
)
from a2a.server.tasks.task_manager import append_artifact_to_task
from a2a.types.a2a_pb2 import (
    ListTasksRequest,
    ListTasksResponse,
    Message,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.constants import DEFAULT_LIST_TASKS_PAGE_SIZE
from a2a.utils.errors import InvalidParamsError
from a2a.utils.proto_utils import to_stream_response
from a2a.utils.task import ListTasksCursor, decode_list_tasks_cursor, encode_list_tasks_cursor

from pygent_a2a.leases import Leases
from pygent_a2a.outbox import Outbox
from pygent_a2a.store import TERMINAL, Engine, Kept, Row, Sought, Stale, Store, run

VERSION = "a2a-version"
"""The header in which a client names the protocol's version."""

FOLD = 64
"""A task is written whole at the latest after so many events; what is added to artifacts is logged alone."""

ATTEMPTS = 5
REPEAT_SECONDS = 600.0

OwnerOf = Callable[[ServerCallContext], str]


def owned_through(agent: str) -> OwnerOf:
    """Whose the tasks of an agent are: `agent/caller`."""
    return lambda context: f"{agent}/{context.user.user_name}"


def agent_of(owner: str) -> tuple[str, str]:
    """The agent and the caller that an owner is made of."""
    agent, _, caller = owner.partition("/")
    return agent, caller


class Tasks(VersionedTaskStore):
    """The tasks of one agent.

    Args:
        replica: who works on what is changed here; see `leases`.
    """

    def __init__(self, engine: Engine, owner_of: OwnerOf, replica: str) -> None:
        self._store, self._owner_of, self._replica = Store(engine), owner_of, replica

    async def save(
        self,
        task: Task,
        *,
        event: Event | None,
        prev: Task | None,
        prev_version: TaskVersion,
        context: ServerCallContext,
    ) -> TaskVersion:
        after, force = _number(prev_version), task.status.state == TaskState.TASK_STATE_CANCELED
        for _ in range(ATTEMPTS):
            try:
                return TaskVersion(await self._save(task, event, after, context, force=force))
            except Stale:
                if not force:
                    break
                # To cancel overtakes what happens meanwhile, and keeps it.
                current = await self.get(task.id, context)
                if current is None or current.task.status.state in TERMINAL:
                    break
                current.task.status.CopyFrom(task.status)
                task, after = current.task, _number(current.version)
        raise ConcurrentTaskModificationError(task.id)

    async def _save(
        self, task: Task, event: Event | None, after: int, context: ServerCallContext, *, force: bool
    ) -> int:
        added = isinstance(event, TaskArtifactUpdateEvent) and after > 0 and (after + 1) % FOLD != 0
        if isinstance(event, Task) and after > 0 and task.status.state not in TERMINAL:
            event = None  # only the caller's own message was added: that tells nobody anything
        row = Row(
            id=task.id,
            owner=self._owner_of(context),
            context=task.context_id,
            state=task.status.state,
            updated=_updated(task),
            body=None if added else task.SerializeToString(),
        )
        logged = None if event is None else to_stream_response(event).SerializeToString()
        return await run(
            self._store.engine,
            self._store.save,
            row,
            logged,
            after=after,
            replica=self._replica,
            force=force,
        )

    async def get(self, task_id: str, context: ServerCallContext) -> StoredTask | None:
        kept = await run(self._store.engine, self._store.read, self._owner_of(context), task_id)
        return None if kept is None else StoredTask(_whole(kept), TaskVersion(kept.version))

    async def list(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        size = params.page_size or DEFAULT_LIST_TASKS_PAGE_SIZE
        sought = Sought(
            context=params.context_id or None,
            state=params.status or None,
            since=params.status_timestamp_after.ToNanoseconds()
            if params.HasField("status_timestamp_after")
            else None,
            before=_place(params.page_token),
            most=size + 1,
        )
        found, total = await run(
            self._store.engine,
            self._store.page,
            self._owner_of(context),
            sought,
            whole=params.include_artifacts,
        )
        token = ""
        if len(found) > size:
            last = found[size - 1]
            token = encode_list_tasks_cursor(ListTasksCursor(timestamp_ns=last.updated, task_id=last.id))
        return ListTasksResponse(
            tasks=map(_whole, found[:size]), total_size=total, next_page_token=token, page_size=size
        )

    async def delete(self, task_id: str, context: ServerCallContext) -> None:
        await run(self._store.engine, self._store.remove, self._owner_of(context), task_id)


class Events(TaskEventStream):
    """What happens to tasks, as the log has it: here, and on every other replica.

    Args:
        quickest: seconds between two looks at the log while something happens.
        slowest: seconds between two looks while nothing does.
    """

    def __init__(self, engine: Engine, *, quickest: float = 0.03, slowest: float = 0.4) -> None:
        self._store = Store(engine)
        self._quickest, self._slowest = quickest, slowest
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def publish(self, task_id: str, event: VersionedEvent) -> None:
        """It is in the log already; whoever waits here for it need not look there in vain."""
        for waiting in self._waiting.get(task_id, ()):
            waiting.set()

    async def subscribe(self, task_id: str, *, after: TaskVersion) -> AsyncGenerator[VersionedEvent, None]:
        """The events after a version, until the task has ended."""
        seen, pause, news = _number(after), self._quickest, asyncio.Event()
        self._waiting[task_id].add(news)
        try:
            while True:
                # In this order: an event between the two is in the log of the next round.
                is_open = await run(self._store.engine, self._store.is_open, task_id)
                events = await run(self._store.engine, self._store.events, task_id, seen)
                for version, body in events:
                    seen = version
                    yield VersionedEvent(event=event_of(body), version=TaskVersion(version))
                if events:
                    pause = self._quickest
                    continue
                if not is_open:
                    return
                news.clear()
                try:
                    await asyncio.wait_for(news.wait(), pause)
                except TimeoutError:
                    pause = min(2 * pause, self._slowest)
        finally:
            self._waiting[task_id].discard(news)
            if not self._waiting[task_id]:
                del self._waiting[task_id]

    async def destroy(self, task_id: str) -> None:
        """The log goes when the task does."""


class Targets(PushNotificationConfigStore):
    """Where callers want the events of their tasks pushed to."""

    def __init__(self, engine: Engine, owner_of: OwnerOf) -> None:
        self._outbox, self._owner_of = Outbox(engine), owner_of

    async def set_info(
        self, task_id: str, notification_config: TaskPushNotificationConfig, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        config = normalize_push_notification_config(task_id, notification_config)
        headers = context.state.get("headers", {})
        await run(
            self._outbox.engine,
            self._outbox.aim,
            self._owner_of(context),
            task_id,
            config.id,
            config.SerializeToString(),
            # Who names no version speaks 0.3, by the protocol.
            old="headers" in context.state and str(headers.get(VERSION) or "0").startswith("0"),
        )
        return config

    async def get_info(self, task_id: str, context: ServerCallContext) -> list[TaskPushNotificationConfig]:
        return await self._found(self._owner_of(context), task_id)

    async def get_info_for_dispatch(self, task_id: str) -> list[TaskPushNotificationConfig]:
        return await self._found(None, task_id)

    async def delete_info(
        self, task_id: str, context: ServerCallContext, config_id: str | None = None
    ) -> None:
        await run(self._outbox.engine, self._outbox.remove, self._owner_of(context), task_id, config_id)

    async def _found(self, owner: str | None, task: str) -> list[TaskPushNotificationConfig]:
        bodies = await run(self._outbox.engine, self._outbox.targets, owner, task)
        return [TaskPushNotificationConfig.FromString(body) for body in bodies]


@dataclass(frozen=True, kw_only=True)
class Key:
    """What a message is known by: whose it is, its id, and what it says."""

    owner: str
    id: str
    digest: str


class Sent:
    """The messages of an agent's callers that were taken: one that is sent twice is carried out once.

    Args:
        within: seconds in which it is sent again; after that it is another one.
    """

    def __init__(self, engine: Engine, owner_of: OwnerOf, within: float) -> None:
        self._store, self._owner_of, self._within = Store(engine), owner_of, within

    def key(self, message: Message, context: ServerCallContext) -> Key:
        """To be asked before anything is added to the message."""
        # An id with other words is another message: clients are known that count from one.
        digest = hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()
        return Key(owner=self._owner_of(context), id=message.message_id, digest=digest)

    async def take(self, key: Key, task: str) -> tuple[str, Message | None] | None:
        """Note that a message is taken; its task and what answered it, where it was before."""
        taken = await run(
            self._store.engine, self._store.take, key.owner, key.id, key.digest, task, within=self._within
        )
        if taken is None:
            return None
        return taken.task, None if taken.answer is None else Message.FromString(taken.answer)

    async def answered(self, key: Key, answer: Message) -> None:
        """Keep what answered a message without a task."""
        body = answer.SerializeToString()
        await run(self._store.engine, self._store.answered, key.owner, key.id, key.digest, body)

    async def untake(self, key: Key) -> None:
        """Forget that it was taken: it was refused."""
        await run(self._store.engine, self._store.untake, key.owner, key.id, key.digest)


@dataclass(frozen=True, kw_only=True)
class Keep:
    """All that is kept of one agent."""

    tasks: Tasks
    events: Events
    targets: Targets
    sent: Sent
    leases: Leases


def keep_of(agent: str, leases: Leases, *, repeat: float = REPEAT_SECONDS) -> Keep:
    """All that is kept of an agent, where the leases are kept.

    Args:
        repeat: seconds in which a message that is sent again is taken for the same.
    """
    engine, owner_of = leases.engine, owned_through(agent)
    return Keep(
        tasks=Tasks(engine, owner_of, leases.replica),
        events=Events(engine),
        targets=Targets(engine, owner_of),
        sent=Sent(engine, owner_of, repeat),
        leases=leases,
    )


def event_of(body: bytes) -> Event:
    """An event as it was logged."""
    response = StreamResponse.FromString(body)
    payload: Any = getattr(response, response.WhichOneof("payload") or "task")
    event: Event = payload
    return event


def _whole(kept: Kept) -> Task:
    task = Task.FromString(kept.body)
    for body in kept.later:
        event = event_of(body)
        if isinstance(event, TaskArtifactUpdateEvent):
            append_artifact_to_task(task, event)
    return task


def _number(version: TaskVersion) -> int:
    value = version._value
    assert isinstance(value, int)
    return value


def _updated(task: Task) -> int:
    return task.status.timestamp.ToNanoseconds() if task.status.HasField("timestamp") else 0


def _place(token: str) -> tuple[int, str] | None:
    if not token:
        return None
    cursor = decode_list_tasks_cursor(token)
    if cursor is None:
        raise InvalidParamsError("Invalid page token")
    return cursor.timestamp_ns or 0, cursor.task_id
