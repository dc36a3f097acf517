"""One trace from the host through the registry to the server behind, and none where nobody asked for any."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pygent_registry.journal import NAME
from pygent_shared.settings import Settings
from pygent_shared.traces import trace_id, wanted

pytestmark = pytest.mark.anyio

META = [sys.executable, str(Path(__file__).with_name("meta_servers.py"))]
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
HOST = {"traceparent": PARENT, "tracestate": "rojo=00f067aa0ba902b7", "baggage": "user=alice"}
SERVE = [sys.executable, "-m", "pygent_registry.cli", "serve"]


class Collector:
    """Takes spans as an OpenTelemetry collector does: OTLP over HTTP, in protobuf."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.path == "/v1/traces"
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, sent: ExportTraceServiceRequest) -> None:
        for resource in sent.resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                found = {"service": service, "name": span.name, "kind": span.kind, "status": span.status}
                ids = {key: getattr(span, key).hex() for key in ("trace_id", "span_id", "parent_span_id")}
                self.spans.append({**found, **ids, "attributes": _attributes(span.attributes)})

    def of_trace(self, kind: str, service: str) -> list[dict[str, Any]]:
        number = {"server": 2, "client": 3}[kind]
        return [
            span
            for span in self.spans
            if (span["trace_id"], span["kind"], span["service"]) == (TRACE, number, service)
        ]

    @contextmanager
    def serving(self) -> Iterator[Collector]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield self
        self._server.shutdown()
        thread.join()
        self._server.server_close()


def _attributes(found: Any) -> dict[str, str]:
    return {one.key: one.value.string_value for one in found}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector().serving() as serving:
        yield serving


@pytest.fixture
def environ(settings: Settings) -> dict[str, str]:
    """For a process of ours: these settings, and nothing of this machine's OpenTelemetry."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYGENT_"))}
    return {**plain, **settings.environ(), "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A config file with a server of each era that tells its `_meta`, and one of ours."""
    path = tmp_path / "pygent.json"
    servers: dict[str, Any] = {
        era: {"command": META[0], "args": [META[1], era]} for era in ("legacy", "modern")
    }
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    servers["memory"] = {"server": "memory", "isolated": True, "env": env}
    path.write_text(json.dumps({"mcpServers": servers}))
    return str(path)


