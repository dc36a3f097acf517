"""What the tools answer: a text that a model reads, the same as data, and the files that came. Pure."""

from __future__ import annotations

from typing import Any

import mcp.types as t
from pydantic import BaseModel

from pygent_a2a.remote.content import data_of, files, texts
from pygent_a2a.remote.told import Told

FAILED = frozenset({"failed", "rejected"})


class ArtifactAnswer(BaseModel):
    """Something that an agent made."""

    id: str
    name: str = ""
    description: str = ""
    data: list[Any] = []


class AgentAnswer(BaseModel):
    """Where a request to an agent stands."""

    agent: str
    state: str
    task: str = ""
    context: str = ""
    question: str = ""
    artifacts: list[ArtifactAnswer] = []

    @classmethod
    def of(cls, agent: str, told: Told, handle: str) -> AgentAnswer:
        asked = told.state in ("input-required", "auth-required")
        return cls(
            agent=agent,
            state=told.state,
            task=told.task_id or handle,
            context=told.context_id,
            question=told.last_words if asked else "",
            artifacts=[
                ArtifactAnswer(
                    id=artifact.artifact_id,
                    name=artifact.name,
                    description=artifact.description,
                    data=[data_of(part) for part in artifact.parts if part.WhichOneof("content") == "data"],
                )
                for artifact in told.artifacts
            ],
        )


def answered(agent: str, told: Told, handle: str = "", note: str = "") -> t.CallToolResult:
    """The result of a tool.

    Args:
        handle: what the task is called where the agent has not named it yet.
        note: a sentence about the user, where one is to be said.
    """
    data = AgentAnswer.of(agent, told, handle)
    text = "\n\n".join(filter(None, [made(told), note, _next(data, told)]))
    held = [block for artifact in told.artifacts for block in files(agent, told.task_id, artifact)]
    return t.CallToolResult(
        content=[t.TextContent(text=text), *held],
        structured_content=data.model_dump(mode="json", exclude_defaults=True),
        is_error=data.state in FAILED,
    )


def made(told: Told) -> str:
    """What a model reads of what an agent answered: its artifacts, with their names where there are more."""
    if told.message is not None:
        return texts(told.message.parts)
    found = [(artifact.name, texts(artifact.parts)) for artifact in told.artifacts]
    said = [(name, text) for name, text in found if text]
    several = len(said) > 1
    return "\n\n".join(f"## {name}\n{text}" if several and name else text for name, text in said)


def _next(data: AgentAnswer, told: Told) -> str:
    """Its state, and what is to be done about it."""
    words = told.last_words
    match data.state:
        case "completed":
            return words if words and words not in made(told) else ("" if made(told) else "Done.")
        case "input-required":
            how = f'Call ask_{data.agent} again with task "{data.task}" and the answer as message.'
            return f"The agent asks: {words or 'for more input.'}\n{how}"
        case "auth-required":
            how = (
                "It must be let in somewhere first: do what it says, or give it what it needs under "
                f'"headers" or "auth" of "{data.agent}" in the config file. Then call ask_{data.agent} '
                f'again with task "{data.task}".'
            )
            return f"The agent needs a permission: {words or 'it does not say which.'}\n{how}"
        case "failed" | "rejected" as state:
            how = "failed" if state == "failed" else "refused"
            return f'Agent "{data.agent}" {how}: {words or "it does not say why."}'
        case "canceled":
            return f"The task was stopped. {words}".rstrip()
        case _:
            said = f" It said last: {words}" if words else ""
            return (
                f'The agent works on it still.{said} See how it goes: get_task with task "{data.task}"; '
                "stop it: cancel_task."
            )
