"""What workflows cost beside bare DBOS on the same store, how many a second, and how flat in memory.

    python tests/benchmarks/workflows.py [--steps N] [--many N]

Printed are the times of one step, in a chain of them, in DBOS alone and as a workflow's (a tool that does
nothing), and their ratio: the least of several by turns, as what else the machine does only adds; workflows
of five steps a second, sixteen at once; a graph of 1,000 tasks; and the memory of the process after each
tenth of `--many` workflows.
"""

from __future__ import annotations

import argparse
import gc
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio

from pygent_orchestration import reading
from pygent_orchestration.orchestration import Orchestration
from pygent_orchestration.store import now
from pygent_orchestration.workflows import Workflows
from pygent_shared.arenas import give_back, share_arenas
from pygent_shared.durable.engine import Engine
from pygent_shared.settings import Settings

PATIENCE = 3600.0
TASKS = 1000
ROUNDS = 15


class Nothing:
    """A peer with one tool that does nothing."""

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"structuredContent": {"number": arguments["number"]}}

    async def list_tools(self) -> list[dict[str, Any]]:
        return [{"name": "no__op", "inputSchema": {"type": "object"}}]


def step(number: int, needs: list[int]) -> str:
    names = [f"s{other}" for other in needs]
    return f'[steps.s{number}]\ntool = "no__op"\nwith.number = {number}\nneeds = {names}\n'


def chain(length: int) -> str:
    return "".join(step(number, [number - 1] if number else []) for number in range(length))


def graph(tasks: int) -> str:
    """Each task after up to three of the hundred before it."""
    chance = random.Random(7)
    lines = ["concurrency = 16\n"]
    for number in range(tasks):
        before = range(max(0, number - 100), number)
        lines.append(step(number, chance.sample(before, min(len(before), chance.randrange(4)))))
    return "".join(lines)


def bare(engine: Engine) -> None:
    """A workflow of so many steps that is DBOS's alone."""

    async def steps(count: int) -> int:
        from dbos import DBOS

        async def one(number: int) -> dict[str, Any]:
            return {"value": {"number": number}}

        for number in range(count):
            await DBOS.run_step_async({"name": f"s{number}"}, one, number)
        return count

    engine.workflow("bare", steps)


async def timed(do: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await do()
    return time.perf_counter() - began


def memory() -> float:
    """Megabytes of this process that are in memory, its free pages given back."""
    gc.collect()
    give_back()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


async def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--steps", type=int, default=100)
    asked.add_argument("--many", type=int, default=10_000)
    options = asked.parse_args()
    share_arenas()
    with tempfile.TemporaryDirectory() as folder:
        orchestration = Orchestration(Settings(data_dir=Path(folder), embedder="none"), Nothing())
        texts = {"one": chain(1), "five": chain(5), "chain": chain(options.steps), "graph": graph(TASKS)}
        bare(orchestration._engine)
        async with orchestration.lifespan(None):
            for name, text in texts.items():
                orchestration.store.define(name, reading.definition(text, "toml"), now())
            workflows = await orchestration.workflows()
            await per_step(orchestration._engine, workflows, options.steps)
            await per_second(workflows)
            took = await timed(lambda: ran(workflows, "graph"))
            print(f"a graph of {TASKS} tasks      {took:8.2f} s   {TASKS / took:8.0f} tasks/s")
            await kept(workflows, options.many)


async def ran(workflows: Workflows, name: str) -> str:
    id = await workflows.begin(name, {})
    status = await workflows._engine.wait(id, PATIENCE)
    assert status.state == "done", status
    assert not status.result.get("error"), status
    return id


async def per_step(engine: Engine, workflows: Workflows, steps: int) -> None:
    async def bare() -> str:
        id = await engine.enqueue("bare", steps)
        await engine.wait(id, PATIENCE)
        return id

    async def ours() -> str:
        return await ran(workflows, "chain")

    rows: dict[str, list[float]] = {"bare": [], "ours": []}
    for _ in range(ROUNDS):
        for name, one in (("bare", bare), ("ours", ours)):
            done = await engine.steps(await one())
            rows[name].append((done[-1].ended - done[0].started).total_seconds() / steps)
    alone_s, ours_s = min(rows["bare"]), min(rows["ours"])
    print(f"a step in bare DBOS        {alone_s * 1000:8.2f} ms")
    print(f"a step of a workflow       {ours_s * 1000:8.2f} ms   ratio {ours_s / alone_s:.2f}", flush=True)


async def per_second(workflows: Workflows, count: int = 200) -> None:
    room = anyio.CapacityLimiter(16)

    async def one() -> None:
        async with room:
            await ran(workflows, "five")

    async def all() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(one)

    took = await timed(all)
    print(f"workflows of five steps    {count / took:8.1f} a second, 16 at once")


async def kept(workflows: Workflows, many: int) -> None:
    """Begin so many, a hundred at a time, and look at the memory now and then."""
    sizes = []
    began = time.perf_counter()
    for tenth in range(10):
        for _ in range(max(1, many // 1000)):
            async with anyio.create_task_group() as tasks:
                for _ in range(min(100, many // 10)):
                    tasks.start_soon(ran, workflows, "one")
        sizes.append(memory())
        print(f"  after {many * (tenth + 1) // 10:6} workflows     {sizes[-1]:8.1f} MB", flush=True)
    took = time.perf_counter() - began
    print(f"{many} workflows took {took:.0f} s; from a tenth to all {sizes[-1] - sizes[0]:+.1f} MB")


if __name__ == "__main__":
    anyio.run(main)