def told(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.content[0].text) or {}
    return found


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_one_trace_goes_from_the_host_through_the_registry_to_the_servers(
    collector: Collector, environ: dict[str, str], config: str, mode: Any
) -> None:
    env = {**environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    arguments = [*SERVE[1:], "--config", config]
    async with Client(StdioServerParameters(command=SERVE[0], args=arguments, env=env), mode=mode) as client:
        at = {
            era: told(await client.call_tool(f"{era}__meta", {}, meta=HOST)) for era in ("legacy", "modern")
        }
        found = await client.call_tool("memory__memory_search", {"query": "x"}, meta=HOST)
        assert not found.is_error
    entered = {span["name"]: span for span in collector.of_trace("server", "pygent")}
    assert {span["parent_span_id"] for span in entered.values()} == {SPAN}
    left = {span["parent_span_id"]: span for span in collector.of_trace("client", "pygent")}
    for era in ("legacy", "modern"):
        way_in = entered[f"tools/call {era}__meta"]
        way_out = left[way_in["span_id"]]
        assert way_out["name"] == "tools/call meta"
        assert (
            way_out["attributes"] | {"gen_ai.tool.name": "meta", "mcp.method.name": "tools/call"}
            == (way_out["attributes"])
        )
        assert way_in["attributes"]["pygent.server"] == era
        assert at[era]["traceparent"] == f"00-{TRACE}-{way_out['span_id']}-01"
        assert (at[era]["tracestate"], at[era]["baggage"]) == (HOST["tracestate"], HOST["baggage"])
    way_out = left[entered["tools/call memory__memory_search"]["span_id"]]
    (behind,) = collector.of_trace("server", "pygent-memory")
    assert behind["parent_span_id"] == way_out["span_id"]
    assert behind["name"] == "tools/call memory_search"


@asynccontextmanager
async def over_http(command: list[str], env: dict[str, str]) -> AsyncIterator[str]:
    """The address that a program announces."""
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            lines = []
            while not (lines and lines[-1].startswith("Serving ")):
                lines.append(process.stderr.readline())
                assert lines[-1], lines
            yield lines[-1].split()[1]
        finally:
            process.terminate()
            process.wait(10)


async def test_over_http_the_trace_of_the_hosts_headers_is_carried_on_to_a_server_over_http(
    collector: Collector, environ: dict[str, str], tmp_path: Path
) -> None:
    env = {**environ, "PYGENT_TRACES": collector.address, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    alone = ["--transport", "http", "--port", "0", "--auth", "none"]
    path = tmp_path / "front.json"
    async with over_http([sys.executable, "-m", "pygent_memory", *alone], env) as behind:
        path.write_text(json.dumps({"mcpServers": {"far": {"url": behind}}}))
        async with over_http([*SERVE, *alone, "--config", str(path)], env) as front:
            async with httpx2.AsyncClient(headers=HOST, timeout=30) as http:
                async with Client(streamable_http_client(front, http_client=http), mode="auto") as client:
                    await client.call_tool("far__memory_search", {"query": "x"})
    (way_in,) = [s for s in collector.of_trace("server", "pygent") if s["name"].startswith("tools/call")]
    (way_out,) = [
        span
        for span in collector.of_trace("client", "pygent")
        if span["attributes"]["mcp.method.name"] == "tools/call"
    ]
    (behind_it,) = [
        span for span in collector.of_trace("server", "pygent-memory") if "memory_search" in span["name"]
    ]
    assert way_in["parent_span_id"] == SPAN
    assert way_out["parent_span_id"] == way_in["span_id"]
    assert behind_it["parent_span_id"] == way_out["span_id"]
    assert way_in["attributes"]["network.transport"] == "tcp"


async def test_what_a_servers_error_says_is_not_sent(
    collector: Collector, environ: dict[str, str], config: str
) -> None:
    env = {**environ, "PYGENT_TRACES": collector.address}
    parameters = StdioServerParameters(command=SERVE[0], args=[*SERVE[1:], "--config", config], env=env)
    async with Client(parameters, mode="legacy") as client:
        with pytest.raises(Exception, match="as ordered"):
            await client.call_tool("legacy__fail", {}, meta=HOST)
    (failed,) = collector.of_trace("client", "pygent")
    assert failed["attributes"]["rpc.response.status_code"] == "-32050"
    assert (failed["status"].code, failed["status"].message) == (2, "")


WATCHED = """
import sys
for name in {hidden!r}: sys.modules[name] = None
def hook(event, arguments):
    if event == "socket.connect": print("CONNECTS", arguments[1], file=sys.stderr)
sys.addaudithook(hook)
from pygent_registry.cli import main
code = main(["serve", "--config", {config!r}])
print("HAS", "opentelemetry.sdk" in sys.modules, "requests" in sys.modules, file=sys.stderr)
sys.exit(code)
"""


def conversation(meta: dict[str, Any]) -> str:
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    messages: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "legacy__meta", "arguments": {}, "_meta": meta}},
    ]
    return "".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)


def watched(environ: dict[str, str], config: str, hidden: tuple[str, ...] = ()) -> tuple[dict[str, Any], str]:
    """The `_meta` that a server got through a registry whose connections are watched, and what was said."""
    program = WATCHED.format(config=config, hidden=hidden)
    ran = subprocess.run(
        [sys.executable, "-c", program],
        input=conversation(HOST),
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    answers = {answer.get("id"): answer for answer in map(json.loads, ran.stdout.splitlines())}
    found: dict[str, Any] = json.loads(answers[2]["result"]["content"][0]["text"])
    return found, ran.stderr


def test_unasked_nothing_is_imported_nor_sent_and_the_trace_passes_untouched(
    environ: dict[str, str], config: str, settings: Settings
) -> None:
    found, stderr = watched(environ, config)
    assert {key: found[key] for key in HOST} == HOST
    assert "HAS False False" in stderr
    assert "CONNECTS" not in stderr
    (record,) = [json.loads(line) for line in (settings.data_dir / NAME).read_text().splitlines()]
    assert record["trace"] == TRACE


def test_without_the_sdk_it_is_said_what_to_install_and_the_trace_passes_untouched(
    environ: dict[str, str], config: str
) -> None:
    env = {**environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    found, stderr = watched(env, config, hidden=("opentelemetry.sdk",))
    assert found["traceparent"] == PARENT
    assert "pip install 'pygent-factory[otel]'" in stderr
    assert "CONNECTS" not in stderr


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_standard_variables_say_whether_traces_are_wanted(environ: dict[str, str], asked: bool) -> None:
    assert wanted(Settings(), environ) is asked


@pytest.mark.parametrize(
    "wrong", ["", "x", PARENT.upper(), f"00-{'0' * 32}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01", 3]
)
def test_a_traceparent_that_is_none_names_no_trace(wrong: Any) -> None:
    assert trace_id({"traceparent": wrong}) == ""
    assert trace_id({"traceparent": PARENT}) == TRACE
    assert re.fullmatch("[0-9a-f]{32}", TRACE)
