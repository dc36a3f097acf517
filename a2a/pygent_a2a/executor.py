"""A task is a run of the factory: the run's states, as they come, are the task's."""

from __future__ import annotations

import json
from typing import Any

from a2a.helpers import new_data_part, new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types import Message, Part

from pygent_a2a.factory import Factory, FactoryRefused
from pygent_a2a.identity import principal_in
from pygent_shared.errors import PygentError

LOOK_SECONDS = 20.0
RUN = "pygent/run"
"""The key of a task's metadata under which its run is named."""


class RunExecutor(AgentExecutor):
    """Carries tasks out as runs of one agent.

    Args:
        factory: where it runs.
        agent: its name.
    """

    def __init__(self, factory: Factory, agent: str) -> None:
        self._factory = factory
        self._agent = agent

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message is not None
        assert context.task_id
        assert context.context_id
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        caller = principal_in(context.call_context)
        try:
            if context.current_task is None:
                task = new_task_from_user_message(context.message)
                arguments = {"name": self._agent, "task": prompt(context.message), "wait_s": 0}
                found = await self._factory.call("run_agent", arguments, caller=caller)
                task.metadata.update({RUN: found["run"]})
                await event_queue.enqueue_event(task)
            else:
                run = dict(context.current_task.metadata)[RUN]
                arguments = {"run": run, "reply": prompt(context.message), "wait_s": 0}
                found = await self._factory.call("continue_run", arguments, caller=caller)
        except FactoryRefused as error:
            if context.current_task is None:
                await event_queue.enqueue_event(new_task_from_user_message(context.message))
            await updater.reject(updater.new_agent_message([new_text_part(str(error))]))
            return
        await updater.start_work()
        while found["state"] in ("waiting", "running"):
            look = {"run": found["run"], "wait_s": LOOK_SECONDS}
            found = await self._factory.call("get_run", look, caller=caller)
        await self._settle(found, updater)

    async def _settle(self, found: dict[str, Any], updater: TaskUpdater) -> None:
        match found["state"]:
            case "done":
                await updater.add_artifact(
                    [answered(found.get("answer"))], "answer", "answer", last_chunk=True
                )
                await updater.complete()
            case "cancelled":
                await updater.cancel()
            case "needs_completion":
                await updater.requires_input(updater.new_agent_message([new_data_part(needed(found))]))
            case _:
                why = found.get("error") or "The run failed."
                await updater.failed(updater.new_agent_message([new_text_part(why)]))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id
        assert context.context_id
        task = context.current_task
        caller = principal_in(context.call_context)
        if task is not None and RUN in task.metadata.fields:
            try:
                await self._factory.call("cancel_run", {"run": task.metadata[RUN]}, caller=caller)
            except PygentError:
                raise
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def prompt(message: Message) -> str:
    """What a message says, for an agent that reads text."""
    texts = []
    for part in message.parts:
        match part.WhichOneof("content"):
            case "text":
                texts.append(part.text)
            case "data":
                from google.protobuf.json_format import MessageToDict

                texts.append(json.dumps(MessageToDict(part.data), ensure_ascii=False))
            case "url":
                texts.append(part.url)
    return "\n\n".join(texts)


def answered(answer: Any) -> Part:
    """A run's answer as a part."""
    return new_text_part(answer) if isinstance(answer, str) else new_data_part(answer)


def needed(found: dict[str, Any]) -> dict[str, Any]:
    """What a run needs a model for."""
    return {"system": found.get("system", ""), "messages": found.get("messages", [])}
