"""What the policies cost a plain call, in microseconds of processor time: each alone, and the chain of all.

    python tests/benchmarks/policies.py [--calls N]

No server and no host: the innermost handler answers at once, so what is measured is the wrappers. Each figure
is the least of several rounds, which a busy machine hardly moves.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio

from pygent_registry.config import parse
from pygent_registry.policies import Policy, Request, wrapped
from pygent_registry.registry import Registry
from pygent_shared.settings import Settings

ROUNDS = 7
RESULT = {"content": [{"type": "text", "text": "hello " * 20}], "structuredContent": {"said": "hello"}}
TOOL = {"name": "echo", "description": "Say it back.", "inputSchema": {"type": "object"}}


def request() -> Request:
    """A host's call over stdio."""
    client = SimpleNamespace(client_info=SimpleNamespace(name="benchmark", version="0"))
    session = SimpleNamespace(client_params=client)
    context: Any = SimpleNamespace(session=session, request=None, method="tools/call", meta=None)
    params = {"name": "echo", "arguments": {"say": "hello"}}
    return Request(server="a", name="a__echo", params=params, context=context, definition=TOOL)


async def answer(request: Request) -> dict[str, Any]:
    return RESULT


async def microseconds(policies: list[Policy], calls: int) -> float:
    """Processor time of one call through these, the bare handler's own included."""
    handle, asked = wrapped(answer, policies), request()
    least = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(calls):
            await handle(asked)
        least = min(least, time.process_time() - began)
    return least / calls * 1e6


async def measure(calls: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), embedder="none")
        registry = Registry(parse({"mcpServers": {"a": {"command": "none"}}}), settings)
        bare = await microseconds([], calls)
        for policy in registry.policies:
            name = policy.__qualname__.partition(".")[0]
            print(f"{name:20} {await microseconds([policy], calls) - bare:7.1f}", flush=True)
        print(f"{'all together':20} {await microseconds(registry.policies, calls) - bare:7.1f}")
        registry.journal.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="What the policies cost a plain call.")
    parser.add_argument("--calls", type=int, default=5000)
    anyio.run(measure, parser.parse_args().calls)


if __name__ == "__main__":
    main()
