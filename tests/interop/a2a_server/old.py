"""An agent on the Python SDK before 1.0, on PORT: It echoes, asks, takes its time, or gives data."""

import asyncio
import sys

import uvicorn
from a2a.server.agent_execution import AgentExecutor
from a2a.server.apps import A2AStarletteApplication
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentSkill, DataPart, Part, TaskState, TextPart
from a2a.utils import new_task

PORT = int(sys.argv[1])


class Obedient(AgentExecutor):
    async def execute(self, context, event_queue):
        task = context.current_task
        if task is None:
            task = new_task(context.message)
            await event_queue.enqueue_event(task)
        context_id = getattr(task, "context_id", None) or task.contextId
        updater = TaskUpdater(event_queue, task.id, context_id)

        def says(text):
            return updater.new_agent_message([Part(root=TextPart(text=text))])

        word, _, rest = context.get_user_input().partition(" ")
        if word == "ask":
            await updater.update_status(TaskState.input_required, says(rest), final=True)
            return
        if word == "slow":
            for step in range(int(rest)):
                await updater.update_status(TaskState.working, says(f"step {step + 1}"))
                await asyncio.sleep(0.1)
        parts = [Part(root=TextPart(text=f"heard: {context.get_user_input()}"))]
        if word == "data":
            parts = [Part(root=DataPart(data={"km": 1094}))]
        await updater.add_artifact(parts, name="echo")
        await updater.complete()

    async def cancel(self, context, event_queue):
        task = context.current_task
        context_id = getattr(task, "context_id", None) or task.contextId
        await TaskUpdater(event_queue, task.id, context_id).update_status(TaskState.canceled, final=True)


card = AgentCard.model_validate(
    {
        "name": "Old hand",
        "description": "Has been there for long.",
        "url": f"http://127.0.0.1:{PORT}/",
        "version": "1",
        "capabilities": AgentCapabilities(streaming=True),
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [AgentSkill(id="echo", name="Echo", description="Says it again.", tags=["echo"])],
    }
)
handler = DefaultRequestHandler(agent_executor=Obedient(), task_store=InMemoryTaskStore())
app = A2AStarletteApplication(agent_card=card, http_handler=handler).build()
uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
