"""A task is a run of the factory: they have one id, and what the run says becomes the task's events.

What a run says has numbers, and the number of the last that was published stands in the task itself, written
with it. So whoever goes on with a task, in whichever process, publishes each exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

import anyio
from a2a.helpers import new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types import Message, Role, Task, TaskState

from pygent_a2a import questions
from pygent_a2a.factory import Agents, Factory, FactoryRefused
from pygent_a2a.guards import RESTARTED
from pygent_a2a.identity import principal_in, trace_in
from pygent_a2a.parts import answered, asked, given, prompt

LOOK_SECONDS = 20.0
SAID = "pygent/said"
"""The key of a task's or an artifact's metadata: how much of what the run said is in it."""
ASKED = "pygent/asked"
"""The key of a task's metadata: what it waits for, or last waited for."""
GOES_ON = ("waiting", "running")
WAITS = ("needs_input", "needs_completion")

USER, REPLY = "user__", "user__reply"

Read = Callable[[Message], str]


class RunExecutor(AgentExecutor):
    """Carries tasks out as runs of one agent.

    Args:
        factory: where it runs.
        agents: those there are.
        agent: its name.
        read: what a message is for the agent.
    """

    def __init__(self, factory: Factory, agents: Agents, agent: str, read: Read = prompt) -> None:
        self._factory = factory
        self._agents = agents
        self._agent = agent
        self._read = read
        self._cancelled: set[str] = set()

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Begin a task, answer one that waits, or, without a message, go on with one that was left."""
        assert context.task_id
        work = self._work(context, event_queue)
        try:
            task, message = context.current_task, context.message
            if task is None:
                assert message is not None
                work.opening = new_task_from_user_message(message)
                work.opening.status.timestamp.GetCurrentTime()
                if not await self._may_reply():
                    await work.open()
                await work.follow(await self._begun(work, message), 0)
            elif message is not None:
                await work.updater.start_work()
                await work.follow(await work.replied(message, self._read), _published(task))
            else:
                await self._resume(work, task)
        except FactoryRefused as error:
            if context.task_id in self._cancelled:
                await anyio.sleep_forever()  # the SDK ends whoever works on a task once `cancel` is done
            await work.open()
            await work.updater.reject(work.updater.new_agent_message([new_text_part(str(error))]))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Stop the run."""
        assert context.task_id
        work = self._work(context, event_queue)
        self._cancelled.add(context.task_id)  # whoever follows it leaves the end to us
        try:
            with suppress(FactoryRefused):  # it never began
                await work.call("cancel_run", run=work.run)
            await work.updater.cancel()
        finally:
            self._cancelled.discard(context.task_id)

    def _work(self, context: RequestContext, queue: EventQueue) -> _Work:
        assert context.task_id
        assert context.context_id
        return _Work(
            self._factory, self._cancelled, context.call_context, queue, context.task_id, context.context_id
        )

    async def _may_reply(self) -> bool:
        """Whether the agent may answer with a plain message: then there is no task before it does else."""
        agent = (await self._agents.all()).get(self._agent)
        patterns = agent.spec.get("tools") or () if agent else ()
        return any(one.startswith(USER) and fnmatchcase(REPLY, one) for one in patterns)

    async def _begun(self, work: _Work, message: Message) -> dict[str, Any]:
        """The run of a new task."""
        return await work.call(
            "chat",
            name=self._agent,
            message=self._read(message),
            conversation=work.updater.context_id,
            id=work.run,
            wait_s=0,
        )

    async def _resume(self, work: _Work, task: Task) -> None:
        try:
            found = await work.call("get_run", run=work.run, wait_s=0)
        except FactoryRefused:  # it never began, and whoever asked for it is not here to begin it
            await work.updater.failed(work.updater.new_agent_message([new_text_part(RESTARTED)]))
            return
        is_lost = ASKED in task.metadata.fields and task.metadata[ASKED] == _asked(found)
        if is_lost and task.status.state == TaskState.TASK_STATE_WORKING:
            said = [message for message in task.history if message.role == Role.ROLE_USER]
            found = await work.replied(said[-1], self._read)
        await work.follow(found, _published(task))


