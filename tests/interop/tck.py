"""The A2A project's conformance kit, run against the real server with the factory behind it.

    python tests/interop/tck.py FOLDER [--kit 0.3] [--grpc] [--level must]

FOLDER is a checkout of github.com/a2aproject/a2a-tck, of its branch 1.0-dev or, for `--kit 0.3`, of 0.3.x;
what it needs is in FOLDER/.venv (`python -m venv .venv && .venv/bin/pip install -e .`). The server is that of
`tests/interop/tck_agent.py`, as everybody gets it, but for three settings: the kit has events pushed to this
machine, sends messages again under the same id and wants new tasks of them, and the kit of 1.0 refuses a card
that has the fields of 0.3 too. Ends with 0 when nothing fails but what is listed here, with the reason.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
KNOWN = {
    "1.0": {
        # 1.0.1 names application/a2a+json, as we answer; the kit is of 1.0.0.
        "test_response_content_type",
        # 1.0.1 has FAILED_PRECONDITION for a version that is not served; 1.0.0 had UNIMPLEMENTED.
        "test_version_not_supported_returns_unimplemented",
    },
    "0.3": {
        # It calls without credentials, which are off here, and wants to be refused.
        "test_authenticated_extended_card_without_auth",
    },
}
AGENTS = {"1.0": "kit", "0.3": "patient"}
PATIENCE = 90.0
_FAILED = re.compile(r"^(?:FAILED|ERROR) \S+::(\w+(?:\[[^\]]*\])?)", re.MULTILINE)


def command(kit: str, url: str, level: str, grpc: bool) -> list[str]:
    """How the kit is told where the server is; that of 1.0 reads where gRPC is on the card."""
    if kit == "0.3":
        return ["run_tck.py", "--sut-url", f"{url}/", "--category", "mandatory", "--transports", "jsonrpc"]
    more = ["--level", level] if level else []
    ways = "grpc,jsonrpc,http_json" if grpc else "jsonrpc,http_json"
    return ["run_tck.py", "--sut-host", url, "--transport", ways, *more]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(card: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(card, timeout=5).close()
            return
        except OSError:
            assert server.poll() is None, "the server ended at once"
            assert time.monotonic() < deadline, "the server did not answer"
            time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the kit")
    parser.add_argument("--kit", choices=KNOWN, default="1.0", help="the version of the protocol it is for")
    parser.add_argument("--level", default="", help="must, should or may; of the kit of 1.0")
    parser.add_argument("--grpc", action="store_true", help="over gRPC too; the kit of 1.0")
    chosen = parser.parse_args()
    port, agent = free_port(), AGENTS[chosen.kit]
    url = f"http://localhost:{port}/agents/{agent}"
    environ = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)])),
        "PYGENT_A2A_PUSH": "anywhere",
        "PYGENT_A2A_REPEAT_SECONDS": "0",
        "PYGENT_A2A_LEGACY": "on" if chosen.kit == "0.3" else "off",
        "PYGENT_A2A_GRPC_PORT": str(free_port() if chosen.grpc else 0),
    }
    with tempfile.TemporaryDirectory() as data:
        serve = [sys.executable, "-m", "tests.interop.tck_agent", "--agent", agent]
        serve += ["--port", str(port), "--data-dir", data]
        with subprocess.Popen(serve, cwd=ROOT, env=environ, stderr=subprocess.DEVNULL) as server:
            try:
                wait_for(f"{url}/.well-known/agent-card.json", server)
                python = chosen.folder.absolute() / ".venv" / "bin" / "python"
                kit = subprocess.run(
                    [python, *command(chosen.kit, url, chosen.level, chosen.grpc)],
                    cwd=chosen.folder,
                    env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                    capture_output=True,
                    text=True,
                )
            finally:
                server.terminate()
                server.wait(PATIENCE)
    summary = [line for line in kit.stdout.splitlines() if re.search(r"\d+ passed", line)]
    print(*summary[-1:] or [kit.stdout, kit.stderr], sep="\n")
    failed = set(_FAILED.findall(kit.stdout))
    unknown = sorted(failed - KNOWN[chosen.kit])
    for name in sorted(failed):
        print("failed:", name, "" if name in unknown else "(known)")
    return int(bool(unknown) or not summary)


if __name__ == "__main__":
    sys.exit(main())
