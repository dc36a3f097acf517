"""Small stdio servers whose tools call for a policy: `python policy_servers.py ERA`."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from stdio_servers import Legacy, Modern, send, text

ROWS = {
    "type": "object",
    "properties": {"rows": {"type": "array", "items": {"type": "string"}}, "total": {"type": "integer"}},
    "required": ["rows", "total"],
}
TOOLS: list[dict[str, Any]] = [
    {"name": "read", "description": "How often this was asked.", "annotations": {"readOnlyHint": True}},
    {"name": "write", "description": "Change something."},
    {"name": "big", "description": "A text of so many bytes."},
    {"name": "rows", "description": "Many rows.", "outputSchema": ROWS},
    {"name": "leak", "description": "The environment variable API_KEY."},
    {"name": "fail", "description": "An error with the environment variable API_KEY."},
    {"name": "drip", "description": "Progress for ever."},
    {"name": "hold", "description": "Most requests that were here at once."},
    {"name": "ask", "description": "Ask the client to sample."},
    {"name": "wait", "description": "Never answers."},
    {"name": "echo", "description": "Say it back."},
]


class Tools(Legacy):
    """What both eras offer."""

    def __init__(self) -> None:
        super().__init__()
        self.tools = [{"inputSchema": {"type": "object"}, **tool} for tool in TOOLS]
        self.reads = self.here = self.most = 0

    def call(self, number: Any, params: dict[str, Any]) -> None:
        arguments = params.get("arguments") or {}
        match params["name"]:
            case "read":
                self.reads += 1
                send({"id": number, "result": text(str(self.reads))})
            case "write":
                send({"id": number, "result": text("written")})
            case "big":
                content = [{"type": "text", "text": "a" + "é" * (arguments["bytes"] // 2) + "z"}]
                send({"id": number, "result": {"content": content}})
            case "rows":
                rows = {
                    "rows": [f"row {row}" for row in range(arguments["rows"])],
                    "total": arguments["rows"],
                }
                content = [{"type": "text", "text": str(rows)}]
                send({"id": number, "result": {"content": content, "structuredContent": rows}})
            case "leak":
                send({"id": number, "result": text(f"the key is {os.environ['API_KEY']}!")})
            case "fail":
                send({"id": number, "error": {"code": -32050, "message": f"no: {os.environ['API_KEY']}"}})
            case "drip":
                threading.Thread(
                    target=self.drip, args=[params["_meta"]["progressToken"]], daemon=True
                ).start()
            case "hold":
                threading.Thread(target=self.hold, args=[number], daemon=True).start()
            case _:
                super().call(number, params)

    def drip(self, token: Any) -> None:
        for done in range(1000):
            send({"method": "notifications/progress", "params": {"progressToken": token, "progress": done}})
            time.sleep(0.05)

    def hold(self, number: Any) -> None:
        self.here += 1
        self.most = max(self.most, self.here)
        time.sleep(0.1)
        self.here -= 1
        send({"id": number, "result": text(str(self.most))})


class ModernTools(Tools, Modern):
    """The same, in the 2026 era only."""


if __name__ == "__main__":
    {"legacy": Tools, "modern": ModernTools}[sys.argv[1]]().serve()
