"""Small stdio servers for tests of the registry, each a script with one behaviour. Standard library only,
so that they start at once: `python stdio_servers.py BEHAVIOUR [ARGUMENT]`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

TOOLS = [
    {"name": "echo", "description": "Say it back.", "inputSchema": {"type": "object"}},
    {"name": "pid", "description": "The server's process id.", "inputSchema": {"type": "object"}},
    {
        "name": "die",
        "description": "Kill the server in the middle of the call.",
        "inputSchema": {"type": "object"},
    },
    {"name": "wait", "description": "Answer only when cancelled.", "inputSchema": {"type": "object"}},
    {"name": "ask", "description": "Ask the client to sample.", "inputSchema": {"type": "object"}},
    {"name": "count", "description": "Report progress three times.", "inputSchema": {"type": "object"}},
    {"name": "fail", "description": "A JSON-RPC error with data.", "inputSchema": {"type": "object"}},
    {
        "name": "cancelled",
        "description": "Ids of requests that were cancelled.",
        "inputSchema": {"type": "object"},
    },
    {"name": "more", "description": "Offer one more tool from now on.", "inputSchema": {"type": "object"}},
]


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(said: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}], "structuredContent": {"said": said, "null": None}}


class Legacy:
    """A server of the 2025 era that knows nothing of the 2026 one."""

    def __init__(self) -> None:
        self.cancelled: list[Any] = []
        self.asking: Any = None
        self.tools = list(TOOLS)

    def serve(self) -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if message.get("method") == "notifications/cancelled":
                self.cancelled.append(message["params"]["requestId"])
            elif "method" in message and "id" in message:
                self.answer(message)
            elif "error" in message and self.asking is not None:
                self.answer_asked(f"refused: {message['error']['message']}")
            elif "result" in message and self.asking is not None:
                self.answer_asked(f"the model said {message['result']['content']['text']}")

    def answer_asked(self, said: str) -> None:
        send({"id": self.asking, "result": text(said)})
        self.asking = None

    def answer(self, message: dict[str, Any]) -> None:
        number, method = message["id"], message["method"]
        if method == "initialize":
            send({"id": number, "result": self.hello()})
        elif method == "tools/list":
            send({"id": number, "result": {"tools": self.tools}})
        elif method == "tools/call":
            self.call(number, message["params"])
        else:
            send({"id": number, "error": {"code": -32601, "message": "Method not found"}})

    def hello(self) -> dict[str, Any]:
        return {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "legacy", "version": "0"},
        }

    def call(self, number: Any, params: dict[str, Any]) -> None:
        match params["name"]:
            case "echo":
                send({"id": number, "result": text(json.dumps(params.get("arguments")))})
            case "pid":
                send({"id": number, "result": text(str(os.getpid()))})
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "ask":
                self.asking = number
                asked = {
                    "messages": [{"role": "user", "content": {"type": "text", "text": "hm?"}}],
                    "maxTokens": 9,
                }
                send({"id": "q1", "method": "sampling/createMessage", "params": asked})
            case "count":
                token = params["_meta"]["progressToken"]
                for done in (1, 2, 3):
                    report = {"progressToken": token, "progress": done, "total": 3, "message": f"step {done}"}
                    send({"method": "notifications/progress", "params": report})
                send({"id": number, "result": text("counted")})
            case "fail":
                send(
                    {
                        "id": number,
                        "error": {"code": -32050, "message": "as ordered", "data": {"why": [1, 2]}},
                    }
                )
            case "cancelled":
                send({"id": number, "result": text(str(len(self.cancelled)))})
            case "more":
                self.tools.append({"name": "extra", "inputSchema": {"type": "object"}})
                send({"method": "notifications/tools/list_changed"})
                send({"id": number, "result": text("one more")})


def well_behaved(argument: str) -> None:
    Legacy().serve()


class Modern(Legacy):
    """A server of the 2026 era only: it refuses `initialize`, and asks by answering `input_required`."""

    def answer(self, message: dict[str, Any]) -> None:
        number, method, params = message["id"], message["method"], message.get("params") or {}
        if method == "initialize":
            versions = {"supported": ["2026-07-28"], "requested": params.get("protocolVersion")}
            send(
                {"id": number, "error": {"code": -32022, "message": "Unsupported version", "data": versions}}
            )
        elif method == "server/discover":
            send({"id": number, "result": {**DISCOVERED, "resultType": "complete"}})
        elif method == "tools/list":
            listed = {"tools": self.tools, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
            send({"id": number, "result": listed})
        elif method == "tools/call" and params["name"] == "ask":
            send({"id": number, "result": self.asked(params)})
        else:
            super().answer(message)

    def asked(self, params: dict[str, Any]) -> dict[str, Any]:
        answers = params.get("inputResponses")
        if answers is None:
            messages = [{"role": "user", "content": {"type": "text", "text": "hm?"}}]
            request = {"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": 9}}
            return {"resultType": "input_required", "inputRequests": {"q": request}, "requestState": "s1"}
        assert params["requestState"] == "s1"
        return {**text(f"the model said {answers['q']['content']['text']}"), "resultType": "complete"}


DISCOVERED = {
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "ttlMs": 0,
    "cacheScope": "private",
}


def modern(argument: str) -> None:
    Modern().serve()


class Noticing(Legacy):
    """Its tool `notices` says NUMBER times that the tools changed; whether they did is MORE."""

    def __init__(self) -> None:
        super().__init__()
        self.tools.append({"name": "notices", "inputSchema": {"type": "object"}})

    def call(self, number: Any, params: dict[str, Any]) -> None:
        if params["name"] != "notices":
            return super().call(number, params)
        if params["arguments"]["more"]:
            self.tools.append({"name": "extra", "inputSchema": {"type": "object"}})
        for _ in range(params["arguments"]["number"]):
            send({"method": "notifications/tools/list_changed"})
        send({"id": number, "result": text("noticed")})


def noticing(argument: str) -> None:
    Noticing().serve()


class Leaking(Legacy):
    """Tells its environment variable API_KEY wherever it can."""

    def __init__(self) -> None:
        super().__init__()
        self.key = os.environ["API_KEY"]
        self.tools = [{**TOOLS[0], "description": f"Say it back, with {self.key}."}]
        print(f"starting with {self.key}", file=sys.stderr, flush=True)

    def hello(self) -> dict[str, Any]:
        return {
            **super().hello(),
            "capabilities": {"tools": {}, "logging": {}},
            "instructions": f"Use {self.key}.",
        }

    def call(self, number: Any, params: dict[str, Any]) -> None:
        said = {"level": "error", "data": f"called with {self.key}"}
        send({"method": "notifications/message", "params": said})
        time.sleep(0.2)  # it is passed on to the host only while the call is under way
        send({"id": number, "result": text(f"the key is {self.key}")})


def leaking(argument: str) -> None:
    Leaking().serve()


class Abusive(Legacy):
    """Answers `echo` with JSON, or what looks like it, of the kind that is asked for."""

    def call(self, number: Any, params: dict[str, Any]) -> None:
        if params["name"] != "echo":
            return super().call(number, params)
        kind = params["arguments"]["kind"]
        bodies = {
            "deep": b'{"content":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            "numbers": b'{"content":[],"x":1e999999,"y":' + b"9" * 10_000 + b"}",
            "no UTF-8": b'{"content":[{"type":"text","text":"\xff\xfe"}]}',
            "half a character": b'{"content":[{"type":"text","text":"\\ud800"}]}',
            "keys": b'{"content":[],"content":[],"x":' + b'{"a":' * 90 + b"1" + b"}" * 90 + b"}",
        }
        head = b'{"jsonrpc":"2.0","id":%d,"result":' % number
        sys.stdout.buffer.write(head + bodies[kind] + b"}\n")
        sys.stdout.buffer.flush()


def abusive(argument: str) -> None:
    Abusive().serve()


def leaking_at_its_end(argument: str) -> None:
    """Prints its key to both outputs, and dies."""
    print(f"not JSON: {os.environ['API_KEY']}")
    sys.exit(f"cannot log in with {os.environ['API_KEY']}")


class Offering(Legacy):
    """Offers what the JSON file ARGUMENT holds when it starts, and again after its tool `reload`."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.load()

    def load(self) -> None:
        with open(self.path, encoding="utf-8") as file:
            self.offered = json.load(file)

    def hello(self) -> dict[str, Any]:
        capabilities: dict[str, Any] = {"tools": {"listChanged": True}, "prompts": {}, "resources": {}}
        return {
            **super().hello(),
            "capabilities": capabilities,
            "instructions": self.offered.get("instructions", ""),
        }

    def answer(self, message: dict[str, Any]) -> None:
        number, method = message["id"], message["method"]
        kinds = {"resources/templates/list": "resourceTemplates"}
        kind = kinds.get(method, method.removesuffix("/list"))
        if method.endswith("/list"):
            send({"id": number, "result": {kind: self.offered.get(kind, [])}})
        elif method in ("prompts/get", "resources/read"):
            send({"id": number, "result": self.offered["results"][method]})
        else:
            super().answer(message)

    def call(self, number: Any, params: dict[str, Any]) -> None:
        if params["name"] == "reload":
            self.load()
            send({"method": "notifications/tools/list_changed"})
        send({"id": number, "result": self.offered.get("results", {}).get(params["name"]) or text("done")})


