"""What a call costs behind `pygent serve`, beside a direct call and FastMCP's proxy, in one run.

    python tests/benchmarks/gateway.py [--calls N] [--no-peer] [--only WORD]

For each case: CPU milliseconds a call in the process in the middle (from /proc, so Linux only; a busy box
hardly moves it), p50 and p99 of sequential calls, calls/s with 32 in flight, seconds from spawn to the first
`tools/list` with 1 and with 10 servers behind, resident memory with 1, and seconds until a call is answered
again after kill -9 of the server behind. That server is `tests/registry/stdio_servers.py`; the client is this
file: the standard library, nothing else. FastMCP is installed into a venv of its own below ~/.cache/pygent.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
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

BEHIND = [sys.executable, str(Path(__file__).parents[1] / "registry" / "stdio_servers.py"), "well_behaved"]
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
    await front.run_async(transport="stdio", show_banner=False)
asyncio.run(main())
"""
IN_FLIGHT = 32
WARM_UP = 50
PATIENCE_SECONDS = 60.0
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
def running(case: Case, folder: Path, servers: int) -> Iterator[Host]:
    """The program over that many servers; on the way out it is ended by its pid."""
    config = folder / "mcp.json"
    entry = {"command": BEHIND[0], "args": BEHIND[1:]}
    config.write_text(json.dumps({"mcpServers": {f"s{number}": entry for number in range(servers)}}))
    said = folder / "stderr"
    environment = {**os.environ, "PYGENT_DATA_DIR": str(folder), "PYGENT_CONFIG": str(config)}
    command = [word.replace("CONFIG", str(config)) for word in case.command]
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


def _post(said: Path, modern: bool) -> Post:
    """A client to the address that the program announces on stderr."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        for word in said.read_text().split():
            if word.startswith("http://127.0.0.1:"):
                host = word.removeprefix("http://").partition("/")[0]
                return Post(host, {"MCP-Protocol-Version": MODERN if modern else "2025-06-18"})
        time.sleep(0.005)
    raise SystemExit("The program did not announce its address.")


def first_list_seconds(case: Case, folder: Path, servers: int) -> float:
    """From spawn to the list that holds the tools of all servers."""
    began = time.perf_counter()
    with running(case, folder, servers) as host:
        host.list_all(servers)
        return time.perf_counter() - began


def cpu_seconds(pid: int) -> float:
    """User and system time of one process, its children not included (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def back_seconds(host: Host) -> float | None:
    """From kill -9 of the server behind to the next call that it answers; None if it never comes back."""
    answer = host.client.ask(host.call("pid"))["result"]
    old = answer["content"][0]["text"]
    os.kill(int(old), signal.SIGKILL)
    began = time.perf_counter()
    while (waited := time.perf_counter() - began) < BACK_SECONDS:
        result = host.client.ask(host.call("pid")).get("result", {})
        if not result.get("isError") and result and result["content"][0]["text"] != old:
            return time.perf_counter() - began
        time.sleep(0.005)
    assert waited
    return None


def measure(case: Case, calls: int, folder: Path) -> str:
    """One row of the table."""
    ones = first_list_seconds(case, folder, 1) if case.proxied else None
    tens = first_list_seconds(case, folder, 10) if case.proxied else None
    with running(case, folder, 1) as host:
        host.list_all(1)
        for _ in range(WARM_UP):
            host.client.ask(host.call("echo"))
        taken, spent = [], cpu_seconds(host.process.pid)
        for _ in range(calls):
            message = host.call("echo")
            began = time.perf_counter()
            answer = host.client.ask(message)
            taken.append(time.perf_counter() - began)
            assert "result" in answer, answer
        spent = cpu_seconds(host.process.pid) - spent
        messages = [host.call("echo") for _ in range(calls)]
        began = time.perf_counter()
        host.client.ask_all(messages)
        rate = calls / (time.perf_counter() - began)
        memory = resident_mb(host.process.pid)
        back = back_seconds(host) if case.proxied else None
    p50, p99 = statistics.median(taken) * 1000, statistics.quantiles(taken, n=100)[98] * 1000
    shown = [f"{one:.2f}" if one is not None else "-" for one in (ones, tens)]
    again = "-" if not case.proxied else f"{back:.2f}" if back is not None else "never"
    return (
        f"{case.name:22} {spent / calls * 1000:8.2f} {p50:7.2f} {p99:7.2f} {rate:8.0f} "
        f"{shown[0]:>7} {shown[1]:>7} {memory:6.0f} {again:>6}"
    )


def peer_python() -> str:
    """The Python of the venv that holds the peer, made on first use."""
    home = Path.home() / ".cache" / "pygent" / PEER.replace("==", "-")
    python = home / "bin" / "python"
    if not (home / "bin" / "fastmcp").exists():
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEER], check=True)
    return str(python)


def cases(with_peer: bool) -> list[Case]:
    chosen = [
        Case(name="direct", command=BEHIND),
        Case(name="pygent stdio 2025", command=SERVE),
        Case(name="pygent stdio 2026", command=SERVE, modern=True),
        Case(name="pygent http 2025", command=[*SERVE, *HTTP], http=True),
        Case(name="pygent http 2026", command=[*SERVE, *HTTP], http=True, modern=True),
    ]
    if with_peer:
        peer = [peer_python(), "-c", PEER_SCRIPT, "CONFIG"]
        chosen += [
            Case(name="fastmcp stdio 2025", command=peer, prefix="s0_"),
            Case(name="fastmcp stdio 2026", command=peer, prefix="s0_", modern=True),
        ]
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description="What a call costs behind the registry.")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--only", default="", help="only cases whose name holds this")
    chosen = parser.parse_args()
    print(
        f"{'case':22} {'CPU ms':>8} {'p50 ms':>7} {'p99 ms':>7} {'calls/s':>8} "
        f"{'list 1':>7} {'list 10':>7} {'RSS MB':>6} {'back s':>6}"
    )
    for case in cases(not chosen.no_peer):
        if chosen.only in case.name:
            with tempfile.TemporaryDirectory() as folder:
                print(measure(case, chosen.calls, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
