"""The Python SDK 1.3 as a client: URL TOKEN [BINDING…]; prints each deed as a line of JSON."""

import asyncio
import json
import sys
from uuid import uuid4

import grpc
import httpx
from a2a.client import AuthInterceptor, ClientConfig, CredentialService, create_client
from a2a.types import CancelTaskRequest, GetTaskRequest, Message, Part, Role, SendMessageRequest, TaskState

URL, TOKEN, *BINDINGS = sys.argv[1:]


class Token(CredentialService):
    async def get_credentials(self, security_scheme_name, context):
        return TOKEN


def done(deed, seen):
    print(json.dumps({"deed": deed, "seen": seen}), flush=True)


def said(text, task=None):
    message = Message(message_id=str(uuid4()), role=Role.ROLE_USER, parts=[Part(text=text)])
    if task is not None:
        message.task_id, message.context_id = task.id, task.context_id
    return SendMessageRequest(message=message)


def states(events):
    return [TaskState.Name(e.status_update.status.state) for e in events if e.HasField("status_update")]


async def main(binding):
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:

        async def agent(name, streaming=True):
            config = ClientConfig(
                httpx_client=http,
                grpc_channel_factory=grpc.aio.insecure_channel,
                streaming=streaming,
                supported_protocol_bindings=[binding],
            )
            url = f"{URL}/agents/{name}"
            return await create_client(url, client_config=config, interceptors=[AuthInterceptor(Token())])

        echo = await agent("echo", streaming=False)
        done("discover", echo._card.name)
        (answer,) = [event async for event in echo.send_message(said("When?"))]
        assert answer.task.artifacts[0].parts[0].text == "At six.", answer
        done("send", TaskState.Name(answer.task.status.state))

        talker = await agent("talker")
        events = [event async for event in talker.send_message(said("Tell me."))]
        chunks = [e.artifact_update.artifact.parts[0].text for e in events if e.HasField("artifact_update")]
        assert chunks[:2] == ["one ", "two"], chunks
        assert states(events)[-1] == "TASK_STATE_COMPLETED", states(events)
        done("stream", chunks)

        waiter = await agent("waiter")
        stream = waiter.send_message(said("Wait."))
        task = (await anext(stream)).task
        stopped = await waiter.cancel_task(CancelTaskRequest(id=task.id))
        await stream.aclose()
        assert stopped.status.state == TaskState.TASK_STATE_CANCELED, stopped
        done("cancel", TaskState.Name(stopped.status.state))

        asker = await agent("asker")
        events = [event async for event in asker.send_message(said("How long is it?"))]
        assert states(events)[-1] == "TASK_STATE_INPUT_REQUIRED", states(events)
        question = events[-1].status_update.status.message.parts[0].text
        task = events[0].task
        events = [event async for event in asker.send_message(said("the Elbe", task))]
        assert states(events)[-1] == "TASK_STATE_COMPLETED", states(events)
        found = await asker.get_task(GetTaskRequest(id=task.id))
        assert found.artifacts[0].parts[0].text == "The Elbe, then.", found
        done("answer", question)


for one in BINDINGS or ("JSONRPC", "HTTP+JSON"):
    asyncio.run(main(one))
