"""JSON that is made to harm, from hosts and from servers: it costs whoever sent it, and nobody else."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError
from starlette.testclient import TestClient

from pygent_registry.cli import main
from pygent_registry.config import parse
from pygent_registry.endpoint import gateways
from pygent_registry.registry import Registry
from pygent_shared.http.app import build_app
from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN

TOOL: dict[str, Any] = {"name": "t", "inputSchema": {"type": "object"}}
PING = {"jsonrpc": "2.0", "id": 7, "method": "ping"}
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "0"},
    },
}
ABUSE = {
    "deep": b'{"jsonrpc":"2.0","id":2,"method":"ping","params":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"jsonrpc":"2.0","id":2,"method":"ping","params":' + b'{"a":' * 50_000 + b"}" * 50_000,
    "no UTF-8": b'{"jsonrpc":"2.0","id":2,"method":"\xff\xfe"}',
    "digits": b'{"jsonrpc":"2.0","id":' + b"9" * 100_000 + b',"method":"ping"}',
    "half a character": b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}',
    "no JSON": b"\x00\x01\x02",
    "a batch": b"[" + b",".join([json.dumps(PING).encode()] * 10_000) + b"]",
}


@pytest.fixture
def offer(tmp_path: Path, server: Any) -> Any:
    """`offer(tool, …)`: the entry of a server that offers these tools."""

    def entry(*tools: dict[str, Any]) -> dict[str, Any]:
        (tmp_path / "offered.json").write_text(json.dumps({"tools": tools}), encoding="utf-8")
        found: dict[str, Any] = server("offering", tmp_path / "offered.json")
        return found

    return entry


# From hosts.


@pytest.fixture
def http(settings: Settings) -> Iterator[TestClient]:
    registry = Registry(parse({"mcpServers": {}}), settings)
    app = build_app(gateways(registry), settings, TOKEN, around=registry.running)
    accept = "application/json, text/event-stream"
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": accept, "Content-Type": "application/json"}
    with TestClient(app, base_url="http://127.0.0.1:8700", headers=headers) as client:
        yield client


@pytest.mark.parametrize("abuse", ABUSE)
def test_over_http_it_is_refused_and_the_next_is_answered(http: TestClient, abuse: str) -> None:
    assert 400 <= http.post("/mcp", content=ABUSE[abuse]).status_code < 500
    assert http.post("/mcp", json=HELLO).status_code == 200


def test_over_http_a_body_has_a_limit(http: TestClient) -> None:
    large = {**HELLO, "params": {**HELLO["params"], "x": "x" * (4 << 20)}}
    assert http.post("/mcp", json=large).status_code == 413

    def chunks() -> Iterator[bytes]:  # without a Content-Length to go by
        yield from [b"[" * 65536] * 80

    assert http.post("/mcp", content=chunks()).status_code == 413
    assert http.post("/mcp", json=HELLO).status_code == 200


def test_over_stdio_it_is_passed_over_and_the_next_is_answered(tmp_path: Path) -> None:
    config = tmp_path / "pygent.json"
    config.write_text('{"mcpServers": {}}')
    own = ["--config", str(config), "--data-dir", str(tmp_path / "data")]
    lines = [json.dumps(HELLO).encode()]
    for number, abuse in enumerate(ABUSE.values(), 100):
        lines += [abuse, json.dumps({**PING, "id": number}).encode()]
    ran = subprocess.run(
        [sys.executable, "-m", "pygent_registry", *own],
        input=b"\n".join(lines) + b"\n",
        capture_output=True,
        timeout=60,
    )
    answered = [json.loads(line).get("id") for line in ran.stdout.splitlines()]
    assert {1, *range(100, 100 + len(ABUSE))} <= {number for number in answered if isinstance(number, int)}
    assert b"Traceback" not in ran.stderr


# From servers.


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("kind", ["deep", "numbers", "no UTF-8", "half a character", "keys"])
async def test_what_a_server_answers_harms_that_call_at_most(
    fronted: Any, server: Any, kind: str, mode: str
) -> None:
    servers = {"bad": server("abusive", timeout=1), "good": server("well_behaved")}
    async with fronted(servers, mode=mode) as client:
        with suppress(MCPError):  # the host is told that there is no usable answer
            await client.call_tool("bad__echo", {"kind": kind})
        for name in ("bad__pid", "good__pid"):
            assert not (await client.call_tool(name, {})).is_error


@pytest.mark.anyio
async def test_a_definition_that_is_too_large_is_withheld_and_neither_kept_nor_scanned(
    fronted: Any, offer: Any, settings: Settings
) -> None:
    properties = {f"p{number}": {"type": "string", "description": "x" * 100} for number in range(3000)}
    large = {"name": "large", "inputSchema": {"type": "object", "properties": properties}}
    async with fronted({"a": offer(TOOL, large)}) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["a__t"]
        refused = await client.call_tool("a__large", {})
    assert "bytes, but at most 262,144 are shown" in str(refused.content)
    assert (settings.data_dir / "pins.json").stat().st_size < 10_000


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """What an HTTP server on this machine was asked for; its address is the first."""
    found: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listener:
        found.append(f"http://127.0.0.1:{listener.server_port}")
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        listener.shutdown()
        thread.join()


@pytest.mark.anyio
@pytest.mark.parametrize("tools", ["all", "search"])
async def test_a_reference_to_the_network_is_never_followed(
    fronted: Any, offer: Any, settings: Settings, asked: list[str], tools: Any
) -> None:
    address = asked[0]
    schema = {
        "$schema": f"{address}/schema",
        "$id": f"{address}/id",
        "type": "object",
        "properties": {"x": {"$ref": f"{address}/x.json"}, "y": {"$dynamicRef": f"{address}/y.json"}},
    }
    searching = Settings(**{**vars(settings), "tools": tools})
    async with fronted({"a": offer({**TOOL, "inputSchema": schema})}, settings=searching) as client:
        await client.list_tools()
        if tools == "search":
            await client.call_tool("search_tools", {"query": "t"})
            await client.call_tool("describe_tool", {"name": "a__t"})
            await client.call_tool("call_tool", {"name": "a__t", "arguments": {"x": 1}})
        else:
            await client.call_tool("a__t", {"x": 1})
    assert asked == [address]


@pytest.mark.usefixtures("own_logging")
def test_the_command_line_follows_no_reference_to_the_network_and_each_other_once(
    offer: Any, asked: list[str], tmp_path: Path
) -> None:
    circle = {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in "abcdefgh"]}
    defs = dict.fromkeys("abcdefgh", circle)
    properties = {"x": {"$ref": f"{asked[0]}/x.json"}, "y": circle}
    tool = {**TOOL, "inputSchema": {"type": "object", "$defs": defs, "properties": properties}}
    config = tmp_path / "pygent.json"
    config.write_text(json.dumps({"mcpServers": {"a": offer(tool)}}))
    own = ["--config", str(config), "--data-dir", str(tmp_path / "data")]
    began = time.monotonic()
    assert main(["call", "a__t", "x=1", "y=2", *own]) == 0
    assert time.monotonic() - began < 30
    assert len(asked) == 1
