"""What a call costs behind `pygent serve`, beside a direct call and FastMCP's proxy, in one run.

    python tests/benchmarks/gateway.py [--quick] [--calls N] [--no-peer] [--only WORD]

For each transport and protocol era of the host: CPU milliseconds a call in the process in the middle (from
/proc, so Linux only: the lowest of several batches, because a busy machine raises it), p50 and p99 of
sequential calls, calls/s with 32 in flight, seconds from spawn to a first `tools/list` that holds all (with 1
and with 10 servers behind; at the first start ever, and at a later one), memory with 1 (resident, and without
what is shared with other processes), and seconds until a call is answered again after kill -9 of the server
behind. Each with its ratio to the server called directly, and to the proxy.

The server behind is `tests/registry/stdio_servers.py` (2025 era, no tools of its own in the middle: what
costs is the way); for the lists one that takes a second to start. The client is this file: the standard
library, nothing else. FastMCP is installed into a venv of its own below ~/.cache/pygent.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVERS = str(Path(__file__).parents[1] / "registry" / "stdio_servers.py")
BEHIND = [sys.executable, SERVERS, "well_behaved"]
START_SECONDS = "1"
SLOW = [sys.executable, SERVERS, "slow", START_SECONDS]
SERVE = [sys.executable, "-m", "pygent_registry.cli", "serve"]
HTTP = ["--transport", "http", "--port", "0", "--auth", "none"]
PEER = "fastmcp==4.1.2"
PEER_SCRIPT = """
import asyncio, json, sys
from fastmcp import Client, FastMCP
from fastmcp.server import create_proxy
async def main():
    # One client for each server, connected once: its fastest way; from a config file it spawns for each call.
    front = FastMCP("peer")
    clients = []
    for name, entry in json.load(open(sys.argv[1]))["mcpServers"].items():
        client = Client({"mcpServers": {name: entry}})
        clients.append(await client.__aenter__())
        front.mount(create_proxy(client), namespace=name)
    if sys.argv[2:]:
        await front.run_async(transport="http", port=int(sys.argv[2]), show_banner=False, log_level="info")
    else:
        await front.run_async(transport="stdio", show_banner=False)
asyncio.run(main())
"""
IN_FLIGHT = 32
WARM_UP = 100
BATCHES = 5
PATIENCE_SECONDS = 20.0
BACK_SECONDS = 10.0
WHO = {"name": "benchmark", "version": "0"}
MODERN = "2026-07-28"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": WHO,
}
Message = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    command: list[str]
    prefix: str = "s0__"
    modern: bool = False
    http: bool = False

    @property
    def proxied(self) -> bool:
        return self.command is not BEHIND


class Line:
    """A client over a child's stdin and stdout."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin, process.stdout

    def send(self, message: Message) -> None:
        self._to.write(json.dumps(message).encode() + b"\n")
        self._to.flush()

    def ask(self, message: Message) -> Message:
        self.send(message)
        while (answer := self._receive()).get("id") != message["id"]:
            pass
        return answer

    def ask_all(self, messages: list[Message]) -> None:
        """Keep IN_FLIGHT of these unanswered."""
        for sent, message in enumerate(messages):
            self.send(message)
            if sent >= IN_FLIGHT - 1:
                self._receive()
        for _ in messages[1:IN_FLIGHT]:
            self._receive()

    def _receive(self) -> Message:
        while line := self._from.readline():
            message: Message = json.loads(line)
            if "method" not in message:
                return message
        raise SystemExit("The program ended in the middle of the measurement.")


