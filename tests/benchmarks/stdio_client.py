"""A bare MCP client over stdio for benchmarks: threads, requests sent ahead of answers, and `kill -9`."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import Any

HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "1"},
}


class Ended(Exception):
    """The server is gone."""


class Stdio:
    """One server process and a client of it.

    Args:
        command: what starts it.
        environ: set in addition to this process's variables.
        seconds: how long an answer is waited for.

    Attributes:
        arrived: when the last answer was read, by `time.perf_counter`: what the client does with it then is
            no time of the server.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], seconds: float = 300) -> None:
        self.arrived = 0.0
        self._seconds = seconds
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environ},
        )
        self._lock = threading.Lock()
        self._last = 0
        self._waiting: dict[int, Queue[dict[str, Any]]] = {}
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self.answer(self.send("initialize", HELLO))
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, method: str, params: Mapping[str, Any]) -> Queue[dict[str, Any]]:
        """Send a request; its answer comes into the queue."""
        with self._lock:
            self._last += 1
            number = self._last
        queue = self._waiting[number] = Queue()
        self._write({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return queue

    def answer(self, queue: Queue[dict[str, Any]]) -> dict[str, Any]:
        """The answer to a request; an error counts as one that `isError`."""
        try:
            message = queue.get(timeout=self._seconds)
        except Empty as error:
            raise Ended("no answer in time") from error
        if not message:
            raise Ended("it ended")
        result: dict[str, Any] = message.get("result") or {"isError": True, "content": [message.get("error")]}
        return result

    def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool and wait for its result."""
        return self.answer(self.send("tools/call", {"name": tool, "arguments": arguments}))

    @property
    def megabytes(self) -> float:
        """The memory the process has in use."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    @property
    def processor_seconds(self) -> float:
        """The processor time the process has taken."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End it at once, with SIGKILL."""
        self._process.kill()
        self._end()

    def close(self) -> None:
        """End it as a host does."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        deadline = time.monotonic() + 20
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill()

    def _end(self) -> None:
        self._process.wait()
        self._reading.join()

    def _write(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with self._lock:
            try:
                self._process.stdin.write(json.dumps(message).encode() + b"\n")
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError) as error:
                raise Ended("it ended") from error

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            arrived = time.perf_counter()
            try:
                message = json.loads(line)
            except ValueError:
                continue  # it was killed in the middle of a line
            if "method" in message and "id" in message:
                self._write({"jsonrpc": "2.0", "id": message["id"], "result": {}})
            elif waiting := self._waiting.pop(message.get("id"), None):
                self.arrived = arrived
                waiting.put(message)
        for waiting in list(self._waiting.values()):
            waiting.put({})
