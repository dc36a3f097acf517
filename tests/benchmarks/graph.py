"""The knowledge graph's times, beside the reference memory server's where it is installed.

    python tests/benchmarks/graph.py [--entities 10000] [--observations 5] [--embedder none]

Both are asked over stdio by the same client with the same calls: entities in batches of 500 and a relation
from each to the next, then, over the full graph, single writes and each way of reading (median of the rounds
in milliseconds, and the kilobytes of the answer as it comes, both as text and as data). "sent at once" is 50
single writes that are not waited for one by one, and how many of them are there afterwards.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult

from pygent_shared.settings import Settings

BATCH = 500
ROUNDS = 5
AT_ONCE = 50
READING: dict[str, tuple[str, dict[str, Any]]] = {
    "read_graph": ("read_graph", {}),
    "open one node": ("open_nodes", {"names": ["Entity 17"]}),
    "search: 1 hit": ("search_nodes", {"query": "gauge 17-3"}),
    "search: many hits": ("search_nodes", {"query": "harbour"}),
    "search: a question": ("search_nodes", {"query": "Which valve did the crew of Entity 17 open?"}),
    "search: no hit": ("search_nodes", {"query": "xylophone"}),
}
PLACES = ("harbour", "valley", "tower", "bridge", "mill", "quarry", "lock")


def entity(number: int, observations: int) -> dict[str, Any]:
    told = [
        f"gauge {number}-{place} by the {PLACES[(number + place) % 7]} is read by crew {number % 97}"
        for place in range(observations)
    ]
    return {"name": f"Entity {number}", "entityType": "station", "observations": told}


async def timed(doing: Callable[[], Awaitable[CallToolResult]]) -> tuple[float, CallToolResult]:
    """Milliseconds, and what came."""
    start = time.perf_counter()
    result = await doing()
    assert not result.is_error, result.content
    return (time.perf_counter() - start) * 1000, result


async def measured(server: StdioServerParameters, count: int, observations: int) -> dict[str, str]:
    """What one server takes, by row of the table."""
    found: dict[str, str] = {}
    async with Client(server, mode="legacy", read_timeout_seconds=600) as client:
        start = time.perf_counter()
        for first in range(0, count, BATCH):
            many = range(first, min(first + BATCH, count))
            await client.call_tool("create_entities", {"entities": [entity(n, observations) for n in many]})
            ties = [{"from": f"Entity {n}", "to": f"Entity {n + 1}", "relationType": "feeds"} for n in many]
            await client.call_tool("create_relations", {"relations": ties})
        found[f"create {count:,} × {observations}"] = f"{time.perf_counter() - start:.1f} s"
        times = []
        for number in range(ROUNDS):
            new = {"entities": [entity(count + number, 1)]}
            times.append((await timed(lambda new=new: client.call_tool("create_entities", new)))[0])
        found["create one more"] = f"{median(times):.1f}"
        for name, (tool, arguments) in READING.items():
            rounds = [
                await timed(lambda tool=tool, given=arguments: client.call_tool(tool, given))
                for _ in range(ROUNDS)
            ]
            size = len(rounds[-1][1].model_dump_json(by_alias=True, exclude_none=True)) / 1000
            entities = len((rounds[-1][1].structured_content or {})["entities"])
            found[name] = f"{median(t for t, _ in rounds):.1f} ({entities} entities, {size:,.0f} kB)"
        found[f"{AT_ONCE} sent at once"] = f"{await _kept(client)} kept"
    return found


async def _kept(client: Client) -> int:
    names = [f"Pipelined {number}" for number in range(AT_ONCE)]
    async with anyio.create_task_group() as tasks:
        for name in names:
            one = {"entities": [{"name": name, "entityType": "x", "observations": []}]}
            tasks.start_soon(client.call_tool, "create_entities", one)
    result = await client.call_tool("open_nodes", {"names": names})
    return len({item["name"] for item in (result.structured_content or {})["entities"]})


def ours(folder: Path, embedder: str) -> StdioServerParameters:
    settings = Settings(data_dir=folder, embedder=embedder, memory_tools="classic")  # type: ignore[arg-type]
    environ = {**settings.environ(), "PYTHONPATH": os.pathsep.join(sys.path)}
    return StdioServerParameters(command=sys.executable, args=["-m", "pygent_memory"], env=environ)


def theirs(folder: Path) -> StdioServerParameters | None:
    """The reference server, or None where it is not installed."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.interop.real_servers import missing
    from tests.interop.reference_memory import parameters

    if why := missing():
        print(why, file=sys.stderr)
        return None
    return parameters(folder / "memory.jsonl")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entities", type=int, default=10_000)
    parser.add_argument("--observations", type=int, default=5)
    parser.add_argument("--embedder", default="none")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        servers = {"ours": ours(folder, chosen.embedder), "reference": theirs(folder)}
        found = {
            which: anyio.run(measured, server, chosen.entities, chosen.observations)
            for which, server in servers.items()
            if server
        }
    print(f"{'':24}" + "".join(f"{which:>36}" for which in found))
    for row in found["ours"]:
        print(f"{row:24}" + "".join(f"{rows[row]:>36}" for rows in found.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
