"""google-adk's RemoteA2aAgent as a client: URL TOKEN; prints each deed as a line of JSON once it is done."""

import asyncio
import json
import sys
import warnings

import httpx

warnings.simplefilter("ignore")

from google.adk.agents.remote_a2a_agent import RemoteA2aAgent  # noqa: E402
from google.adk.runners import InMemoryRunner  # noqa: E402
from google.genai import types  # noqa: E402

URL, TOKEN = sys.argv[1:]


def done(deed, seen):
    print(json.dumps({"deed": deed, "seen": seen}), flush=True)


def parts(events):
    return [part for event in events if event.content for part in event.content.parts]


def texts(events):
    return [part.text for part in parts(events) if part.text]


class Talk:
    """A session of a runner over one remote agent."""

    def __init__(self, name, http):
        card = f"{URL}/agents/{name}/.well-known/agent-card.json"
        self.agent = RemoteA2aAgent(name=name, agent_card=card, httpx_client=http)
        self.runner = InMemoryRunner(agent=self.agent, app_name="interop")

    async def __aenter__(self):
        self.session = await self.runner.session_service.create_session(app_name="interop", user_id="u")
        return self

    async def __aexit__(self, *error):
        await self.runner.close()

    def say(self, *parts):
        message = types.Content(role="user", parts=list(parts))
        return self.runner.run_async(user_id="u", session_id=self.session.id, new_message=message)

    async def heard(self, *parts):
        events = [event async for event in self.say(*parts)]
        for event in events:
            assert not event.error_message, event.error_message
        return events


async def main():
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
        async with Talk("echo", http) as talk:
            events = await talk.heard(types.Part(text="When?"))
            done("discover", talk.agent.description)
            assert "At six." in texts(events), texts(events)
            done("send", texts(events))

        async with Talk("talker", http) as talk:
            events = await talk.heard(types.Part(text="Tell me."))
            said = "".join(texts(events))
            assert all(words in said for words in ("one ", "two", "All said.")), texts(events)
            done("stream", texts(events))

        async with Talk("waiter", http) as talk:
            stream = talk.say(types.Part(text="Wait."))
            first = await anext(stream)
            task = first.custom_metadata["a2a:task_id"]
            await stream.aclose()
            stopped = await http.post(
                f"{URL}/agents/waiter/tasks/{task}:cancel", headers={"A2A-Version": "1.0"}, json={}
            )
            state = stopped.json()["status"]["state"]
            assert state == "TASK_STATE_CANCELED", stopped.text
            done("cancel", state)

        async with Talk("asker", http) as talk:
            events = await talk.heard(types.Part(text="How long is it?"))
            (call,) = [part.function_call for part in parts(events) if part.function_call]
            assert "Which river?" in str(call.args), call
            told = types.FunctionResponse(id=call.id, name=call.name, response={"result": "the Elbe"})
            reply = types.Part(function_response=told)
            events = await talk.heard(reply)
            assert any("The Elbe, then." in text for text in texts(events)), texts(events)
            done("answer", "Which river?")


asyncio.run(main())
