"""A coding task from end to end: agents of the factory over MCP, the gates in the sandbox, the memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from pygent_factory.server import build_server as build_factory
from pygent_memory.server import build_server as build_memory
from pygent_orchestration.actions import Actions
from pygent_orchestration.coding.task import Coding
from pygent_orchestration.coding.work import CODING, Done, Work
from pygent_shared.durable.engine import Engine
from pygent_shared.sandbox.run import missing
from pygent_shared.settings import Settings

from .coding_peers import git
from .gates_toy import RIGHT, WRONG, Toy

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(bool(missing()), reason=str(missing()))]

CHEAT = "def add(one: int, other: int) -> int:\n    return {(2, 3): 5, (-1, 1): 0, (7, 1): 8}[one, other]\n"


class Servers:
    """The factory and the memory, as their clients see them: `Peers`."""

    def __init__(self, clients: dict[str, Client]) -> None:
        self._clients = clients

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        server, _, tool = name.partition("__")
        result = await self._clients[server].call_tool(tool, arguments)
        return result.model_dump(mode="json", by_alias=True)

    async def list_tools(self) -> list[dict[str, Any]]:
        return []


@asynccontextmanager
async def servers(settings: Settings) -> AsyncIterator[Servers]:
    async with AsyncExitStack() as stack:
        factory = await stack.enter_async_context(Client(build_factory(settings, None)))
        memory = await stack.enter_async_context(Client(build_memory(settings, None)))
        yield Servers({"factory": factory, "memory": memory})


def writes(text: str) -> list[Any]:
    """A model that writes one file, and says that it is done."""
    call = {"name": "workspace__write", "arguments": {"path": "sums.py", "text": text}}
    return [{"tool_calls": [call]}, "It adds."]


async def agent(peers: Servers, folder: Path, name: str, type: str, script: Any) -> None:
    """Deploy an agent whose model says what a script says."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(script))
    await peers.call_tool("factory__create_agent", {"name": name, "type": type, "model": f"scripted:{path}"})
    await peers.call_tool("factory__deploy_agent", {"name": name})


async def test_a_cheat_is_found_out_a_fault_is_mended_and_what_is_right_is_reviewed_and_merged(
    settings: Settings, tmp_path: Path
) -> None:
    toy = Toy(tmp_path)
    coder = {"tests is red": writes(RIGHT), "held-out": writes(WRONG), "add adds": writes(CHEAT)}
    work = Work(
        task="add",
        prp="# Sums\n\nadd adds two numbers.",
        repository=str(toy.worktree),
        base="main",
        branch="feature/sums",
        policy=toy.policy().model_dump(mode="json"),
        coder="coder",
        reviewer="critic",
    )
    async with servers(settings) as peers:
        await agent(peers, tmp_path, "coder", "coding", coder)
        await agent(peers, tmp_path, "critic", "review", ['{"approved": true, "summary": "It adds."}'])
        engine = Engine(settings.durable_store, name="coding")
        engine.workflow(CODING, Coding(Actions(peers), tmp_path / "coding").work)
        async with engine.running():
            await engine.start(CODING, work.model_dump(mode="json"), id="w")
            ended = await engine.wait("w", 120)
        known = {"query": "adds two numbers", "space": "coding"}
        found = await peers.call_tool("memory__memory_search", known)
    done = Done.model_validate(ended.result)
    red = [
        [gate["name"] for gate in attempt.verdict["gates"] if not gate["green"]]
        for attempt in done.attempts
        if attempt.verdict
    ]
    assert (done.state, red) == ("green", [["held-out cases"], ["tests", "held-out cases"], []]), done
    assert git(toy.worktree, "show", "feature/sums:sums.py") == RIGHT.strip()
    assert (toy.worktree / "sums.py").read_text() == ""
    assert git(toy.worktree, "worktree", "list").count("\n") == 0
    assert git(toy.worktree, "for-each-ref", "--format=%(refname:short)").split() == ["feature/sums", "main"]
    [kept] = found["structuredContent"]["results"]
    assert kept["text"].startswith("Task add was done by coder in 3 attempt(s): add adds two numbers.")