def offering(argument: str) -> None:
    Offering(argument).serve()


def slow(argument: str) -> None:
    """Up after ARGUMENT seconds."""
    time.sleep(float(argument))
    Legacy().serve()


def hangs(argument: str) -> None:
    """Up, but never answers anything."""
    for _ in sys.stdin:
        pass


def exits(argument: str) -> None:
    print("no database here", file=sys.stderr)
    sys.exit(3)


def rubbish(argument: str) -> None:
    """Prints to stdout what belongs to stderr, and never anything else."""
    while True:
        print("starting up, please wait...", flush=True)
        time.sleep(0.2)


def chatty(argument: str) -> None:
    """Serves, but prints a banner to stdout first."""
    print("*** welcome ***", flush=True)
    Legacy().serve()


def stubborn(argument: str) -> None:
    """Serves, ignores the end of its stdin and SIGTERM, and so does the child that it starts."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, __file__, "deaf", argument], stdin=subprocess.DEVNULL)
    with open(argument, "a") as file:
        print(os.getpid(), file=file)
    Legacy().serve()
    while True:
        time.sleep(1)


def stubborn_start(argument: str) -> None:
    """Never answers anything, and is as stubborn."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, __file__, "deaf", argument], stdin=subprocess.DEVNULL)
    deaf(argument)


def deaf(argument: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(argument, "a") as file:
        print(os.getpid(), file=file)
    while True:
        time.sleep(1)


BEHAVIOURS: dict[str, Callable[[str], None]] = {
    function.__name__: function
    for function in (
        well_behaved,
        modern,
        noticing,
        leaking,
        leaking_at_its_end,
        abusive,
        offering,
        slow,
        hangs,
        exits,
        rubbish,
        chatty,
        stubborn,
        stubborn_start,
        deaf,
    )
}

if __name__ == "__main__":
    BEHAVIOURS[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else "")
