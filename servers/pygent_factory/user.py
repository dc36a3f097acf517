"""What an agent may do towards whoever began its run: say something, hand something over, ask, or end it.

Each is written down by the run once, under a number, and stays: who follows the run reads on from the number
it has seen. The one rule: all of it is done by the workflow itself, and no step holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pygent_shared.durable.failure import Failed

PREFIX = "user__"
PATIENCE_SECONDS = 7 * 24 * 3600.0

_TEXT = {"type": "string"}


def _tool(name: str, description: str, properties: dict[str, Any], *required: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": PREFIX + name, "description": description, "inputSchema": schema}


DEFINITIONS: Sequence[dict[str, Any]] = (
    _tool("tell", "Tell the user something while you go on working.", {"text": _TEXT}, "text"),
    _tool(
        "give",
        "Hand the user a result: a text, data, a file's bytes in base64, or the URL of one. What is given "
        "under the same name with append is added to it.",
        {
            "name": _TEXT,
            "text": _TEXT,
            "data": {"type": "object"},
            "base64": _TEXT,
            "url": _TEXT,
            "media_type": {"type": "string", "description": "Such as text/plain."},
            "append": {"type": "boolean"},
            "last": {"type": "boolean", "description": "False: more of it comes."},
        },
        "name",
    ),
    _tool("ask", "Ask the user something, and wait for the answer.", {"question": _TEXT}, "question"),
    _tool("reply", "Answer at once with a plain message, and end.", {"text": _TEXT}, "text"),
    _tool("decline", "Refuse the task, and end. Say why.", {"why": _TEXT}, "why"),
)


class Declined(Exception):
    """An agent will not do its task."""


class Replied(Exception):
    """An agent has answered, and does no more."""


def said(number: int) -> str:
    """The key under which a run publishes what it says, from 0 on."""
    return f"said {number}"


def reply(number: int) -> str:
    """The topic on which it waits for the answer to the question of that number."""
    return f"reply {number}"


def offered(patterns: Sequence[str]) -> Sequence[dict[str, Any]]:
    """The tools that a spec may match: only what names them does, and not a bare `*`."""
    return DEFINITIONS if any(pattern.startswith(PREFIX) for pattern in patterns) else ()


class ToUser:
    """The tools, for one run.

    Args:
        spoke: is called when the run has said something.
        asks: whether what its tools ask, approvals among it, can be put to the user.
    """

    def __init__(self, spoke: Callable[[], None], *, asks: bool = False) -> None:
        self._spoke = spoke
        self.asks = asks
        self._number = 0

    async def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """What the agent is told of its call.

        Raises:
            Replied, Declined: that was the call.
        """
        given = {key: value for key, value in arguments.items() if value is not None}
        match name.removeprefix(PREFIX), given:
            case "tell", {"text": str(text)}:
                await self._say({"kind": "message", "text": text})
                return "It was told."
            case "give", {"name": str()}:
                await self._say({**given, "kind": "artifact"})
                return "It was given."
            case "ask", {"question": str(question)}:
                return await self._ask(question)
            case "reply", {"text": str(text)}:
                await self._say({"kind": "reply", "text": text})
                raise Replied(text)
            case "decline", {"why": str(why)}:
                raise Declined(why)
        return f"{name} cannot use these arguments. Mend them and call it again."

    async def elicited(self, requests: Mapping[str, Any]) -> dict[str, Any]:
        """What the user answers to the questions of a tool, as MCP has them (elicitation)."""
        answers = {}
        for key, request in requests.items():
            asked = request["params"]
            answers[key] = await self._answer(str(asked.get("message", "")), elicitation=asked)
        return answers

    async def _ask(self, question: str) -> str:
        return str(await self._answer(question))

    async def _answer(self, question: str, **more: Any) -> Any:
        from pygent_shared.durable import workflow

        number = await self._say({"kind": "question", "text": question, **more})
        answer = await workflow.signalled(reply(number), PATIENCE_SECONDS)
        if answer is None:
            raise Failed("TimeoutError", "the user did not answer for a week")
        await self._say({"kind": "answer"})
        return answer

    async def _say(self, what: dict[str, Any]) -> int:
        from pygent_shared.durable import workflow

        number, self._number = self._number, self._number + 1
        await workflow.publish(said(number), what)
        self._spoke()
        return number
