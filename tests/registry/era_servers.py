"""A server of each protocol era with everything that crosses the registry: `python era_servers.py ERA`.

Standard library only. The tool `ask` asks the client whatever it is told to; `grow` offers more from then on.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from stdio_servers import Legacy, send

TOOLS = "echo refuse fail count wait cancelled ask grow touch log capabilities link".split()
LISTS = {"tools": "tools", "prompts": "prompts", "resources": "resources"}


def text(said: Any, **more: Any) -> dict[str, Any]:
    return {
        "content": [{"type": "text", "text": said if isinstance(said, str) else json.dumps(said)}],
        **more,
    }


class Of2025(Legacy):
    """The 2025 era: it knows nothing of the other."""

    scheme = "of2025"

    def __init__(self) -> None:
        super().__init__()
        self.tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
        self.prompts = [{"name": "greet", "arguments": [{"name": "who", "required": True}]}]
        self.resources = [{"uri": f"{self.scheme}://fixed", "name": "fixed"}]
        self.client: dict[str, Any] = {}
        self.asked: dict[str, Any] = {}
        self.subscribed: list[str] = []

    def serve(self) -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if message.get("method") == "notifications/cancelled":
                self.end(message["params"]["requestId"])
            elif "method" in message and "id" in message:
                self.answer(message)
            elif message.get("id") in self.asked:
                self.hear(message)

    def end(self, number: Any) -> None:
        self.cancelled.append(number)

    def hear(self, message: dict[str, Any]) -> None:
        """The client's answer to a question: a result, or an error."""
        self.result(self.asked.pop(message["id"]), text(message.get("result") or message["error"]))

    def hello(self) -> dict[str, Any]:
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": self.offers(),
            "serverInfo": {"name": "of-2025", "version": "0"},
        }

    def offers(self) -> dict[str, Any]:
        changing = {"listChanged": True}
        return {
            "tools": changing,
            "prompts": changing,
            "resources": {**changing, "subscribe": True},
            "completions": {},
            "logging": {},
        }

    def result(self, number: Any, result: dict[str, Any]) -> None:
        send({"id": number, "result": result})

    def answer(self, message: dict[str, Any]) -> None:
        number, method, params = message["id"], message["method"], message.get("params") or {}
        match method:
            case "initialize":
                self.client = params["capabilities"]
                self.result(number, self.hello())
            case "tools/list" | "prompts/list" | "resources/list":
                kind = method.partition("/")[0]
                self.result(number, {kind: getattr(self, kind)})
            case "resources/templates/list":
                template = {"uriTemplate": f"{self.scheme}://made/{{name}}", "name": "made"}
                self.result(number, {"resourceTemplates": [template]})
            case "resources/read":
                uri = params["uri"]
                self.result(
                    number, {"contents": [{"uri": uri, "mimeType": "text/plain", "text": f"of {uri}"}]}
                )
            case "resources/subscribe":
                self.subscribed.append(params["uri"])
                self.result(number, {})
            case "resources/unsubscribe":
                self.subscribed.remove(params["uri"])
                self.result(number, {})
            case "prompts/get":
                said = {"type": "text", "text": f"Greet {params['arguments']['who']}."}
                self.result(number, {"messages": [{"role": "user", "content": said}]})
            case "completion/complete":
                values = [params["argument"]["value"] + "a", json.dumps(params["ref"])]
                self.result(number, {"completion": {"values": values}})
            case "logging/setLevel":
                self.result(number, {})
            case "tools/call":
                self.call(number, params)
            case _:
                send({"id": number, "error": {"code": -32601, "message": "Method not found"}})

    def call(self, number: Any, params: dict[str, Any]) -> None:
        arguments = params.get("arguments") or {}
        match params["name"]:
            case "echo":
                self.result(number, text(arguments, structuredContent={"given": arguments, "null": None}))
            case "refuse":
                self.result(number, text("not today", isError=True))
            case "fail":
                error = {"code": -32050, "message": "as ordered", "data": {"why": [1, 2]}}
                send({"id": number, "error": arguments.get("error", error)})
            case "count":
                token = params["_meta"]["progressToken"]
                for done in range(1, arguments["to"] + 1):
                    report = {"progress": done, "total": arguments["to"], "message": arguments["word"]}
                    send({"method": "notifications/progress", "params": {"progressToken": token, **report}})
                self.result(number, text("counted"))
            case "wait":
                pass
            case "cancelled":
                self.result(number, text(str(len(self.cancelled))))
            case "ask":
                self.ask(number, params)
            case "grow":
                kind, name = arguments["kind"], arguments["name"]
                new = (
                    {"name": name, "uri": f"{self.scheme}://{name}"}
                    if kind == "resources"
                    else {"name": name}
                )
                if kind == "tools":
                    new["inputSchema"] = {"type": "object"}  # type: ignore[assignment]
                getattr(self, kind).append(new)
                self.notify(f"notifications/{kind}/list_changed", {})
                self.result(number, text("grown"))
            case "touch":
                if arguments["uri"] in self.subscribed:
                    self.notify("notifications/resources/updated", {"uri": arguments["uri"]})
                self.result(number, text(self.subscribed))
            case "log":
                if self.is_logged(params):
                    self.notify("notifications/message", {"level": "info", "data": arguments["data"]})
                self.result(number, text("logged"))
            case "capabilities":
                self.result(number, text(self.declared(params)))
            case "link":
                link = {"type": "resource_link", "uri": arguments["uri"], "name": "linked"}
                self.result(number, {"content": [link]})
            case _:
                self.result(number, text("new"))

    def ask(self, number: Any, params: dict[str, Any]) -> None:
        question = f"q{number}"
        self.asked[question] = number
        send({"id": question, **params["arguments"]})

    def notify(self, method: str, params: dict[str, Any]) -> None:
        send({"method": method, "params": params})

    def is_logged(self, params: dict[str, Any]) -> bool:
        return True

    def declared(self, params: dict[str, Any]) -> Any:
        return self.client


