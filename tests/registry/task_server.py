"""A server of somebody else's that answers with tasks, whether its client takes them or not.

Standard library only. Task `ends` has ended with what is for no model's eyes, `asks` waits for its user.
"""

from __future__ import annotations

import json
import os
from typing import Any

from stdio_servers import Modern, send, text

TASK = {
    "createdAt": "2026-08-01T00:00:00Z",
    "lastUpdatedAt": "2026-08-01T00:00:00Z",
    "ttlMs": None,
    "pollIntervalMs": 10,
}
FORM = {
    "method": "elicitation/create",
    "params": {
        "mode": "form",
        "message": "Which city?",
        "requestedSchema": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


class Tasks(Modern):
    """It; `seen` tells which requests about tasks came, and with what ids."""

    def __init__(self) -> None:
        super().__init__()
        names = ("ends", "asks", "seen")
        self.tools = [{"name": name, "inputSchema": {"type": "object"}} for name in names]
        self.seen: list[list[str]] = []
        self.city = ""

    def call(self, number: Any, params: dict[str, Any]) -> None:
        name = params["name"]
        if name == "seen":
            send({"id": number, "result": {**text(json.dumps(self.seen)), "resultType": "complete"}})
        else:
            send(
                {"id": number, "result": {"resultType": "task", "taskId": name, "status": "working", **TASK}}
            )

    def answer(self, message: dict[str, Any]) -> None:
        method, params = message["method"], message.get("params") or {}
        if not method.startswith("tasks/"):
            return super().answer(message)
        self.seen.append([method, params["taskId"]])
        if method == "tasks/update":
            self.city = params["inputResponses"]["q"]["content"]["city"]
        result = self.told(params["taskId"]) if method == "tasks/get" else {}
        send({"id": message["id"], "result": {"resultType": "complete", **result}})

    def told(self, id: str) -> dict[str, Any]:
        if id == "asks" and not self.city:
            return {"taskId": id, "status": "input_required", **TASK, "inputRequests": {"q": FORM}}
        said = self.city or f"key {os.environ['API_KEY']} \u200bx" + "y" * 5000
        return {"taskId": id, "status": "completed", **TASK, "result": text(said)}


if __name__ == "__main__":
    Tasks().serve()