class Post:
    """A client over streamable HTTP: one connection, kept alive."""

    def __init__(self, host: str, headers: dict[str, str]) -> None:
        self._host, self._headers = host, headers
        self._connection = http.client.HTTPConnection(host, timeout=PATIENCE_SECONDS)

    def send(self, message: Message) -> None:
        self._post(message)

    def ask(self, message: Message) -> Message:
        body = self._post(message)
        events = [line[5:] for line in body.splitlines() if line.startswith(b"data:") and line[5:].strip()]
        return next(
            answer for answer in map(json.loads, events or [body]) if answer.get("id") == message["id"]
        )

    def ask_all(self, messages: list[Message]) -> None:
        """Over IN_FLIGHT connections."""

        def some(share: list[Message]) -> None:
            client = Post(self._host, self._headers)
            for message in share:
                client.ask(message)
            client._connection.close()

        threads = [threading.Thread(target=some, args=(messages[i::IN_FLIGHT],)) for i in range(IN_FLIGHT)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _post(self, message: Message) -> bytes:
        accept = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        named = {"Mcp-Method": message["method"]}
        if name := (message.get("params") or {}).get("name"):
            named["Mcp-Name"] = name
        self._connection.request("POST", "/mcp", json.dumps(message), {**self._headers, **accept, **named})
        response = self._connection.getresponse()
        if session := response.getheader("Mcp-Session-Id"):
            self._headers["Mcp-Session-Id"] = session
        return response.read()


class Host:
    """A host of one era in front of a running program."""

    def __init__(self, case: Case, process: subprocess.Popen[bytes], client: Line | Post) -> None:
        self._case, self.process, self.client = case, process, client
        self._number = 0

    def request(self, method: str, **params: Any) -> Message:
        self._number += 1
        if self._case.modern:
            params["_meta"] = ENVELOPE
        return {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}

    def greet(self) -> None:
        if not self._case.modern:
            hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": WHO}
            self.client.ask(self.request("initialize", **hello))
            self.client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def call(self, tool: str) -> Message:
        prefix = self._case.prefix if self._case.proxied else ""
        return self.request("tools/call", name=prefix + tool, arguments={"say": "hello"})

    def list_all(self, servers: int) -> None:
        """Ask for the tools until those of all servers are there."""
        for _ in range(1000):
            listed = self.client.ask(self.request("tools/list"))["result"]["tools"]
            if sum(tool["name"].endswith("echo") for tool in listed) == servers:
                return
            time.sleep(0.01)
        raise SystemExit(f"{self._case.name}: not all of {servers} servers came up.")


@contextmanager
def running(case: Case, folder: Path, servers: int, behind: list[str] = BEHIND) -> Iterator[Host]:
    """The program over that many servers; on the way out it is ended by its pid."""
    config = folder / "mcp.json"
    entry = {"command": behind[0], "args": behind[1:]}
    config.write_text(json.dumps({"mcpServers": {f"s{number}": entry for number in range(servers)}}))
    said = folder / "stderr"
    environment = {**os.environ, "PYGENT_DATA_DIR": str(folder), "PYGENT_CONFIG": str(config)}
    words = {"CONFIG": str(config), "PORT": str(free_port())}
    command = behind if not case.proxied else [words.get(word, word) for word in case.command]
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment
        )
    try:
        host = Host(case, process, _post(said, case.modern) if case.http else Line(process))
        host.greet()
        yield host
    finally:
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            with suppress(OSError):
                stream.close()
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _post(said: Path, modern: bool) -> Post:
    """A client to the address that the program announces on stderr, once it listens there."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        for word in said.read_text().split():
            if word.startswith("http://127.0.0.1:"):
                host = word.removeprefix("http://").partition("/")[0]
                with suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", int(host.partition(":")[2]))).close()
                    return Post(host, {"MCP-Protocol-Version": MODERN if modern else "2025-06-18"})
        time.sleep(0.005)
    raise SystemExit("The program did not announce its address.")


def first_list_seconds(case: Case, folder: Path, servers: int) -> float:
    """From spawn to the list that holds the tools of all servers, each of which takes a second to start."""
    began = time.perf_counter()
    with running(case, folder, servers, SLOW) as host:
        host.list_all(servers)
        return time.perf_counter() - began


def cpu_seconds(pid: int) -> float:
    """Processor time of one process, all its threads, its children not included."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory of one process, and the part of it that is its own."""
    kilobytes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        kilobytes[name] = int(value)
    own = kilobytes["Private_Clean:"] + kilobytes["Private_Dirty:"]
    return kilobytes["Rss:"] / 1024, own / 1024


def back_seconds(host: Host) -> float | None:
    """From kill -9 of the server behind to the next call that it answers; None if it never comes back."""
    answer = host.client.ask(host.call("pid"))["result"]
    old = answer["content"][0]["text"]
    os.kill(int(old), signal.SIGKILL)
    began = time.perf_counter()
    with suppress(TimeoutError):  # no answer at all
        while time.perf_counter() - began < BACK_SECONDS:
            result = host.client.ask(host.call("pid")).get("result", {})
            if not result.get("isError") and result and result["content"][0]["text"] != old:
                return time.perf_counter() - began
            time.sleep(0.005)
    return None


ROWS = {
    "cpu": "CPU ms a call",
    "p50": "p50 ms",
    "p99": "p99 ms",
    "rate": f"calls/s, {IN_FLIGHT} in flight",
    "first 1": "first list s, 1 server",
    "first 10": "first list s, 10 servers",
    "later 1": "later start: list s, 1 server",
    "later 10": "later start: list s, 10 servers",
    "resident": "memory MB, resident",
    "own": "memory MB, own",
    "back": "back s after kill -9",
}
Figures = dict[str, float | None]