META = "io.modelcontextprotocol/"


class Of2026(Of2025):
    """The 2026 era: it refuses `initialize`."""

    scheme = "of2026"

    def __init__(self) -> None:
        super().__init__()
        self.streams: dict[Any, dict[str, Any]] = {}

    def end(self, number: Any) -> None:
        if self.streams.pop(number, None) is None:
            super().end(number)

    def result(self, number: Any, result: dict[str, Any]) -> None:
        super().result(number, {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **result})

    def answer(self, message: dict[str, Any]) -> None:
        number, method, params = message["id"], message["method"], message.get("params") or {}
        match method:
            case "initialize":
                data = {"supported": ["2026-07-28"], "requested": params.get("protocolVersion")}
                send(
                    {"id": number, "error": {"code": -32022, "message": "Unsupported version", "data": data}}
                )
            case "server/discover":
                offers = self.offers()
                self.result(number, {"supportedVersions": ["2026-07-28"], "capabilities": offers})
            case "subscriptions/listen":
                self.streams[number] = wanted = params["notifications"]
                acknowledged = {"notifications": wanted, "_meta": {f"{META}subscriptionId": number}}
                super().notify("notifications/subscriptions/acknowledged", acknowledged)
            case "resources/subscribe" | "resources/unsubscribe" | "logging/setLevel":
                send({"id": number, "error": {"code": -32601, "message": "Method not found"}})
            case _:
                super().answer(message)

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """On every stream that wants it; log messages belong to their requests."""
        if method == "notifications/message":
            return super().notify(method, params)
        for number, wanted in self.streams.items():
            kind = method.split("/")[1]
            if wanted.get(f"{kind}ListChanged") or params.get("uri") in wanted.get(
                "resourceSubscriptions", []
            ):
                super().notify(method, {**params, "_meta": {f"{META}subscriptionId": number}})

    def call(self, number: Any, params: dict[str, Any]) -> None:
        self.subscribed = [
            uri for wanted in self.streams.values() for uri in wanted.get("resourceSubscriptions", [])
        ]
        super().call(number, params)

    def ask(self, number: Any, params: dict[str, Any]) -> None:
        if (answers := params.get("inputResponses")) is not None:
            assert params["requestState"] == "mine"
            return self.result(number, text(answers["q"]))
        asked = {"q": params["arguments"]}
        self.result(number, {"resultType": "input_required", "inputRequests": asked, "requestState": "mine"})

    def is_logged(self, params: dict[str, Any]) -> bool:
        return f"{META}logLevel" in params["_meta"]

    def declared(self, params: dict[str, Any]) -> Any:
        return params["_meta"][f"{META}clientCapabilities"]


if __name__ == "__main__":
    {"2025": Of2025, "2026": Of2026}[sys.argv[1]]().serve()
