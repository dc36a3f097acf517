"""What stands round the SDK, so that what it leaves open is closed.

An executor that says nothing, that raises, or that ends without a result would leave its caller waiting, or
tell it what it should not know. Here each of them ends as a failed task with a reason; where the reason is
ours, the caller gets a reference, and the log under that reference the rest.
"""

from __future__ import annotations

import functools
import inspect
import logging
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, TypeVar

import anyio
from a2a.server.agent_execution import AgentExecutor, RequestContext, RequestContextBuilder
from a2a.server.cluster.task_store import StoredTask, VersionedTaskStore
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.server.events.event_queue import Event
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.server.tasks import TaskStore, TaskUpdater
from a2a.types.a2a_pb2 import (
    Message,
    Part,
    SendMessageRequest,
    Task,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from a2a.utils.errors import A2AError, InternalError

log = logging.getLogger(__name__)

SETTLED = frozenset(
    (
        TaskState.TASK_STATE_COMPLETED,
        TaskState.TASK_STATE_CANCELED,
        TaskState.TASK_STATE_FAILED,
        TaskState.TASK_STATE_REJECTED,
        TaskState.TASK_STATE_INPUT_REQUIRED,
        TaskState.TASK_STATE_AUTH_REQUIRED,
    )
)
"""The states in which nobody works on a task."""

NEW_TASK = "pygent.task"
"""Under what the id of a task that is about to be begun stands in the state of a call."""

SILENT = "The agent ended without a result."
RESTARTED = "The server was restarted while it worked on this. Send the message again."

Handler = TypeVar("Handler", bound=type[RequestHandler])


class GuardedExecutor(AgentExecutor):
    """An executor that always comes to an end, with a state that says how.

    Args:
        inner: what does the work.
        opens: have the task kept before the work begins, so that the end of the process does not lose it. Not
            for an executor that answers with a message alone.
        resumes: whether it goes on with a task that another process left: it is given the task and no
            message. If not, such a task fails.
        seconds: how long it may work on one message.
        most: how many messages may be worked on at once; the others wait.
    """

    def __init__(
        self,
        inner: AgentExecutor,
        *,
        opens: bool = True,
        resumes: bool = True,
        seconds: float | None = None,
        most: int = 64,
    ) -> None:
        self._inner, self._opens, self._resumes, self._seconds = inner, opens, resumes, seconds
        self._slots = anyio.Semaphore(most)

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id
        assert context.context_id
        watched = _Watched(event_queue, is_open=context.current_task is not None)
        if self._opens and not watched.is_open:
            await watched.enqueue_event(_opened(context))
        why = ""
        try:
            async with self._slots:
                with anyio.move_on_after(self._seconds) as within:
                    why = await self._work(context, watched)
            if within.cancelled_caught:
                why = f"The agent was given up after {self._seconds:g} s."
        except Exception as error:
            if watched.is_answered:  # nothing may follow a message, so it is the request that fails
                raise
            why = f"Something went wrong in the agent. Reference: {_reported(error)}"
        if watched.is_answered or watched.is_settled:
            return
        if not watched.is_open:
            await event_queue.enqueue_event(_opened(context))
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.failed(updater.new_agent_message([Part(text=why or SILENT)]))

    async def _work(self, context: RequestContext, queue: EventQueue) -> str:
        """Work on it; why nothing could be done, where that is so."""
        if context.message is None and not self._resumes:
            return RESTARTED
        await self._inner.execute(context, queue)
        return ""

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        try:
            await self._inner.cancel(context, event_queue)
        except A2AError:
            raise
        except Exception as error:
            raise InternalError(
                message=f"It could not be cancelled. Reference: {_reported(error)}"
            ) from error


class _Watched(EventQueue):
    """A queue that knows what went through it."""

    def __init__(self, inner: EventQueue, *, is_open: bool) -> None:
        self._inner = inner
        self.is_open, self.is_answered, self.is_settled = is_open, False, False
        self._noted: dict[str, Any] = {}

    async def enqueue_event(self, event: Event) -> None:
        if isinstance(event, Task):
            if self.is_open:  # it is begun once; what else this one says goes with the next
                self._noted = dict(event.metadata.items())
                return
            self.is_open = True
        elif isinstance(event, Message):
            self.is_answered = True
        elif isinstance(event, TaskStatusUpdateEvent) and self._noted:
            event.metadata.update(self._noted)
            self._noted = {}
        if isinstance(event, Task | TaskStatusUpdateEvent):
            self.is_settled = event.status.state in SETTLED
        await self._inner.enqueue_event(event)


def _opened(context: RequestContext) -> Task:
    status = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
    status.timestamp.FromDatetime(datetime.now(UTC))
    history = [context.message] if context.message is not None else []
    return Task(id=context.task_id, context_id=context.context_id, status=status, history=history)


class FollowUps(RequestContextBuilder):
    """Builds what an executor is given: a message that names a task alone belongs to that task's context.

    The SDK gives it a random one, and then refuses what the executor says of it.
    """

    def __init__(self, tasks: TaskStore | VersionedTaskStore) -> None:
        self._tasks = tasks

    async def build(
        self,
        context: ServerCallContext,
        params: SendMessageRequest | None = None,
        task_id: str | None = None,
        context_id: str | None = None,
        task: Task | None = None,
    ) -> RequestContext:
        if task_id and not context_id:
            found = await self._tasks.get(task_id, context)
            task_of = found.task if isinstance(found, StoredTask) else found
            context_id = task_of.context_id if task_of else None
        return RequestContext(
            call_context=context,
            request=params,
            task_id=task_id or context.state.get(NEW_TASK),
            context_id=context_id,
            task=task,
        )


def shielded(handler: Handler) -> Handler:
    """A request handler whose errors tell nothing: those that are not the protocol's become a reference."""
    for name in RequestHandler.__abstractmethods__:
        method = getattr(handler, name)
        is_stream = inspect.isasyncgenfunction(inspect.unwrap(method))
        setattr(handler, name, _shielded_stream(method) if is_stream else _shielded(method))
    return handler


def _shielded(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(self: RequestHandler, params: Any, context: ServerCallContext) -> Any:
        try:
            return await method(self, params, context)
        except A2AError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever it is, the caller is not told)
            raise _hidden(error) from None

    return call


def _shielded_stream(method: Callable[..., AsyncGenerator[Event]]) -> Callable[..., AsyncGenerator[Event]]:
    @functools.wraps(method)
    async def stream(self: RequestHandler, params: Any, context: ServerCallContext) -> AsyncGenerator[Event]:
        try:
            async with aclosing(method(self, params, context)) as events:
                async for event in events:
                    yield event
        except A2AError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever it is, the caller is not told)
            raise _hidden(error) from None

    return stream


def _hidden(error: Exception) -> InternalError:
    return InternalError(message=f"Something went wrong here. Reference: {_reported(error)}")


def _reported(error: Exception) -> str:
    """A reference under which an error is in the log."""
    reference = uuid.uuid4().hex[:12]
    log.error("Reference %s: %s", reference, error, exc_info=error)
    return reference
