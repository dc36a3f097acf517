"""Models by name: what is streamed over each provider's wire, what is no model, and what is not imported."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponsePart, TextPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from pygent_shared import models
from pygent_shared.errors import InvalidArgument
from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings

from .model_wires import Wires
from .test_factory_runs import SCRIPT

WIRES = {
    "openai:gpt-any": ("/v1/chat/completions", {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "{base}/v1"}),
    "ollama:qwen": ("/v1/chat/completions", {"OLLAMA_BASE_URL": "{base}/v1"}),
    "anthropic:claude-any": ("/v1/messages", {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "{base}"}),
}


@pytest.mark.anyio
@pytest.mark.parametrize("number", [0, 1], ids=["tool call", "text"])
@pytest.mark.parametrize("name", WIRES)
async def test_a_streamed_reply_is_the_whole_one(
    name: str, number: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, environ = WIRES[name]
    wires, listener = Wires([SCRIPT[number]]), listen(settings)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value.format(base=address(listener)))
    tool = ToolDefinition(name="notes__search", parameters_json_schema={"type": "object", "properties": {}})
    asked: list[ModelMessage] = [ModelRequest.user_text_prompt("When?")]
    parameters = ModelRequestParameters(function_tools=[tool])
    async with running(wires.app, listener), models.resolve(name) as model:
        async with model.request_stream(asked, None, parameters) as streamed:
            events = [event async for event in streamed]
        whole = await model.request(asked, None, parameters)
    said = streamed.get()
    assert [_plain(part) for part in said.parts] == [_plain(part) for part in whole.parts]
    assert len(events) > 4
    assert (said.usage.input_tokens, said.usage.output_tokens) == (10, 5)
    assert wires.paths == [path] * 2


def _plain(part: ModelResponsePart) -> object:
    if isinstance(part, ToolCallPart):
        return part.tool_name, part.args_as_dict()
    return part.content if isinstance(part, TextPart) else part


@pytest.mark.parametrize("name", ["", "gpt-5", "openai:", "mistral:large", "scripted:"])
def test_a_name_that_is_no_model_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(InvalidArgument, match=r"names no model\. Use auto, host, scripted:FILE"):
        models.checked(name)


def test_neither_the_server_nor_its_first_answer_imports_what_runs_agents() -> None:
    check = """
import sys, anyio
from mcp import Client
from pygent_factory.server import build_server
from pygent_shared.settings import Settings
from pathlib import Path
from tempfile import mkdtemp

async def main():
    async with Client(build_server(Settings(data_dir=Path(mkdtemp())), None)) as client:
        await client.list_tools()
        await client.call_tool("create_agent", {"name": "a"})

anyio.run(main)
print({"pydantic_ai", "dbos", "sqlalchemy", "openai", "anthropic"} & set(sys.modules))
"""
    told = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
