"""One agent and one script of replies, through the registry over stdio and HTTP, in both eras: the same
result whichever way the host's model is borrowed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from mcp import Client, StdioServerParameters

from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN

from .serving import serving

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
PROGRAM = str(Path(sys.executable).with_name("pygent"))
CALL = {"tool_calls": [{"name": "notes__greet", "arguments": {"name": "tide"}}]}
SCRIPT = [json.dumps(CALL), "It turns at six."]
Host = Callable[..., AbstractAsyncContextManager[Client]]


def servers(folder: Path) -> dict[str, Any]:
    notes = {"command": sys.executable, "args": [str(HERE / "noting_server.py"), str(folder / "calls")]}
    return {"factory": {"server": "factory"}, "notes": notes}


@asynccontextmanager
async def over_stdio(folder: Path, **options: Any) -> AsyncIterator[Client]:
    config = folder / "pygent.json"
    config.write_text(json.dumps({"mcpServers": servers(folder)}))
    env = {
        "PYGENT_DATA_DIR": str(folder / "data"),
        "PYGENT_EMBEDDER": "none",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    parameters = StdioServerParameters(command=PROGRAM, args=["serve", "--config", str(config)], env=env)
    async with Client(parameters, **options) as client:
        yield client


@asynccontextmanager
async def over_http(folder: Path, **options: Any) -> AsyncIterator[Client]:
    settings = Settings(data_dir=folder / "data", embedder="none", token=TOKEN, port=0)
    async with serving(settings, servers(folder)) as up, up.host(TOKEN, **options) as client:
        yield client


class Lender:
    """A host that lends its model, which says what the script says, and hears what a run is at."""

    def __init__(self) -> None:
        self.asked: list[t.CreateMessageRequestParams] = []
        self.heard: list[str | None] = []

    async def __call__(self, context: Any, params: t.CreateMessageRequestParams) -> t.CreateMessageResult:
        text = SCRIPT[len(self.asked)]
        self.asked.append(params)
        return t.CreateMessageResult(role="assistant", model="mine", content=t.TextContent(text=text))

    async def hear(self, number: float, total: float | None, message: str | None) -> None:
        self.heard.append(message)


async def call(client: Client, tool: str, hear: Any = None, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments, progress_callback=hear)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def begun(client: Client, hear: Any = None) -> dict[str, Any]:
    """A run of a new agent."""
    await call(client, "factory__create_agent", name="a", tools=["notes__*"])
    await call(client, "factory__deploy_agent", name="a")
    return await call(client, "factory__run_agent", hear, name="a", task="When does the tide turn?")


def same(run: dict[str, Any], folder: Path) -> None:
    """The one result."""
    assert (run["state"], run["answer"], run["scripted"]) == ("done", SCRIPT[1], False)
    assert run["tools"] == [{"tool": "notes__greet", "arguments": {"name": "tide"}, "error": False}]
    assert (run["usage"]["requests"], run["usage"]["tool_calls"]) == (2, 1)
    assert (folder / "calls").read_text().count("greet") == 1


@pytest.mark.parametrize("host", [over_stdio, over_http])
@pytest.mark.parametrize("mode", ["legacy", "auto"], ids=["sampling-2025", "input-required-2026"])
async def test_a_host_that_lends_its_model_gets_the_answer_from_one_call(
    tmp_path: Path, host: Host, mode: str
) -> None:
    lender = Lender()
    async with host(tmp_path, mode=mode, sampling_callback=lender) as client:
        run = await begun(client, lender.hear)
    same(run, tmp_path)
    assert lender.heard[-2:] == ["tool notes__greet", "model call 2"]
    assert [len(params.messages) for params in lender.asked] == [1, 3]
    assert "notes__greet" in (lender.asked[0].system_prompt or "")


@pytest.mark.parametrize("host", [over_stdio, over_http])
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_host_that_lends_none_answers_by_tool_calls(tmp_path: Path, host: Host, mode: str) -> None:
    async with host(tmp_path, mode=mode) as client:
        run = await begun(client)
        for reply in SCRIPT:
            assert run["state"] == "needs_completion"
            run = await call(client, "factory__continue_run", run=run["run"], reply=reply)
    same(run, tmp_path)
