"""What a durable run costs beside the same agent run bare: one scripted model, one tool call, one answer.

    python tests/benchmarks/agents.py [--runs N]

Printed are the medians of a run in pydantic-ai alone, of the same through the factory's tool `run_agent`
(which writes each step down before the next), and their difference; and the processor time of each.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import anyio
from mcp import Client

from pygent_factory.server import build_server
from pygent_shared.settings import Settings

CALL = {"tool_calls": [{"name": "notes__search", "arguments": {"query": "tide"}}]}
SCRIPT = [CALL, "The tide turns at six."]


class Notes:
    """A peer with one tool."""

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": "The tide turns at six."}]}

    async def list_tools(self) -> list[dict[str, Any]]:
        schema = {"type": "object", "properties": {"query": {"type": "string"}}}
        return [{"name": "notes__search", "description": "Search notes.", "inputSchema": schema}]


async def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--runs", type=int, default=100)
    runs = asked.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.json"
        script.write_text(json.dumps(SCRIPT))
        settings = Settings(data_dir=Path(folder), embedder="none")
        async with Client(build_server(settings, Notes())) as client:
            created = {"name": "tides", "model": f"scripted:{script}", "tools": ["notes__*"]}
            await client.call_tool("create_agent", created)
            await client.call_tool("deploy_agent", {"name": "tides"})

            async def durable() -> None:
                result = await client.call_tool("run_agent", {"name": "tides", "task": "When?"})
                assert result.structured_content is not None
                assert result.structured_content["state"] == "done"

            alone = bare(script)
            rows = {"pydantic-ai bare": await timed(alone, runs), "run_agent": await timed(durable, runs)}
    for name, (wall, cpu) in rows.items():
        print(f"{name:<18} {wall * 1000:6.1f} ms median   {cpu * 1000:6.1f} ms CPU a run")
    (bare_wall, _), (durable_wall, _) = rows.values()
    print(f"overhead {1000 * (durable_wall - bare_wall):.1f} ms, {durable_wall / bare_wall:.1f} times")


def bare(script: Path) -> Callable[[], Awaitable[None]]:
    """The same agent in pydantic-ai, with a function for a tool."""
    from pydantic_ai import Agent

    from pygent_shared.models.scripted import ScriptedModel

    async def notes__search(query: str) -> str:
        return "The tide turns at six."

    async def run() -> None:
        agent = Agent(ScriptedModel(script), instructions="Help.", tools=[notes__search])
        await agent.run("When?")

    return run


async def timed(run: Callable[[], Awaitable[None]], times: int) -> tuple[float, float]:
    """Seconds of the median run, and processor seconds of the average one; the first few warm up."""
    for _ in range(5):
        await run()
    walls, before = [], time.process_time()
    for _ in range(times):
        begun = time.perf_counter()
        await run()
        walls.append(time.perf_counter() - begun)
    return median(walls), (time.process_time() - before) / times


if __name__ == "__main__":
    anyio.run(main)
