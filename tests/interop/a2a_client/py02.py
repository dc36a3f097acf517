"""The Python SDK 0.2 as a client: URL TOKEN; prints each deed as a line of JSON once it is done."""

import asyncio
import json
import sys
from uuid import uuid4

import httpx
from a2a.client import A2ACardResolver, A2AClient
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    MessageSendParams,
    Part,
    Role,
    SendMessageRequest,
    SendStreamingMessageRequest,
    TaskIdParams,
    TaskQueryParams,
    TextPart,
)

URL, TOKEN = sys.argv[1:]


def done(deed, seen):
    print(json.dumps({"deed": deed, "seen": seen}), flush=True)


def params(text, task=None):
    more = {"taskId": task.id, "contextId": task.contextId} if task else {}
    part = Part(root=TextPart(text=text))
    return MessageSendParams(message=Message(messageId=str(uuid4()), role=Role.user, parts=[part], **more))


def result(response):
    assert not hasattr(response.root, "error"), response.root
    return response.root.result


async def main():
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:

        async def agent(name):
            card = await A2ACardResolver(http, f"{URL}/agents/{name}").get_agent_card()
            return card, A2AClient(http, agent_card=card)

        async def heard(client, text, task=None):
            request = SendStreamingMessageRequest(id=str(uuid4()), params=params(text, task))
            return [result(response) async for response in client.send_message_streaming(request)]

        card, echo = await agent("echo")
        done("discover", card.name)
        task = result(await echo.send_message(SendMessageRequest(id="1", params=params("When?"))))
        assert task.artifacts[0].parts[0].root.text == "At six.", task
        done("send", task.status.state)

        _, talker = await agent("talker")
        events = await heard(talker, "Tell me.")
        chunks = [e.artifact.parts[0].root.text for e in events if e.kind == "artifact-update"]
        assert chunks[:2] == ["one ", "two"], chunks
        assert events[-1].final, events[-1]
        assert events[-1].status.state == "completed", events[-1]
        done("stream", chunks)

        _, waiter = await agent("waiter")
        request = SendStreamingMessageRequest(id="2", params=params("Wait."))
        stream = waiter.send_message_streaming(request)
        task = result(await anext(stream))
        asked = CancelTaskRequest(id="3", params=TaskIdParams(id=task.id))
        stopped = result(await waiter.cancel_task(asked))
        await stream.aclose()
        assert stopped.status.state == "canceled", stopped
        done("cancel", stopped.status.state)

        _, asker = await agent("asker")
        events = await heard(asker, "How long is it?")
        assert events[-1].status.state == "input-required", events[-1]
        question = events[-1].status.message.parts[0].root.text
        events = await heard(asker, "the Elbe", events[0])
        assert events[-1].status.state == "completed", events[-1]
        asked = GetTaskRequest(id="4", params=TaskQueryParams(id=events[-1].taskId))
        found = result(await asker.get_task(asked))
        assert found.artifacts[0].parts[0].root.text == "The Elbe, then.", found
        done("answer", question)


asyncio.run(main())
