"""Stdio servers that serve well until their tool `misbehave` is called, and others that end or start badly:
`python bad_servers.py BEHAVIOUR [ARGUMENT]`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from era_servers import TOOLS, Of2026
from stdio_servers import Legacy, send, text


class Bad(Legacy):
    """Answers `misbehave`, and then goes on as `behaviour` says."""

    def __init__(self, behaviour: str) -> None:
        super().__init__()
        self.behaviour = behaviour
        self.tools.append({"name": "misbehave", "inputSchema": {"type": "object"}})
        self.number: Any = None

    def call(self, number: Any, params: dict[str, Any]) -> None:
        if params["name"] != "misbehave":
            return super().call(number, params)
        send({"id": number, "result": text("as you wish")})
        self.number, self.token = number, params.get("_meta", {}).get("progressToken")
        threading.Thread(target=BEHAVIOURS[self.behaviour], args=[self], daemon=True).start()

    def answer(self, message: dict[str, Any]) -> None:
        super().answer(message)
        if self.behaviour == "twice" and message["method"] == "tools/call":
            super().answer(message)


def write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.flush()


def for_ever(line: bytes) -> Callable[[Bad], None]:
    """The same line, as fast as the pipe takes it."""
    block = (line + b"\n") * (64 * 1024 // (len(line) + 1) + 1)

    def flood(bad: Bad) -> None:
        while True:
            write(block)

    return flood


def notice(method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode()


def twice(bad: Bad) -> None:
    """Every call is answered twice: see `Bad.answer`."""


def malformed(bad: Bad) -> None:
    """Lines that are no messages, or none that anybody can make sense of."""
    for line in (
        b'{"jsonrpc": "2.0", "id": ',
        b"[]",
        b"[" * 20_000,
        b"null",
        b'"\\ud800"',
        b"\xff\xfe\x00",
        b'{"jsonrpc": "1.0", "id": 1, "result": {}}',
        b'{"jsonrpc": "2.0", "id": {}, "result": {}}',
        b'{"jsonrpc": "2.0", "id": 1e999, "result": []}',
        b'{"jsonrpc": "2.0", "id": null, "error": {"code": "x", "message": 5}}',
        b'{"jsonrpc": "2.0", "method": 7}',
        b'{"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": [1]}',
        b'{"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": []}}',
        b'{"jsonrpc": "2.0", "id": 5, "method": "sampling/createMessage", "params": {"messages": 5}}',
        b'{"jsonrpc": "2.0", "id": 6, "method": "no/such/method"}',
    ):
        write(line + b"\n")


def unasked(bad: Bad) -> None:
    """Answers to requests that nobody made, and to one that was answered before."""
    for number in (*range(1, 200), *range(999_900, bad.number + 1), str(bad.number), -1, 2**70):
        send({"id": number, "result": text("nobody asked")})
        send({"id": number, "error": {"code": -32000, "message": "nobody asked"}})


def long_line(bad: Bad) -> None:
    """128 MB without an end."""
    for _ in range(128):
        write(b"x" * 2**20)
    threading.Event().wait()


def half_line(bad: Bad) -> None:
    write(b'{"jsonrpc": "2.0", "id": 1, "res')


def stderr_flood(bad: Bad) -> None:
    while True:
        sys.stderr.write("all is well\n" * 5000)


def stderr_line(bad: Bad) -> None:
    """One line on stderr that never ends."""
    while True:
        sys.stderr.write("x" * 65536)


def questions(bad: Bad) -> None:
    """Asks for ever."""
    asked = {"messages": [{"role": "user", "content": {"type": "text", "text": "hm?"}}], "maxTokens": 9}
    number = 0
    while True:
        number += 1
        send({"id": f"q{number}", "method": "sampling/createMessage", "params": asked})


def progress(bad: Bad) -> None:
    """Progress of a request that was answered, for ever."""
    for_ever(notice("notifications/progress", progressToken=bad.token, progress=1))(bad)


def many_tools(bad: Bad) -> None:
    """Twenty thousand tools."""
    schema = {"type": "object", "properties": {"x": {"type": "string", "description": "Some text."}}}
    bad.tools += [
        {"name": f"tool{number}", "description": "Does something.", "inputSchema": schema}
        for number in range(20_000)
    ]
    write(notice("notifications/tools/list_changed") + b"\n")


def broken_tools(bad: Bad) -> None:
    """Definitions that are none, among one that is."""
    broken: list[Any] = [
        5,
        None,
        "echo",
        {},
        {"name": 7, "inputSchema": {}},
        {"name": "no_schema"},
        {"name": "odd_schema", "inputSchema": []},
        {"name": "odd_hints", "inputSchema": {}, "annotations": "yes"},
        {"name": "odd_text", "inputSchema": {}, "description": ["x"]},
        {"name": "fine", "inputSchema": {"type": "object"}},
    ]
    bad.tools += broken
    write(notice("notifications/tools/list_changed") + b"\n")


BEHAVIOURS: dict[str, Callable[[Bad], None]] = {
    "twice": twice,
    "malformed": malformed,
    "unasked": unasked,
    "long_line": long_line,
    "half_line": half_line,
    "rubbish": for_ever(b"x"),
    "notices": for_ever(notice("notifications/message", level="info", data="all is well")),
    "list_changed": for_ever(notice("notifications/tools/list_changed")),
    "resource_updates": for_ever(notice("notifications/resources/updated", uri="file:///x")),
    "progress": progress,
    "stderr_flood": stderr_flood,
    "stderr_line": stderr_line,
    "questions": questions,
    "many_tools": many_tools,
    "broken_tools": broken_tools,
}


class Unlistable(Bad):
    """After `misbehave` it cannot list its tools once, and then it can again."""

    def __init__(self) -> None:
        super().__init__("list_changed_once")
        self.lists = 0

    def answer(self, message: dict[str, Any]) -> None:
        if message["method"] == "tools/list" and self.number is not None:
            self.lists += 1
            if self.lists == 1:
                send({"id": message["id"], "error": {"code": -32603, "message": "out of ink"}})
                return
            if self.lists == 2:
                self.tools.append({"name": "extra", "inputSchema": {"type": "object"}})
        super().answer(message)


class DyingLister(Of2026):
    """Dies when it is asked for its tools after `grow`."""

    def answer(self, message: dict[str, Any]) -> None:
        if message["method"] == "tools/list" and len(self.tools) > len(TOOLS):
            os.kill(os.getpid(), signal.SIGKILL)
        super().answer(message)


def list_changed_once(bad: Bad) -> None:
    write(notice("notifications/tools/list_changed") + b"\n")


BEHAVIOURS["list_changed_once"] = list_changed_once

HINTS = {"reads": {"readOnlyHint": True}, "idempotent": {"idempotentHint": True}, "plain": {}}


class Dying(Legacy):
    """Dies in the middle of its first DEATHS requests, over all its lives, which FILE notes: FILE:DEATHS."""

    def __init__(self, argument: str) -> None:
        super().__init__()
        path, _, deaths = argument.partition(":")
        self.path, self.deaths = path, int(deaths)
        self.tools += [
            {"name": name, "inputSchema": {"type": "object"}, "annotations": hints}
            for name, hints in HINTS.items()
        ]

    def hello(self) -> dict[str, Any]:
        return {**super().hello(), "capabilities": {"tools": {}, "resources": {}}}

    def answer(self, message: dict[str, Any]) -> None:
        number, method, params = message["id"], message["method"], message.get("params") or {}
        if method == "resources/list":
            send({"id": number, "result": {"resources": [{"uri": "test://it", "name": "it"}]}})
        elif method == "resources/read":
            self.maybe_die()
            send({"id": number, "result": {"contents": [{"uri": "test://it", "text": "read"}]}})
        else:
            if method == "tools/call" and params["name"] in HINTS:
                self.maybe_die()
                send({"id": number, "result": text("done")})
                return
            super().answer(message)

    def maybe_die(self) -> None:
        with open(self.path, "a+", encoding="utf-8") as file:
            file.write("asked\n")
            file.seek(0)
            asked = len(file.readlines())
        if asked <= self.deaths:
            os._exit(1)


def works(argument: str) -> None:
    """Up after ARGUMENT seconds, in which it uses the processor."""
    until = time.monotonic() + float(argument)
    while time.monotonic() < until:
        pass
    Legacy().serve()


def exits_without(argument: str) -> None:
    """Ends at once, unless the file ARGUMENT is there."""
    if not os.path.exists(argument):
        print(f"no {os.path.basename(argument)}", file=sys.stderr)
        sys.exit(3)
    Legacy().serve()


OTHERS: dict[str, Callable[[str], None]] = {
    "unlistable": lambda argument: Unlistable().serve(),
    "dying_lister": lambda argument: DyingLister().serve(),
    "dying": lambda argument: Dying(argument).serve(),
    "works": works,
    "exits_without": exits_without,
}

if __name__ == "__main__":
    behaviour, argument = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    if behaviour in OTHERS:
        OTHERS[behaviour](argument)
    else:
        Bad(behaviour).serve()
