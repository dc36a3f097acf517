"""What agents say, give and ask while they work, as MCP hosts see it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from pygent_factory.server import build_server
from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

pytestmark = pytest.mark.anyio


def calls(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"name": f"user__{tool}", "arguments": arguments}]}


@asynccontextmanager
async def factory(settings: Settings) -> AsyncIterator[Client]:
    async with Client(build_server(settings, None)) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content or {}


async def deployed(
    client: Client, folder: Path, replies: list[Any], name: str = "tides", **more: Any
) -> None:
    script = folder / f"{name}.json"
    script.write_text(json.dumps(replies))
    made = {"name": name, "model": f"scripted:{script}", "tools": ["user__*"], **more}
    await call(client, "create_agent", **made)
    await call(client, "deploy_agent", name=name)


async def test_a_run_that_asks_its_user_waits_for_the_answer_across_a_restart(
    settings: Settings, tmp_path: Path
) -> None:
    async with factory(settings) as client:
        await deployed(client, tmp_path, [calls("ask", question="At which harbour?"), "At six."])
        run = await call(client, "run_agent", name="tides", task="When does the tide turn?")
        assert (run["state"], run["question"]) == ("needs_input", "At which harbour?")
    async with factory(settings) as client:
        again = await call(client, "get_run", run=run["run"], wait_s=30)
        assert (again["state"], again["question"]) == ("needs_input", "At which harbour?")
        done = await call(client, "continue_run", run=run["run"], reply="Brest")
        trace = str(await client.read_resource(f"run://{run['run']}"))
    assert (done["state"], done["answer"]) == ("done", "At six.")
    assert "Brest" in trace


async def test_what_a_run_says_is_read_on_from_what_was_seen(settings: Settings, tmp_path: Path) -> None:
    replies = [calls("tell", text="I look."), calls("give", name="table", text="six"), "Done."]
    async with factory(settings) as client:
        await deployed(client, tmp_path, replies)
        run = await call(client, "run_agent", name="tides", task="When?")
        rest = await call(client, "get_run", run=run["run"], seen=1)
    assert run["said"] == [
        {"kind": "message", "text": "I look."},
        {"kind": "artifact", "name": "table", "text": "six"},
    ]
    assert rest["said"] == run["said"][1:]


async def test_an_agent_that_declines_says_why(settings: Settings, tmp_path: Path) -> None:
    async with factory(settings) as client:
        await deployed(client, tmp_path, [calls("decline", why="That I do not do.")])
        run = await call(client, "run_agent", name="tides", task="Do it.")
    assert (run["state"], run["declined"], run["error"]) == ("failed", True, "That I do not do.")


async def test_a_run_of_the_same_id_is_the_same_run(settings: Settings, tmp_path: Path) -> None:
    async with factory(settings) as client:
        await deployed(client, tmp_path, ["At six."])
        await deployed(client, tmp_path, ["Full."], "moons")
        first = await call(client, "run_agent", name="tides", task="When?", id="mine")
        again = await call(client, "run_agent", name="tides", task="When?", id="mine")
        listed = await call(client, "list_runs")
        why = await refusal(client, "run_agent", name="moons", task="When?", id="mine")
    assert (first["run"], again["run"], again["answer"]) == ("mine", "mine", "At six.")
    assert [row["run"] for row in listed["runs"]] == ["mine"]
    assert "is that of another run" in why


async def test_only_what_names_them_gives_an_agent_these_tools(settings: Settings, tmp_path: Path) -> None:
    async with factory(settings) as client:
        await deployed(client, tmp_path, [calls("tell", text="I look."), "Done."], tools=["literature__*"])
        run = await call(client, "run_agent", name="tides", task="When?")
    assert run["said"] == []
