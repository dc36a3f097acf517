"""How long until the registry answers its first line, beside the time of `import mcp` alone.

    python tests/benchmarks/startup.py [RUNS]

Prints the median and minimum seconds from spawn to the answer of `initialize` (2025 era) and of
`server/discover` (2026 era) on `pygent serve`, and their ratio to `python -c "import mcp"`, taken in turn in
one run. The target is a ratio under 1.5.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

SERVE = [sys.executable, "-m", "pygent_registry.cli", "serve"]
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "0"},
}
DISCOVER = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "0"},
    }
}


def import_seconds() -> float:
    """One `python -c "import mcp"`, spawn to exit."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import mcp"], check=True)
    return time.perf_counter() - began


def answer_seconds(method: str, params: dict[str, Any]) -> float:
    """One `pygent serve`, spawn to the end of its answer to one line."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with subprocess.Popen(
            SERVE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYGENT_DATA_DIR": folder},
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
            answered = json.loads(process.stdout.readline())
            seconds = time.perf_counter() - began
            process.stdin.close()
        assert "result" in answered, answered
        return seconds


def measure(runs: int) -> dict[str, list[float]]:
    """Every case once a round, so that a busy moment of the machine meets them all."""
    cases: dict[str, Callable[[], float]] = {
        "import mcp": import_seconds,
        "initialize": lambda: answer_seconds("initialize", INITIALIZE),
        "server/discover": lambda: answer_seconds("server/discover", DISCOVER),
    }
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(runs):
        for name, case in cases.items():
            taken[name].append(case())
    return taken


def main() -> None:
    taken = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
    base = statistics.median(taken["import mcp"])
    print(f"{'case':18} {'median s':>9} {'min s':>7} {'ratio':>6}")
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        print(f"{name:18} {median:9.2f} {min(seconds):7.2f} {median / base:6.2f}")


if __name__ == "__main__":
    main()