class _Work:
    """One execution: the run, and the task that it is shown as."""

    def __init__(
        self,
        factory: Factory,
        cancelled: Container[str],
        context: ServerCallContext,
        queue: EventQueue,
        task: str,
        conversation: str,
    ) -> None:
        self._factory = factory
        self._cancelled = cancelled
        self._caller = principal_in(context)
        self._trace = trace_in(context)
        self._steps = 0
        self._queue = queue
        self.run = task
        self.opening: Task | None = None
        """The task that is to be shown, while nothing was shown of it."""
        self.updater = TaskUpdater(queue, task, conversation)

    async def call(
        self, tool: str, *, asking: Mapping[str, Any] = MappingProxyType({}), **arguments: Any
    ) -> dict[str, Any]:
        """What the factory answers to this caller, who is the user of the run and can be asked."""
        return await self._factory.call(
            tool, arguments, caller=self._caller, progress=self._progress, meta=self._trace, asking=asking
        )

    async def replied(self, message: Message, read: Read) -> dict[str, Any]:
        """The run once it was given what it waits for; as it was, where a message does not answer that."""
        found = await self.call("get_run", run=self.run, wait_s=0)
        if not found.get("elicitation"):
            return await self.call("continue_run", run=self.run, reply=read(message), wait_s=0)
        given = questions.answer(message, found["elicitation"])
        if given is None:
            return found
        return await self.call("get_run", asking=found["again"](given), run=self.run, wait_s=0)

    async def follow(self, found: Mapping[str, Any], seen: int) -> None:
        """Publish what the run says, from a number on, until it ends or waits for the user.

        Args:
            found: the run, with all that it said so far.
            seen: how much of that is in the task already.
        """
        said = found["said"][seen:]
        if found["state"] in GOES_ON and self.opening is None:
            await self.updater.start_work()
        while True:
            for what in said:
                seen += 1
                if what["kind"] == "reply" and self.opening is not None:
                    message = self.updater.new_agent_message([new_text_part(what["text"])])
                    message.ClearField("task_id")
                    await self._queue.enqueue_event(message)
                    return
                await self.open()
                await self._publish(what, seen)
            if found["state"] not in GOES_ON:
                break
            found = await self.call("get_run", run=self.run, wait_s=LOOK_SECONDS, seen=seen)
            said = found["said"]
        await self.open()
        await self._settle(found, seen)

    async def open(self) -> None:
        """Show the task, unless that was done."""
        if self.opening is not None:
            task, self.opening = self.opening, None
            await self._queue.enqueue_event(task)

    async def _publish(self, what: Mapping[str, Any], number: int) -> None:
        match what["kind"]:
            case "message":
                said = self.updater.new_agent_message([new_text_part(what["text"])])
                state = TaskState.TASK_STATE_WORKING
                await self.updater.update_status(state, said, metadata={SAID: number})
            case "artifact":
                name = str(what["name"])
                await self.updater.add_artifact(
                    [given(what)],
                    artifact_id=name,
                    name=name,
                    metadata={SAID: number},
                    append=bool(what.get("append")),
                    last_chunk=bool(what.get("last", True)),
                )

    async def _settle(self, found: Mapping[str, Any], seen: int) -> None:
        state, update = found["state"], self.updater
        if state in WAITS:
            question = update.new_agent_message(asked(found))
            metadata = {ASKED: _asked(found), SAID: seen}
            elsewhere = questions.is_elsewhere(found.get("elicitation") or {})
            waits = TaskState.TASK_STATE_AUTH_REQUIRED if elsewhere else TaskState.TASK_STATE_INPUT_REQUIRED
            await update.update_status(waits, question, metadata=metadata)
        elif state == "done":
            if found.get("answer"):
                await update.add_artifact([answered(found["answer"])], "answer", "answer", last_chunk=True)
            await update.complete()
        elif state == "cancelled":
            if self.run in self._cancelled:
                await anyio.sleep_forever()  # as above
            await update.cancel()
        else:
            why = update.new_agent_message([new_text_part(found.get("error") or "The run failed.")])
            await (update.reject(why) if found.get("declined") else update.failed(why))

    async def _progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Show what the run is at; each look at it begins at its first step again."""
        if message and progress > self._steps:
            self._steps = int(progress)
            if self._steps == 1 and self.opening is not None:
                return  # it thinks, and may yet reply
            await self.open()
            await self.updater.start_work(self.updater.new_agent_message([new_text_part(message)]))


def _asked(found: Mapping[str, Any]) -> str:
    return f"{found['state']} {found['asked']}"


def _published(task: Task) -> int:
    """How much of what the run said is in a task."""
    held = [task.metadata, *(artifact.metadata for artifact in task.artifacts)]
    known = [metadata.fields[SAID].number_value for metadata in held if SAID in metadata.fields]
    return int(max(known, default=0))
