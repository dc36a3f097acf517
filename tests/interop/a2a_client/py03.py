"""The Python SDK 0.3 as a client: URL TOKEN; prints each deed as a line of JSON once it is done."""

import asyncio
import json
import sys
from uuid import uuid4

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import Message, Part, Role, TaskIdParams, TaskQueryParams, TextPart, TransportProtocol

URL, TOKEN = sys.argv[1:]


def done(deed, seen):
    print(json.dumps({"deed": deed, "seen": seen}), flush=True)


def said(text, task=None):
    more = {"task_id": task.id, "context_id": task.context_id} if task else {}
    return Message(message_id=str(uuid4()), role=Role.user, parts=[Part(root=TextPart(text=text))], **more)


async def main(transport):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:

        async def agent(name, streaming=True):
            card = await A2ACardResolver(http, f"{URL}/agents/{name}").get_agent_card()
            config = ClientConfig(
                httpx_client=http,
                streaming=streaming,
                supported_transports=[transport],
                use_client_preference=True,
            )
            return card, ClientFactory(config).create(card)

        async def heard(client, message):
            return [event async for event in client.send_message(message)]

        card, echo = await agent("echo", streaming=False)
        done("discover", f"{card.name} {card.protocol_version}")
        ((task, _),) = await heard(echo, said("When?"))
        assert task.artifacts[0].parts[0].root.text == "At six.", task
        done("send", task.status.state)

        _, talker = await agent("talker")
        events = await heard(talker, said("Tell me."))
        updates = [update for _, update in events if update is not None]
        chunks = [u.artifact.parts[0].root.text for u in updates if u.kind == "artifact-update"]
        assert chunks[:2] == ["one ", "two"], chunks
        assert updates[-1].final, updates[-1]
        assert updates[-1].status.state == "completed", updates[-1]
        done("stream", chunks)

        _, waiter = await agent("waiter")
        stream = waiter.send_message(said("Wait."))
        task, _ = await anext(stream)
        stopped = await waiter.cancel_task(TaskIdParams(id=task.id))
        await stream.aclose()
        assert stopped.status.state == "canceled", stopped
        done("cancel", stopped.status.state)

        _, asker = await agent("asker")
        task, update = (await heard(asker, said("How long is it?")))[-1]
        assert update.status.state == "input-required", update
        question = update.status.message.parts[0].root.text
        _, update = (await heard(asker, said("the Elbe", task)))[-1]
        assert update.status.state == "completed", update
        found = await asker.get_task(TaskQueryParams(id=task.id))
        assert found.artifacts[0].parts[0].root.text == "The Elbe, then.", found
        done("answer", question)


for one in (TransportProtocol.jsonrpc, TransportProtocol.http_json):
    asyncio.run(main(one))
