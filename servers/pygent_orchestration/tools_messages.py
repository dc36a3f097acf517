"""The tools by which hosts and agents tell each other something."""
# ruff: noqa: B006 - pydantic copies a tool's defaults at every call

from __future__ import annotations

from typing import Annotated, Any, Literal

from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from pygent_orchestration.answers_messages import MessagesAnswer, SentAnswer
from pygent_orchestration.bus.message import EVERYBODY, TOPIC, AgentMessage, is_address, is_name
from pygent_orchestration.bus.requests import asked
from pygent_orchestration.orchestration import Orchestration
from pygent_shared.errors import InvalidArgument
from pygent_shared.server import SuiteServer, answer

SENDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)

Wait = Annotated[float, Field(ge=0, le=600)]


def add_messages(server: SuiteServer[Orchestration], orchestration: Orchestration) -> None:
    """Add them."""

    @server.tool(title="Send a message", annotations=SENDS)
    async def send_message(
        sender: Annotated[str, Field(description="Your name, such as agent/coder: answers come to it.")],
        to: Annotated[str, Field(description='A name, a topic such as "#design", or "*" for everybody.')],
        payload: Annotated[dict[str, Any], Field(description="What you say, as any JSON object.")],
        type: Annotated[
            Literal["COORDINATION", "TASK_ASSIGNMENT", "TASK_RESULT", "ERROR", "PROGRESS_UPDATE"],
            Field(description="PROGRESS_UPDATE is lost where nobody listens; the others are kept."),
        ] = "COORDINATION",
        correlation_id: Annotated[
            str, Field(description="To answer: that of the message, else its id.")
        ] = "",
        wait_s: Annotated[Wait, Field(description="Seconds to wait for an answer; 0 wants none.")] = 0.0,
    ) -> Annotated[CallToolResult, SentAnswer]:
        """Tell an agent, a feature, all who follow a topic, or everybody something. It starts no work: that
        is start_workflow's. They get it by receive_messages."""
        _look("sender", sender, is_name(sender))
        _look("to", to, is_address(to))
        message = AgentMessage(
            sender=sender, recipient=to, type=type, payload=payload, correlation_id=correlation_id
        )
        bus = await orchestration.bus()
        if wait_s:
            came = await asked(bus, message, wait_s)
        else:
            came = None
            await bus.send(message)
        data = SentAnswer.of(message, came, wait_s, bus.kind)
        return answer(data.text(), data)

    @server.tool(title="Receive messages", annotations=SENDS)
    async def receive_messages(
        reader: Annotated[str, Field(description="Whose: agent/coder, feature/ID, or your own name.")],
        topics: Annotated[
            list[str], Field(description='Also of these, such as "#design" or "*", from your first call on.')
        ] = [],
        done: Annotated[
            list[str], Field(description="Receipts of messages that are dealt with: not given again.")
        ] = [],
        most: Annotated[int, Field(ge=1, le=500)] = 50,
        wait_s: Annotated[Wait, Field(description="Seconds to wait where there is none.")] = 0.0,
    ) -> Annotated[CallToolResult, MessagesAnswer]:
        """What was sent to somebody and is not dealt with: results of a feature's tasks, tasks given to an
        agent, what others say. Each is given again until you name its receipt in `done`."""
        _look("reader", reader, is_name(reader))
        for topic in topics:
            _look("topics", topic, is_address(topic) and not is_name(topic))
        bus = await orchestration.bus()
        if done:
            await bus.done(reader, done)
        data = MessagesAnswer.of(await bus.receive(reader, topics=topics, within=wait_s, most=most), bus.kind)
        return answer(data.text(), data)


def _look(argument: str, address: str, is_right: bool) -> None:
    """Raises InvalidArgument: this is no such address."""
    if not is_right:
        cure = 'Give one such as "agent/coder".'
        if argument != "sender":
            cure = f'Give one such as "agent/coder", "{TOPIC}design" or "{EVERYBODY}".'
        raise InvalidArgument(argument, f"{address[:80]!r} is no address for it", cure)
