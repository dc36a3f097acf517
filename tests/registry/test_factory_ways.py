"""One agent with two tools and one script of replies: the same result over the wire of each provider, which
refuses each request twice before it answers, and whichever way the host's own model is borrowed; each with
the factory alone, and through the registry over stdio and HTTP.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from mcp import Client, StdioServerParameters
from tests.servers.model_wires import Wires

from pygent_factory.server import build_server
from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN

from .serving import serving

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
PROGRAM = str(Path(sys.executable).with_name("pygent"))

TURN = {"name": "tides__turn", "arguments": {"place": "north quay"}}
DEPTHS = [{"name": "tides__depth", "arguments": {"hour": hour}} for hour in (6, 12)]
ANSWER = "It turns at 6, when it is 3 metres deep, and 6 at noon."
SCRIPT: list[Any] = [{"tool_calls": [TURN, DEPTHS[0]]}, {"tool_calls": [DEPTHS[1]]}, ANSWER]
RESULTS = ["At north quay it turns at 6.", "At 6 it is 3 metres deep.", "At 12 it is 6 metres deep."]

RESULT = {
    "state": "done",
    "answer": ANSWER,
    "error": "",
    "scripted": False,
    "tools": [
        {"tool": call["name"], "arguments": call["arguments"], "error": False} for call in (TURN, *DEPTHS)
    ],
}


@dataclass
class Way:
    """How an agent gets at its model: the variables it is found by, and what the host can do."""

    model: str
    environ: dict[str, str] = field(default_factory=dict)
    mode: Any = "auto"
    lends: bool = False


OPENAI = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "{base}/v1"}
ANTHROPIC = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "{base}"}
WAYS = {
    "openai-wire": Way("openai:gpt-any", OPENAI),
    "anthropic-wire": Way("anthropic:claude-any", ANTHROPIC),
    "ollama-wire": Way("ollama:qwen", {"OLLAMA_BASE_URL": "{base}/v1"}),
    "sampling-2025": Way("host", mode="legacy", lends=True),
    "input-required-2026": Way("host", lends=True),
    "handed-back-2025": Way("host", mode="legacy"),
    "handed-back-2026": Way("host"),
}


class Lender:
    """A host that lends its model, which says what the script says."""

    def __init__(self) -> None:
        self.asked: list[t.CreateMessageRequestParams] = []

    async def __call__(self, context: Any, params: t.CreateMessageRequestParams) -> t.CreateMessageResult:
        text = as_text(SCRIPT[len(self.asked)])
        self.asked.append(params)
        return t.CreateMessageResult(role="assistant", model="mine", content=t.TextContent(text=text))


class Tides:
    """The server of the two tools, as the peer of a factory that stands alone."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        result = await self._client.call_tool(name.removeprefix("tides__"), arguments)
        return result.model_dump(mode="json", by_alias=True)

    async def list_tools(self) -> list[dict[str, Any]]:
        listed = (await self._client.list_tools()).tools
        shown = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed]
        return [{**tool, "name": f"tides__{tool['name']}"} for tool in shown]


Place = Callable[..., AbstractAsyncContextManager[tuple[Client, str]]]


@asynccontextmanager
async def alone(folder: Path, environ: dict[str, str], **options: Any) -> AsyncIterator[tuple[Client, str]]:
    tides = StdioServerParameters(
        command=sys.executable, args=[str(HERE / "tide_server.py"), str(folder / "calls")]
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        async with Client(tides) as peer:
            settings = Settings(data_dir=folder / "data", embedder="none")
            async with Client(build_server(settings, Tides(peer)), **options) as client:
                yield client, ""


@asynccontextmanager
async def over_stdio(
    folder: Path, environ: dict[str, str], **options: Any
) -> AsyncIterator[tuple[Client, str]]:
    config = folder / "pygent.json"
    config.write_text(json.dumps({"mcpServers": servers(folder)}))
    env = {
        "PYGENT_DATA_DIR": str(folder / "data"),
        "PYGENT_EMBEDDER": "none",
        "PYTHONPATH": os.pathsep.join(sys.path),
        **environ,
    }
    parameters = StdioServerParameters(command=PROGRAM, args=["serve", "--config", str(config)], env=env)
    async with Client(parameters, **options) as client:
        yield client, "factory__"


@asynccontextmanager
async def over_http(
    folder: Path, environ: dict[str, str], **options: Any
) -> AsyncIterator[tuple[Client, str]]:
    settings = Settings(data_dir=folder / "data", embedder="none", token=TOKEN, port=0)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        async with serving(settings, servers(folder)) as up, up.host(TOKEN, **options) as client:
            yield client, "factory__"


def servers(folder: Path) -> dict[str, Any]:
    tides = {"command": sys.executable, "args": [str(HERE / "tide_server.py"), str(folder / "calls")]}
    return {"factory": {"server": "factory"}, "tides": tides}


PLACES = {"alone": alone, "registry-stdio": over_stdio, "registry-http": over_http}


async def call(client: Client, tool: str, hear: Any = None, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments, progress_callback=hear)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


def as_text(reply: Any) -> str:
    return reply if isinstance(reply, str) else json.dumps(reply)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_the_same_script_gives_the_same_result(
    tmp_path: Path, settings: Settings, way: Way, place: Place
) -> None:
    wires, lender, heard = Wires(SCRIPT), Lender(), list[str | None]()

    async def hear(number: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with AsyncExitStack() as stack:
        environ = way.environ
        if environ:
            listener = listen(settings)
            await stack.enter_async_context(running(wires.app, listener))
            environ = {name: value.format(base=address(listener)) for name, value in environ.items()}
        options = {"mode": way.mode, **({"sampling_callback": lender} if way.lends else {})}
        client, prefix = await stack.enter_async_context(place(tmp_path, environ, **options))
        await call(client, f"{prefix}create_agent", name="a", model=way.model, tools=["tides__*"])
        await call(client, f"{prefix}deploy_agent", name="a")
        run = await call(client, f"{prefix}run_agent", hear, name="a", task="When, and how deep?")
        told: list[str] = []
        for reply in SCRIPT if way.model == "host" and not way.lends else ():
            assert run["state"] == "needs_completion"
            told = [message["text"] for message in run["messages"]]
            run = await call(client, f"{prefix}continue_run", run=run["run"], reply=as_text(reply))

    assert {name: run[name] for name in RESULT} == RESULT
    assert (run["usage"]["requests"], run["usage"]["tool_calls"]) == (3, 3)
    assert sorted((tmp_path / "calls").read_text().splitlines()) == ["depth 12", "depth 6", "turn north quay"]
    if way.environ:
        assert wires.refused == 6
        told = [json.dumps(wires.asked[-1])]
    if way.lends:
        told = [str(message.content) for message in lender.asked[-1].messages]
        assert "tides__turn" in (lender.asked[0].system_prompt or "")
    if way.lends:
        assert heard[-3:] == ["model call 2", "tool tides__depth", "model call 3"]
    assert all(any(result in text for text in told) for result in RESULTS)