def measure(case: Case, calls: int) -> Figures:
    """All the figures of one case; None where there is none, or where it never comes to be."""
    figures: Figures = dict.fromkeys(ROWS)
    for servers in (1, 10) if case.proxied else (1,):
        with tempfile.TemporaryDirectory() as folder:
            for start in ("first", "later"):
                figures[f"{start} {servers}"] = first_list_seconds(case, Path(folder), servers)
    with tempfile.TemporaryDirectory() as folder, running(case, Path(folder), 1) as host:
        host.list_all(1)
        for _ in range(WARM_UP):
            host.client.ask(host.call("echo"))
        batches = [sequential(host, calls // BATCHES) for _ in range(BATCHES)]
        taken = [seconds * 1000 for _, times in batches for seconds in times]
        figures["cpu"] = min(spent for spent, _ in batches) * 1000
        figures["p50"], figures["p99"] = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
        messages = [host.call("echo") for _ in range(calls)]
        began = time.perf_counter()
        host.client.ask_all(messages)
        figures["rate"] = calls / (time.perf_counter() - began)
        figures["resident"], figures["own"] = memory_mb(host.process.pid)
        if case.proxied:
            figures["back"] = back_seconds(host)
    return figures


def sequential(host: Host, calls: int) -> tuple[float, list[float]]:
    """CPU seconds a call in the process, and the seconds that each call took."""
    taken, spent = [], cpu_seconds(host.process.pid)
    for _ in range(calls):
        message = host.call("echo")
        began = time.perf_counter()
        answer = host.client.ask(message)
        taken.append(time.perf_counter() - began)
        assert "result" in answer, answer
    return (cpu_seconds(host.process.pid) - spent) / calls, taken


def table(name: str, direct: Figures, ours: Figures, peer: Figures) -> str:
    """One block: a line for each figure, with what it is a multiple of."""
    lines = [f"{name:34} {'direct':>8} {'pygent':>8} {'/direct':>8} {'fastmcp':>8} {'/fastmcp':>9}"]
    for key, what in ROWS.items():
        a, b, c = direct[key], ours[key], peer[key]
        lines.append(f"  {what:32} {_figure(a)} {_figure(b)} {_figure(b, a)} {_figure(c)} {_figure(b, c):>9}")
    return "\n".join(lines)


def _figure(value: float | None, by: float | None = 1.0) -> str:
    if value is None or not by:
        return f"{'-':>8}"
    found = value / by
    return f"{found:8.0f}" if found >= 100 else f"{found:8.2f}"


def peer_python() -> str:
    """The Python of the venv that holds the peer, made on first use."""
    home = Path.home() / ".cache" / "pygent" / PEER.replace("==", "-")
    python = home / "bin" / "python"
    if not (home / "bin" / "fastmcp").exists():
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEER], check=True)
    return str(python)


def fronts() -> Iterator[tuple[str, bool, bool]]:
    """Name, whether over HTTP, whether of the 2026 era."""
    for transport in ("stdio", "http"):
        for era in ("2025", "2026"):
            yield f"{transport} {era}", transport == "http", era == "2026"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=2000, help="of each kind and case [2000]")
    parser.add_argument("--quick", action="store_true", help="300 calls: for a look, not for a figure")
    parser.add_argument("--no-peer", action="store_true", help="leave FastMCP out")
    parser.add_argument("--only", default="", help='only what holds this word: "stdio", "http", "2026"')
    chosen = parser.parse_args()
    calls = 300 if chosen.quick else max(chosen.calls, 20 * BATCHES)
    cores, load, python = os.cpu_count(), os.getloadavg()[0], sys.version.split()[0]
    print(f"{calls} calls; {cores} cores, load {load:.1f} at the start; Python {python}")
    direct = measure(Case(name="direct", command=BEHIND), calls)
    for name, over_http, modern in fronts():
        if chosen.only not in name:
            continue
        kind = {"http": over_http, "modern": modern}
        ours = measure(Case(name=name, command=[*SERVE, *(HTTP if over_http else [])], **kind), calls)
        peer: Figures = dict.fromkeys(ROWS)
        if not chosen.no_peer:
            command = [peer_python(), "-c", PEER_SCRIPT, "CONFIG", *(["PORT"] if over_http else [])]
            peer = measure(Case(name=f"fastmcp {name}", command=command, prefix="s0_", **kind), calls)
        print(table(name, direct, ours, peer), flush=True)


if __name__ == "__main__":
    main()
