"""The SDK's request handler with what it lacks: see `guards`, `limits`, `tasks` and `leases`."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import anyio
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import (
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    PushNotificationSender,
)
from a2a.types.a2a_pb2 import (
    AgentCard,
    CancelTaskRequest,
    Message,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
    TaskStatusUpdateEvent,
)
from a2a.utils.errors import (
    ExtensionSupportRequiredError,
    InternalError,
    InvalidParamsError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a.utils.task import apply_history_length

from pygent_a2a.guards import NEW_TASK, SETTLED, FollowUps, GuardedExecutor, shielded
from pygent_a2a.identity import acting_for
from pygent_a2a.limits import Bounds
from pygent_a2a.store import TERMINAL, run
from pygent_a2a.tasks import Keep, Key, agent_of, owned_through

PARKED_SECONDS = 300.0
"""How long a task that waits for its caller keeps what it works with in memory."""

PATIENCE_SECONDS = 10.0
"""How long a message that is sent twice waits for what the first one begins."""


@shielded
class TaskHandler(DefaultRequestHandler):
    """Answers the requests for one agent.

    Args:
        agent: its name.
        executor: does the work; it is guarded here.
        card: what the agent says of itself. Extensions that it requires are required.
        keep: where its tasks are kept; in memory if not given, and then they end with the process.
        sender: what pushes events.
        allowed: whether events may be pushed to a URL.
        bounds: the most a caller may send.
        opens, resumes: see `GuardedExecutor`.
        more: further arguments of the SDK's handler.
    """

    def __init__(
        self,
        agent: str,
        executor: AgentExecutor,
        card: AgentCard,
        *,
        keep: Keep | None = None,
        sender: PushNotificationSender | None = None,
        allowed: Callable[[str], Awaitable[bool]] | None = None,
        bounds: Bounds | None = None,
        opens: bool = True,
        resumes: bool = True,
        **more: Any,
    ) -> None:
        owner_of = owned_through(agent)
        tasks = keep.tasks if keep else InMemoryTaskStore(owner_of)
        super().__init__(
            GuardedExecutor(executor, opens=opens, resumes=resumes),
            tasks,
            card,
            push_config_store=keep.targets if keep else InMemoryPushNotificationConfigStore(owner_of),
            push_sender=sender,
            request_context_builder=FollowUps(tasks),
            push_url_validator=allowed,
            event_stream=keep.events if keep else None,
            interrupted_task_timeout=PARKED_SECONDS,
            **more,
        )
        self._keep, self._bounds = keep, bounds or Bounds()
        self._required = {extension.uri for extension in card.capabilities.extensions if extension.required}

    async def on_message_send(self, params: SendMessageRequest, context: ServerCallContext) -> Message | Task:
        key = await self._accept(params, context)
        if key is None:
            result: Message | Task = await super().on_message_send(params, context)
            return result
        if (taken := await self._taken(key, params, context)) is not None:
            return await self._again(taken, params, context)
        try:
            result = await super().on_message_send(params, context)
        except Exception:
            await self._refused(key, context)
            raise
        if isinstance(result, Message):
            await self._kept.sent.answered(key, result)
        return result

    async def on_message_send_stream(
        self, params: SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        key = await self._accept(params, context)
        taken = await self._taken(key, params, context) if key else None
        if taken is not None:
            async with aclosing(self._streamed_again(taken, context)) as events:
                async for event in events:
                    yield event
            return
        try:
            async with aclosing(super().on_message_send_stream(params, context)) as events:
                async for event in events:
                    if key and isinstance(event, Message):
                        await self._kept.sent.answered(key, event)
                    yield event
        except Exception:
            if key:
                await self._refused(key, context)
            raise

    async def on_cancel_task(self, params: CancelTaskRequest, context: ServerCallContext) -> Task | None:
        found = await self._versioned_store.get(params.id, context) if self._keep else None
        if found and found.task.status.state not in TERMINAL and not await self._works_elsewhere(params.id):
            # Nobody holds it, so it is taken up here: what it works with is to be ended too.
            await self._active_task_registry.get_or_create(params.id, call_context=context)
        task: Task | None = await super().on_cancel_task(params, context)
        return task

    async def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        # What the SDK gives here may have an event twice: in the task, and after it. The log has it once.
        stream = super().on_subscribe_to_task if self._keep is None else self._subscribed
        async with aclosing(stream(params, context)) as events:
            async for event in events:
                yield event

    async def on_create_task_push_notification_config(
        self, params: TaskPushNotificationConfig, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        self._bounds.check_target(params)
        created: TaskPushNotificationConfig = await super().on_create_task_push_notification_config(
            params, context
        )
        return created

    async def resume(self, owner: str, task: str) -> None:
        """Go on with a task that this replica has taken over."""
        context = acting_for(agent_of(owner)[1])
        active = await self._active_task_registry.get_or_create(task, call_context=context)
        stored = await self._versioned_store.get(task, context)
        context_id = stored.task.context_id if stored else None
        await active.enqueue_request(RequestContext(context, None, task, context_id))

    async def stop(self, owner: str, task: str) -> None:
        """End the work on a task that another replica has ended."""
        if active := await self._active_task_registry.get(task):
            await active.cancel(acting_for(agent_of(owner)[1]))

    async def _accept(self, params: SendMessageRequest, context: ServerCallContext) -> Key | None:
        """Look at a message before anything is done with it; what it is known by, where that is kept."""
        if missing := sorted(self._required - context.requested_extensions):
            raise ExtensionSupportRequiredError(
                message=f"This agent requires extensions that were not asked for: {', '.join(missing)}"
            )
        self._bounds.check(params)
        task = params.message.task_id
        if task and await self._works_elsewhere(task):
            raise UnsupportedOperationError(
                message=f"Task {task} is worked on. Send more once it asks, or begin another."
            )
        if self._keep is None or not params.message.message_id:
            return None
        return self._keep.sent.key(params.message, context)

    async def _taken(
        self, key: Key, params: SendMessageRequest, context: ServerCallContext
    ) -> tuple[str, Message | None] | None:
        task = params.message.task_id
        if not task:
            context.state[NEW_TASK] = task = str(uuid.uuid4())
        return await self._kept.sent.take(key, task)

    async def _refused(self, key: Key, context: ServerCallContext) -> None:
        """Let a message be sent again of which nothing came."""
        new = context.state.get(NEW_TASK)
        if new is None or await self._versioned_store.get(new, context) is None:
            await self._kept.sent.untake(key)

    async def _again(
        self, taken: tuple[str, Message | None], params: SendMessageRequest, context: ServerCallContext
    ) -> Message | Task:
        """What answered a message that was sent before."""
        result: Message | Task | None = None
        async with aclosing(self._streamed_again(taken, context)) as events:
            async for event in events:
                if isinstance(event, Message):
                    return event
                if isinstance(event, Task) and params.configuration.return_immediately:
                    result = event
                    break
        if result is None:
            found = await self._versioned_store.get(taken[0], context)
            if found is None:
                raise TaskNotFoundError
            result = found.task
        assert isinstance(result, Task)
        return apply_history_length(result, params.configuration)

    async def _streamed_again(
        self, taken: tuple[str, Message | None], context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        """The task of a message that was sent before, as it is, and what happens to it until it settles."""
        id, answer = taken
        with anyio.move_on_after(PATIENCE_SECONDS):
            while answer is None and (await self._versioned_store.get(id, context)) is None:
                await anyio.sleep(0.05)
        if answer is not None:
            yield answer
            return
        async with aclosing(self._followed(id, context)) as events:
            async for event in events:
                yield event

    async def _subscribed(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        if not self._agent_card.capabilities.streaming:
            raise UnsupportedOperationError(message="This agent does not stream")
        if not params.id:
            raise InvalidParamsError(message="id is missing")
        found = await self._versioned_store.get(params.id, context)
        if found is None:
            raise TaskNotFoundError
        if (state := found.task.status.state) in TERMINAL:
            raise UnsupportedOperationError(message=f"Task {params.id} has ended: {TaskState.Name(state)}")
        async with aclosing(self._followed(params.id, context, waits=True)) as events:
            async for event in events:
                yield event

    async def _followed(
        self, id: str, context: ServerCallContext, *, waits: bool = False
    ) -> AsyncGenerator[Event, None]:
        """A task as it is, and every event after that, until it settles.

        Args:
            waits: go on if it waits for its caller already.
        """
        found = await self._versioned_store.get(id, context)
        if found is None:
            raise InternalError(message="This message was sent before, and nothing came of it yet")
        settled = found.task.status.state in (TERMINAL if waits else SETTLED)
        yield found.task
        if settled:
            return
        async with aclosing(self._kept.events.subscribe(id, after=found.version)) as events:
            async for each in events:
                yield each.event
                if (
                    isinstance(each.event, Task | TaskStatusUpdateEvent)
                    and each.event.status.state in SETTLED
                ):
                    return

    async def _works_elsewhere(self, task: str) -> bool:
        if self._keep is None:
            return False
        return await run(self._keep.leases.engine, self._keep.leases.works_elsewhere, task)

    @property
    def _kept(self) -> Keep:
        assert self._keep is not None
        return self._keep
