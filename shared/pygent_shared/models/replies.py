"""A model's reply as plain data, the same for the host's model and for a script.

"text"  or  {"text": "…", "tool_calls": [{"name": "…", "arguments": {…}}]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

PROTOCOL = """\
You can use these tools:
{tools}

To use some, answer with nothing but this JSON, and their results come back:
{{"tool_calls": [{{"name": "…", "arguments": {{…}}}}]}}"""


def reply(data: Any, model: str) -> ModelResponse:
    """A reply from data. A text that is such JSON is taken as that; what is neither, as a text."""
    if not (isinstance(data, dict) and _called(data)):
        text = data if isinstance(data, str) else json.dumps(data)
        data = _asked(text) or {"text": text}
    calls = [
        ToolCallPart(
            tool_name=str(call["name"]),
            args=_arguments(call.get("arguments")),
            # Like a random id, but the same when a run goes on after a crash.
            tool_call_id=f"call_{uuid5(NAMESPACE_OID, json.dumps([data, place], sort_keys=True)).hex[:16]}",
        )
        for place, call in enumerate(data.get("tool_calls") or ())
    ]
    text = str(data.get("text") or "")
    texts = [TextPart(text)] if text or not calls else []
    return ModelResponse(parts=[*texts, *calls], model_name=model)


def prompt(messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> dict[str, Any]:
    """What a model is to answer, as data: `system`, and `messages` of a `role` and a `text`."""
    system: list[str] = []
    said: list[dict[str, str]] = []
    for message in messages:
        if isinstance(message, ModelResponse):
            said.append({"role": "assistant", "text": _said(message)})
            continue
        system += [part.content for part in message.parts if part.part_kind == "system-prompt"]
        system = [*system, message.instructions] if message.instructions else system
        said += [{"role": "user", "text": text} for text in _told(message)]
    tools = [*parameters.function_tools, *parameters.output_tools]
    if tools:
        system.append(PROTOCOL.format(tools="\n".join(map(_tool, tools))))
    return {"system": "\n\n".join(dict.fromkeys(system)), "messages": said}


def _arguments(given: Any) -> dict[str, Any] | str:
    """The arguments of a call. What is no object goes on as it is, as a text, and the model is told of it."""
    return dict(given or {}) if isinstance(given, dict | None) else json.dumps(given)


def _asked(text: str) -> dict[str, Any] | None:
    """The tool calls that a text is; None where it is none."""
    stripped = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if not stripped.startswith("{"):
        return None
    try:
        data = json.loads(stripped)
    except ValueError:
        return None
    return data if data.get("tool_calls") and _called(data) else None


def _called(data: Mapping[str, Any]) -> bool:
    """Whether the tool calls in it, if there are any, are such."""
    calls = data.get("tool_calls") or []
    return isinstance(calls, list) and all(isinstance(call, dict) and "name" in call for call in calls)


def _said(response: ModelResponse) -> str:
    calls = [
        {"name": part.tool_name, "arguments": part.args_as_dict()}
        for part in response.parts
        if isinstance(part, ToolCallPart)
    ]
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    return (
        json.dumps({"text": text, "tool_calls": calls} if text else {"tool_calls": calls}) if calls else text
    )


def _told(request: ModelRequest) -> list[str]:
    texts = []
    for part in request.parts:
        if part.part_kind == "user-prompt":
            texts.append(part.content if isinstance(part.content, str) else str(part.content))
        elif part.part_kind == "tool-return":
            texts.append(f"Result of {part.tool_name}:\n{part.model_response_str()}")
        elif part.part_kind == "retry-prompt":
            texts.append(part.model_response())
    return texts


def _tool(tool: ToolDefinition) -> str:
    schema = json.dumps(tool.parameters_json_schema)
    return f"- {tool.name}: {' '.join((tool.description or '').split())}\n  arguments: {schema}"
