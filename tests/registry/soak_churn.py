"""The churn: hosts that join, call, cancel and leave in every way; servers that are killed; a config file
that is edited. All of it from one seed. The rule: whatever is called ends, and is entered into the tally.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from .soak_watch import Up, family, free_port, running_with

HERE = Path(__file__).parent
SERVERS = HERE / "soak_servers.py"
WEB = HERE / "soak_web.py"
PROGRAM = str(Path(sys.executable).with_name("pygent"))
TOKEN = "a-token-for-the-churn"
MODES = ("legacy", "auto")

CALL_TIMEOUT = 10.0
START_TIMEOUT = 15.0
LIMIT_SECONDS = 60.0
"""Latest that any call may end: its wait for the server's start, its time, and a machine that is busy."""
JOIN_SECONDS = 60.0

HOSTS = 6
BETWEEN_CALLS = (0.0, 0.25)
BETWEEN_KILLS = (2.0, 12.0)
BETWEEN_EDITS = (3.0, 9.0)
BETWEEN_STDIO_HOSTS = (15.0, 40.0)
MEMORY = "memory"
SAYING = ("old", "new", "stubborn", "shell", "noisy", "web")


@dataclass
class Tally:
    """How every call ended."""

    right: Counter[str] = field(default_factory=Counter)
    """Server -> calls that were answered with their own payload."""
    refused: Counter[str] = field(default_factory=Counter)
    """Server -> calls that ended with an error that names it."""
    cancelled: int = 0
    abandoned: int = 0
    """Calls whose host left in the middle."""
    wrong: list[str] = field(default_factory=list)
    """Lost, late, mixed up, or with an error that names nobody."""
    seconds: list[float] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    did: Counter[str] = field(default_factory=Counter)
    """What else happened: kills, edits, hosts by kind."""

    def worst(self, share: float) -> float:
        ordered = sorted(self.seconds) or [0.0]
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Churn:
    """One run of it over a `pygent up`, its config file, and one HTTP server outside of it.

    Args:
        config: the file, which is written at once.
        seed: of all that is left to chance.
    """

    up: Up

    def __init__(self, config: Path, seed: int) -> None:
        self.config, self.web_port = config, free_port()
        self.random = random.Random(seed)
        self.tally = Tally()
        self.word = f"churn{self.random.getrandbits(64):x}{os.getpid()}"
        self.extras: dict[str, dict[str, Any]] = {}
        self.changed: dict[str, dict[str, Any]] = {}
        """Keys that an edit gave to one of the standing servers for now."""
        self._numbers = count(1)
        self._web: subprocess.Popen[bytes] | None = None
        self.save()

    # The servers and their config.

    def entry(self, behaviour: str) -> dict[str, Any]:
        return {"command": sys.executable, "args": [str(SERVERS), behaviour, self.word]}

    def standing(self) -> dict[str, dict[str, Any]]:
        """The servers that are there from beginning to end."""
        shell = self.entry("old")
        return {
            **{name: self.entry(name) for name in ("old", "new", "stubborn", "noisy")},
            "shell": {"command": "sh", "args": ["-c", '"$@"; true', "sh", shell["command"], *shell["args"]]},
            "web": {"url": f"http://127.0.0.1:{self.web_port}/mcp"},
            MEMORY: {"server": "memory"},
        }

    def save(self, text: str = "") -> None:
        """Put the config file in place in one move."""
        servers = {
            name: {**entry, **self.changed.get(name, {})}
            for name, entry in (self.standing() | self.extras).items()
        }
        aside = self.config.with_suffix(".aside")
        aside.write_text(text or json.dumps({"mcpServers": servers}), encoding="utf-8")
        aside.replace(self.config)

    def calm(self) -> None:
        """The config as it was in the beginning."""
        self.extras.clear()
        self.changed.clear()
        self.save()

    @asynccontextmanager
    async def web(self) -> AsyncIterator[None]:
        """The HTTP server, while the block runs; `kill_web` replaces it."""
        self._start_web()
        try:
            yield
        finally:
            self._stop_web()

    def _start_web(self) -> None:
        words = [sys.executable, str(WEB), str(self.web_port)]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._web = subprocess.Popen(words, **quiet)  # type: ignore[call-overload]

    def _stop_web(self) -> None:
        if self._web is not None:
            self._web.kill()
            self._web.wait()

    # Who does what.

    async def run(self, seconds: float) -> None:
        """All of it at once, for so long; whoever is in the middle of something finishes it."""
        with anyio.CancelScope() as disturbing:
            async with anyio.create_task_group() as tasks:
                until = anyio.current_time() + seconds
                async with anyio.create_task_group() as hosts:
                    tasks.start_soon(self._kill)
                    tasks.start_soon(self._edit)
                    for _ in range(HOSTS):
                        hosts.start_soon(self._hosts, until)
                    hosts.start_soon(self._stdio_hosts, until)
                disturbing.cancel()

    async def _hosts(self, until: float) -> None:
        kinds = {self.visit: 8, self.leave_abruptly: 3}
        while anyio.current_time() < until:
            (kind,) = self.random.choices(list(kinds), list(kinds.values()))
            await kind(self.random.choice(MODES))

    async def _stdio_hosts(self, until: float) -> None:
        while anyio.current_time() < until:
            await anyio.sleep(self.random.uniform(*BETWEEN_STDIO_HOSTS))
            await self.random.choice((self.visit_over_stdio, self.be_killed))(self.random.choice(MODES))

    async def _kill(self) -> None:
        while True:
            await anyio.sleep(self.random.uniform(*BETWEEN_KILLS))
            if self.random.random() < 0.1:
                self.tally.did["killed web"] += 1
                self._stop_web()
                self._start_web()
                continue
            found = [pid for (pid, _), words in family(self.up.process.pid).items() if self.word in words]
            if found:
                self.tally.did["killed a child"] += 1
                os.kill(self.random.choice(found), signal.SIGKILL)

    async def _edit(self) -> None:
        while True:
            await anyio.sleep(self.random.uniform(*BETWEEN_EDITS))
            edit = self.random.choice((self._add, self._add, self._remove, self._change, self._disable))
            self.tally.did[edit.__name__.strip("_")] += 1
            edit()
            if self.random.random() < 0.1:
                self.tally.did["broke the file"] += 1
                self.save('{"mcpServers": {')
                await anyio.sleep(1.5)
            self.save()

    def _add(self) -> None:
        """Always by a new name, so that what is kept of the old ones is seen."""
        if len(self.extras) < 3:
            self.extras[f"extra{next(self._numbers)}"] = self.entry(self.random.choice(("old", "new")))

    def _remove(self) -> None:
        if self.extras:
            del self.extras[self.random.choice(list(self.extras))]

    def _change(self) -> None:
        name = self.random.choice(("old", "new", "stubborn", "web", MEMORY))
        self.changed[name] = {"timeout": self.random.choice((8, 9, 11))}

    def _disable(self) -> None:
        """One of the standing ones, until the next edit of it."""
        name = self.random.choice(("old", "shell", MEMORY))
        self.changed[name] = {} if self.changed.get(name) else {"disabled": True}

    # Hosts.

    @asynccontextmanager
    async def host(self, mode: Any, path: str = "/mcp") -> AsyncIterator[Client]:
        async with httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {TOKEN}"}, timeout=LIMIT_SECONDS * 2
        ) as http:
            transport = streamable_http_client(f"{self.up.base}{path}", http_client=http)
            async with Client(transport, mode=mode) as client:
                yield client

    async def visit(self, mode: str, calls: int = 0) -> None:
        """Join, list, call for a while, and leave as one should."""
        self.tally.did[f"{mode} host"] += 1
        alone = self.random.choice([*SAYING, *self.extras]) if self.random.random() < 0.25 else ""
        leaving = False
        try:
            async with self.host(mode, f"/servers/{alone}/mcp" if alone else "/mcp") as client:
                with anyio.fail_after(JOIN_SECONDS):
                    await client.list_tools()
                for _ in range(calls or self.random.randint(2, 25)):
                    await anyio.sleep(self.random.uniform(*BETWEEN_CALLS))
                    server = alone or self.random.choice([*SAYING, MEMORY, *self.extras])
                    if alone.startswith("extra") and alone not in self.extras:
                        self.tally.did["was at a server that was removed"] += 1
                        return
                    await self.call(client, server, prefixed=not alone)
                leaving = True
        except Exception as error:  # noqa: BLE001 - a host that cannot stay is what is looked for
            leaf = _leaf(error)
            if alone and isinstance(leaf, MCPError) and f'no server "{alone}"' in leaf.error.message:
                self.tally.refused[alone] += 1
            elif leaving and isinstance(leaf, anyio.BrokenResourceError | anyio.ClosedResourceError):
                # Its SDK was passing on the end of a call that it had cancelled to a session it had closed.
                self.tally.did["host that tripped on its way out"] += 1
            elif not alone.startswith("extra") or alone in self.extras:
                self.tally.wrong.append(f"a {mode} host at {alone or 'all'}: {leaf!r}")
            else:
                self.tally.did["came to a server that was removed"] += 1

    async def call(self, client: Client, server: str, *, prefixed: bool = True) -> None:
        """One call of one of the kinds, entered into the tally."""
        prefix = f"{server}__" if prefixed else ""
        if server == MEMORY:
            await self._ended(server, self._remember(client, prefix))
            return
        seconds = self.random.choice((0, 0, 0, 0, 0, 0.05, 0.2, 0.5, 2.0))
        if self.random.random() < 0.01:
            seconds = CALL_TIMEOUT * 1.2  # longer than its limit, which its progress puts off
        if self.random.random() < 0.1:
            with anyio.move_on_after(self.random.uniform(0, 0.5)) as given_up:
                await self._ended(server, self._say(client, prefix, 2.0))
            if given_up.cancelled_caught:
                self.tally.cancelled += 1
            return
        await self._ended(server, self._say(client, prefix, seconds))

    async def _ended(self, server: str, call: Any) -> None:
        began = anyio.current_time()
        try:
            with anyio.fail_after(LIMIT_SECONDS):
                said, wanted = await call
        except TimeoutError:
            self.tally.wrong.append(f"{server}: no end within {LIMIT_SECONDS:g} s")
            return
        except MCPError as error:
            said, wanted = error.error.message, ""
        self.tally.seconds.append(anyio.current_time() - began)
        if wanted and said == wanted:
            self.tally.right[server] += 1
        elif said == "Session terminated" and server.startswith("extra") and server not in self.extras:
            self.tally.did["was at a server that was removed"] += 1  # its address is gone with it
        elif wanted or server not in said:
            self.tally.wrong.append(f"{server}: wanted {wanted!r}, got {said[:300]!r}")
        else:
            self.tally.refused[server] += 1
            self.tally.refusals[said[:110]] += 1

    async def _say(self, client: Client, prefix: str, seconds: float) -> tuple[str, str]:
        payload = self._payload()
        steps = max(self.random.choice((0, 0, 3)), int(seconds))
        reported: list[str | None] = []

        async def report(done: float, total: float | None, message: str | None) -> None:
            reported.append(message)

        arguments = {"payload": payload, "seconds": seconds, "steps": steps}
        result = await client.call_tool(f"{prefix}say", arguments, progress_callback=report)
        if others := [said for said in reported if said != payload]:
            self.tally.wrong.append(f"{prefix}: progress of another call: {others}")
        return result.content[0].text, "" if result.is_error else payload  # type: ignore[union-attr]

    async def _remember(self, client: Client, prefix: str) -> tuple[str, str]:
        payload = self._payload()
        added = await client.call_tool(f"{prefix}memory_add", {"text": payload})
        if added.is_error:
            return added.content[0].text, ""  # type: ignore[union-attr]
        assert added.structured_content is not None
        (made,) = added.structured_content["results"]
        got = await client.call_tool(f"{prefix}memory_get", {"ids": [made["id"]]})
        if got.is_error:
            return got.content[0].text, ""  # type: ignore[union-attr]
        assert got.structured_content is not None
        return got.structured_content["memories"][0]["text"], payload

    def _payload(self) -> str:
        size = self.random.choice((1, 1, 1, 10, 500))
        return f"{next(self._numbers)} {self.random.random()} " * size + "."

    async def leave_abruptly(self, mode: str) -> None:
        """A host whose socket is reset in the middle of a call, or while it listens."""
        self.tally.did[f"{mode} host that was cut off"] += 1
        server = self.random.choice(SAYING)
        session: dict[str, str] = {}
        if mode == "legacy":
            hello = {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "cut", "version": "0"},
            }
            answered = await self._post(_request("initialize", hello), {})
            session = {"mcp-session-id": answered["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
            await self._post(_request("notifications/initialized", None), session)
            if self.random.random() < 0.5:
                await self._cut(b"GET", b"", session)
        params: dict[str, Any] = {
            "name": f"{server}__say",
            "arguments": {"payload": self._payload(), "seconds": 3, "steps": 9},
        }
        if mode == "auto":
            session = {
                "mcp-protocol-version": "2026-07-28",
                "mcp-method": "tools/call",
                "mcp-name": params["name"],
            }
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "cut", "version": "0"},
                "io.modelcontextprotocol/clientCapabilities": {},
            }
        params.setdefault("_meta", {})["progressToken"] = "t"
        await self._cut(b"POST", json.dumps(_request("tools/call", params)).encode(), session)
        self.tally.abandoned += 1

    async def _post(self, message: dict[str, Any], more: dict[str, str]) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {TOKEN}", **ACCEPT, **more}
        async with httpx2.AsyncClient(headers=headers, timeout=LIMIT_SECONDS) as http:
            answer = await http.post(f"{self.up.base}/mcp", json=message)
            assert answer.status_code in (200, 202), answer.text
            return dict(answer.headers)

    async def _cut(self, method: bytes, body: bytes, more: dict[str, str]) -> None:
        """Send a request, read what comes for a moment, and reset the connection."""
        address = urlsplit(self.up.base)
        assert address.hostname is not None
        assert address.port is not None
        headers = {
            "host": address.netloc,
            "authorization": f"Bearer {TOKEN}",
            "content-length": str(len(body)),
            "content-type": "application/json",
            **ACCEPT,
            **more,
        }
        lines = [f"{name}: {value}" for name, value in headers.items()]
        async with await anyio.connect_tcp(address.hostname, address.port) as stream:
            head = b"%s /mcp HTTP/1.1\r\n%s\r\n\r\n" % (method, "\r\n".join(lines).encode())
            await stream.send(head + body)
            with anyio.move_on_after(self.random.uniform(0.0, 1.5)):
                while await stream.receive():
                    pass
            raw = stream.extra(anyio.abc.SocketAttribute.raw_socket)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    # Hosts that start a registry of their own.

    def _own(self) -> tuple[str, list[str]]:
        """The word in all of its processes' command lines, and the options."""
        word = f"{self.word}-{next(self._numbers)}"
        config = self.config.with_name(f"{word}.json")
        entries = {name: self.entry(name) for name in ("old", "stubborn")}
        for entry in entries.values():
            entry["args"][-1] = word
        config.write_text(json.dumps({"mcpServers": entries}), encoding="utf-8")
        data = str(config.with_suffix(".data"))
        return word, ["serve", "--config", str(config), "--data-dir", data, "--embedder", "none"]

    async def visit_over_stdio(self, mode: Any) -> None:
        self.tally.did["stdio host"] += 1
        word, options = self._own()
        parameters = StdioServerParameters(command=PROGRAM, args=options, env=dict(os.environ))
        try:
            async with Client(parameters, mode=mode) as client:
                with anyio.fail_after(JOIN_SECONDS):
                    await client.list_tools()
                for _ in range(10):
                    await self.call(client, self.random.choice(("old", "stubborn")))
        except Exception as error:  # noqa: BLE001 - as above
            self.tally.wrong.append(f"a {mode} host over stdio: {_leaf(error)!r}")
        await self._gone(word)

    async def be_killed(self, mode: str) -> None:
        """A host over stdio whose registry is killed in the middle of a call."""
        self.tally.did["stdio host whose registry was killed"] += 1
        word, options = self._own()
        hello = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "cut", "version": "0"},
        }
        say = {"name": "stubborn__say", "arguments": {"payload": "x", "seconds": 30, "steps": 90}}
        asked = [
            _request("initialize", hello),
            _request("notifications/initialized", None),
            _request("tools/list", {}),
            _request("tools/call", say),
        ]
        async with await anyio.open_process([PROGRAM, *options], stderr=subprocess.DEVNULL) as process:
            assert process.stdin is not None
            await process.stdin.send(b"".join(json.dumps(message).encode() + b"\n" for message in asked))
            await anyio.sleep(self.random.uniform(0.5, 6))
            process.kill()
        self.tally.abandoned += 1
        await self._gone(word)

    async def _gone(self, word: str) -> None:
        """Nothing of a host's registry is left."""
        with anyio.move_on_after(15):
            while running_with(f"{word} ") or running_with(f"{word}.json"):
                await anyio.sleep(0.1)
            return
        self.tally.wrong.append(f"left behind: {[*running_with(f'{word} '), *running_with(f'{word}.json')]}")


ACCEPT = {"accept": "application/json, text/event-stream"}


def _request(method: str, params: dict[str, Any] | None) -> dict[str, Any]:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        message |= {"id": 7, "params": params}
    return message


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
