"""An agent of another maker, for tests: built on the A2A SDK alone, it does what a message's first word says.

`trouble` are names of parts that it leaves out or does badly.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from a2a.helpers import new_data_part, new_raw_part, new_task_from_user_message, new_text_part, new_url_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from a2a.utils.signing import create_agent_card_signer
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings


@dataclass(kw_only=True)
class Other:
    """What the agent is like, and what came of it."""

    description: str = "Knows about rivers."
    streaming: bool = True
    binding: str = "JSONRPC"
    token: str = ""
    interface: str = ""
    """Another URL for the card to lead to."""
    key: Any = None
    """What the card is signed with: an EC key of `cryptography`."""
    keys: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of each request, as they came."""
    canceled: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    def card(self) -> AgentCard:
        """The card as it is now."""
        card = AgentCard(
            name="River guide",
            description=self.description,
            version="1",
            supported_interfaces=[
                AgentInterface(
                    url=self.interface or f"{self.url}/",
                    protocol_binding=self.binding,
                    protocol_version="1.0",
                )
            ],
            capabilities=AgentCapabilities(streaming=self.streaming),
            default_input_modes=["text/plain"],
            default_output_modes=["text/plain"],
            skills=[
                AgentSkill(
                    id="length",
                    name="Lengths",
                    description="Says how long a river is.",
                    tags=["rivers"],
                    examples=["How long is the Elbe?"],
                )
            ],
        )
        if self.key is not None:
            header = {"kid": "k1", "alg": "ES256", "jku": f"{self.url}/keys.json", "typ": "JOSE"}
            create_agent_card_signer(self.key, header)(card)  # type: ignore[arg-type]
        return card


class Obedient(AgentExecutor):
    """Does what the first word of a message says."""

    def __init__(self, other: Other) -> None:
        self._other = other

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message is not None
        updater = TaskUpdater(event_queue, str(context.task_id), str(context.context_id))
        word, _, rest = context.get_user_input().partition(" ")
        if word == "message":
            await event_queue.enqueue_event(updater.new_agent_message([new_text_part(rest)]))
            return
        if word == "quiet":
            await asyncio.sleep(float(rest))
            await event_queue.enqueue_event(updater.new_agent_message([new_text_part("at last")]))
            return
        if word == "late":
            await asyncio.sleep(float(rest))
            word, rest = "slow", "300"
        if context.current_task is None:
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
        self._other.begun.append(str(context.task_id))
        await updater.start_work(updater.new_agent_message([new_text_part("on it")]))
        match word:
            case "ask":
                await updater.requires_input(updater.new_agent_message([new_text_part(rest)]))
            case "login":
                await updater.requires_auth(updater.new_agent_message([new_text_part(rest)]))
            case "fail":
                await updater.failed(updater.new_agent_message([new_text_part(rest)]))
            case "slow":
                for number in range(int(rest)):
                    await updater.update_status(
                        context.current_task.status.state if context.current_task else 2,
                        updater.new_agent_message([new_text_part(f"step {number + 1}")]),
                    )
                    await asyncio.sleep(0.1)
                await updater.add_artifact([new_text_part("slowly done")], name="end")
                await updater.complete()
            case "token":
                await updater.add_artifact([new_text_part(f"it is {self._other.token}")])
                await updater.complete()
            case "flood":
                for _ in range(int(rest)):
                    await updater.add_artifact([new_text_part("x" * 1000)])
                await updater.complete()
            case "chunks":
                await updater.add_artifact([new_text_part("one ")], artifact_id="a", name="text")
                await updater.add_artifact([new_text_part("two")], artifact_id="a", append=True)
                await updater.complete()
            case "things":
                await updater.add_artifact([new_data_part({"km": 1094, "name": "Elbe"})], name="facts")
                await updater.add_artifact([new_raw_part(b"\x89PNG", "image/png", "map.png")], name="map")
                await updater.add_artifact([new_raw_part(b"a,b", "text/csv", "t.csv")], name="table")
                await updater.add_artifact(
                    [new_url_part("https://example.com/elbe.pdf", "application/pdf", "elbe.pdf")],
                    name="paper",
                )
                await updater.complete()
            case _:
                await updater.add_artifact([new_text_part(f"heard: {context.get_user_input()}")], name="echo")
                await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        self._other.canceled.append(str(context.task_id))
        updater = TaskUpdater(event_queue, str(context.task_id), str(context.context_id))
        await updater.cancel()


@asynccontextmanager
async def other_agent(settings: Settings, **traits: Any) -> AsyncIterator[Other]:
    """The agent served on a free loopback port while the block runs."""
    other = Other(**traits)
    listener = listen(settings)
    other.url = address(listener)

    async def card(request: Request) -> Response:
        return JSONResponse(MessageToDict(other.card()))

    async def keys(request: Request) -> Response:
        return JSONResponse({"keys": other.keys})

    handler = DefaultRequestHandler(Obedient(other), InMemoryTaskStore(), other.card())
    routes = create_jsonrpc_routes(handler, "/") + create_rest_routes(handler)
    app = Starlette(routes=[Route("/.well-known/agent-card.json", card), Route("/keys.json", keys), *routes])

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            other.headers.append(headers)
            is_card = scope["path"].startswith(("/.well-known", "/keys"))
            if other.token and not is_card and headers.get("authorization") != f"Bearer {other.token}":
                await JSONResponse({"error": "who are you?"}, status_code=401)(scope, receive, send)
                return
        await app(scope, receive, send)

    async with running(guarded, listener):
        yield other
        await handler.aclose()
