"""An executor that does what a message tells it, and what serves it without the suite behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.routes import create_rest_routes
from a2a.server.tasks import TaskUpdater
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentExtension,
    AgentInterface,
    AgentSkill,
    Message,
    Part,
    Role,
    SendMessageRequest,
    Task,
    TaskState,
    TaskStatus,
)
from starlette.applications import Starlette

from pygent_a2a.handler import TaskHandler
from pygent_a2a.legacy import rpc_routes
from pygent_a2a.limits import Body

URL = "http://agent.test"


class Scripted(AgentExecutor):
    """Does what the words of a message say, one after another: `say x`, `ask`, `fail`, `wait 2`, `done`…"""

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        updater = TaskUpdater(event_queue, context.task_id or "", context.context_id or "")
        if context.message is None:
            await updater.add_artifact([Part(text="and on")], artifact_id="more")
            await updater.complete()
        for line in context.get_user_input().splitlines():
            await self._do(line, updater, context, event_queue)

    async def _do(
        self, line: str, updater: TaskUpdater, context: RequestContext, event_queue: EventQueue
    ) -> None:
        word, _, rest = line.partition(" ")
        match word:
            case "say":
                await updater.add_artifact([Part(text=rest)], artifact_id="said", append=self._said(context))
            case "work":
                await updater.start_work()
            case "ask":
                await updater.requires_input(updater.new_agent_message([Part(text=rest)]))
            case "done":
                await updater.complete()
            case "wait":
                await asyncio.sleep(float(rest))
            case "answer":
                await event_queue.enqueue_event(updater.new_agent_message([Part(text=rest)]))
            case "raise":
                raise RuntimeError(rest)
            case "task":
                status = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
                task = Task(id=context.task_id, context_id=context.context_id, status=status)
                task.metadata.update({"run": rest})
                await event_queue.enqueue_event(task)

    def _said(self, context: RequestContext) -> bool:
        said = getattr(context, "said", False)
        context.said = True  # type: ignore[attr-defined]
        return bool(said or (context.current_task and context.current_task.artifacts))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        self.cancelled.append(context.task_id or "")
        await TaskUpdater(event_queue, context.task_id or "", context.context_id or "").cancel()


def card(*required: str, push: bool = True) -> AgentCard:
    """A card whose agent requires extensions."""
    return AgentCard(
        name="tides",
        description="Does as it is told.",
        version="1",
        supported_interfaces=[
            AgentInterface(url=f"{URL}/", protocol_binding="JSONRPC", protocol_version="1.0"),
            AgentInterface(url=URL, protocol_binding="HTTP+JSON", protocol_version="1.0"),
        ],
        capabilities=AgentCapabilities(
            streaming=True,
            push_notifications=push,
            extensions=[AgentExtension(uri=uri, required=True) for uri in required],
        ),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="do", name="Do", description="Does it.", tags=["do"])],
    )


def said(text: str, id: str = "", **more: Any) -> SendMessageRequest:
    """A message of a client."""
    from uuid import uuid4

    message = Message(message_id=id or uuid4().hex, role=Role.ROLE_USER, parts=[Part(text=text)], **more)
    return SendMessageRequest(message=message)


@asynccontextmanager
async def speaking_to(handler: TaskHandler) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a handler, over JSON-RPC at `/` and over HTTP+JSON."""
    app = Body(Starlette(routes=[*rpc_routes(handler, "/"), *create_rest_routes(handler)]))
    transport = httpx.ASGITransport(app=app)
    headers = {"A2A-Version": "1.0"}
    async with httpx.AsyncClient(transport=transport, base_url=URL, headers=headers) as client:
        try:
            yield client
        finally:
            await handler.aclose()
