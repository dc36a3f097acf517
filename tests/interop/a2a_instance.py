"""An instance of ours as its users run it: in a process and with a home of its own, its agents saying what a
script says.

    echo     answers at once
    talker   tells what it does, and hands over a report in two pieces
    asker    asks which river, and goes on with the answer
    waiter   calls a tool of an MCP server that takes as long as it is told
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from mcp import Client

from pygent_factory.server import build_server
from pygent_shared.settings import Settings

from .serving import free_port, started

TOKEN = "a-token-for-an-instance"
START_SECONDS = 60.0
WAITING = Path(__file__).parents[1] / "agents" / "waiting_server.py"


def calls(tool: str, **arguments: Any) -> dict[str, Any]:
    """A reply of a scripted model that calls a tool."""
    return {"tool_calls": [{"name": tool, "arguments": arguments}]}


AGENTS: dict[str, list[Any]] = {
    "echo": ["At six."],
    "talker": [
        calls("user__tell", text="I look it up."),
        calls("user__give", name="report", text="one ", last=False),
        calls("user__give", name="report", text="two", append=True),
        "All said.",
    ],
    "asker": [calls("user__ask", question="Which river?"), "The Elbe, then."],
    "waiter": [calls("waiting__wait", seconds=60), "It is over."],
}


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A running instance."""

    url: str
    home: Path

    @property
    def notes(self) -> list[dict[str, Any]]:
        """What the MCP server `waiting` noted of its calls."""
        path = self.home / "notes.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def furnish(home: Path, **agents: list[Any]) -> None:
    """Write the config of an instance, and make its agents."""
    home.mkdir(parents=True, exist_ok=True)
    waiting = {"command": sys.executable, "args": [str(WAITING), str(home / "notes.jsonl")]}
    servers = {"factory": {"server": "factory"}, "waiting": waiting}
    (home / "pygent.json").write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    settings = Settings(data_dir=home / "data", embedder="none")
    async with Client(build_server(settings, None)) as factory:
        for name, replies in (agents or AGENTS).items():
            script = home / f"{name}.json"
            script.write_text(json.dumps(replies), encoding="utf-8")
            more = {"description": f"The agent {name}.", "tools": ["user__*", "waiting__*"]}
            asked = {"name": name, "model": f"scripted:{script}", "more": more}
            for tool, arguments in (("create_agent", asked), ("deploy_agent", {"name": name})):
                result = await factory.call_tool(tool, arguments)
                assert not result.is_error, result.content


@contextmanager
def instance(home: Path, *program: str, grpc: bool = False) -> Iterator[Instance]:
    """The instance while the block runs; `program` is `pygent up` unless another is named."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", *(program or ("pygent_registry.cli", "up")), "--port", str(port)]
    command += ["--config", str(home / "pygent.json"), "--data-dir", str(home / "data")]
    environment = {"PYGENT_TOKEN": TOKEN, "PYGENT_EMBEDDER": "none", "PYTHONPATH": ":".join(sys.path)}
    environment["PYGENT_A2A_GRPC_PORT"] = str(free_port() if grpc else 0)
    log = home / "log"
    with started(command, environment, log) as process:
        until = time.monotonic() + START_SECONDS
        while not _answers(url):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < until, log.read_text()[-2000:]
            time.sleep(0.2)
        yield Instance(url=url, home=home)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", timeout=30, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
