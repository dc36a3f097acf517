"""What a registry shows of itself: its numbers, its servers, and whether all of it works now."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from prometheus_client.parser import text_string_to_metric_families

from pygent_registry.config import parse
from pygent_registry.gateway import Gateway
from pygent_registry.journal import NAME
from pygent_registry.policies import Request, wrapped
from pygent_registry.policies.measure import measure
from pygent_registry.registry import Registry
from pygent_registry.tally import MOST_GONE, MOST_SERIES, OTHERS, Durations, Tally, quantile
from pygent_registry.usage import of_groups
from pygent_shared.http.app import build_app
from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

POLICY_SERVERS = str(Path(__file__).with_name("policy_servers.py"))


class Front:
    """A registry behind HTTP: a client of its other routes, and hosts."""

    def __init__(self, base: str, token: str, registry: Registry) -> None:
        self.registry = registry
        self._base, self._headers = base, {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, *, token: bool = True) -> httpx2.Response:
        async with httpx2.AsyncClient(headers=self._headers if token else {}, timeout=30) as http:
            return await http.get(self._base + path)

    async def numbers(self) -> dict[tuple[str, ...], float]:
        """Every sample of /metrics, by its name and its labels' values in the order of their names."""
        text = (await self.get("/metrics")).text
        return {
            (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    @asynccontextmanager
    async def host(self, mode: Any = "auto", **options: Any) -> AsyncIterator[Client]:
        async with httpx2.AsyncClient(headers=self._headers, timeout=30) as http:
            transport = streamable_http_client(f"{self._base}/mcp", http_client=http)
            async with Client(transport, mode=mode, **options) as client:
                yield client


Fronted = Callable[..., AbstractAsyncContextManager[Front]]


@pytest.fixture
def front(settings: Settings) -> Fronted:
    """`async with front({"name": entry, …}) as front:`, served as `pygent serve --transport http` does."""

    @asynccontextmanager
    async def served(servers: dict[str, Any], **chosen: Any) -> AsyncIterator[Front]:
        in_force = replace(settings, **chosen)
        registry = Registry(parse({"mcpServers": servers}), in_force)
        gateway = Gateway(registry)
        listener = listen(in_force)
        app = build_app({"/mcp": gateway}, in_force, in_force.token, **gateway.http_options())
        async with running(app, listener):
            yield Front(address(listener), in_force.token, registry)

    return served


def tools(era: str = "legacy", **keys: Any) -> dict[str, Any]:
    env = {"API_KEY": "correct-horse-battery"}
    return {"command": sys.executable, "args": [POLICY_SERVERS, era], "env": env, **keys}


# /metrics


async def test_metrics_are_for_who_has_the_token_unless_they_are_opened_or_off(front: Fronted) -> None:
    async with front({}) as at:
        assert (await at.get("/metrics", token=False)).status_code == 401
        answer = await at.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
    async with front({}, metrics="open") as at:
        assert (await at.get("/metrics", token=False)).status_code == 200
        assert (await at.get("/health/deep", token=False)).status_code == 401
    async with front({}, metrics="off") as at:
        assert (await at.get("/metrics")).status_code == 404


async def test_metrics_count_calls_by_tool_and_outcome_and_what_refused_them(front: Fronted) -> None:
    servers = {"a": tools(deny=["write"]), "b": tools("modern", concurrency=1)}
    async with front(servers, caller_rate=60) as at, at.host() as host:
        for _ in range(3):
            await host.call_tool("a__echo", {})
        with suppress(MCPError):
            await host.call_tool("a__fail", {})
        async with anyio.create_task_group() as calls:
            for _ in range(3):
                calls.start_soon(host.call_tool, "b__hold", {})
        found = await at.numbers()
        assert found["pygent_calls_total", "tools/call", "ok", "a", "echo"] == 3
        assert found["pygent_calls_total", "tools/call", "error", "a", "fail"] == 1
        assert found["pygent_call_seconds_count", "tools/call", "a", "echo"] == 3
        assert found["pygent_call_seconds_bucket", "+Inf", "tools/call", "b", "hold"] == 3
        assert found["pygent_call_seconds_sum", "tools/call", "b", "hold"] > 0.3
        assert found["pygent_queue_wait_seconds_count", "b"] == 2
        assert found["pygent_calls_in_flight", "b"] == found["pygent_calls_waiting", "b"] == 0
        for _ in range(40):
            await host.call_tool("a__echo", {})
        assert (await at.numbers())["pygent_refused_total", "a", "TooMany"] > 0


async def test_metrics_say_how_the_servers_are_and_what_is_offered(front: Fronted) -> None:
    servers = {"a": tools(), "gone": {"command": "no-such-program"}}
    async with front(servers) as at, at.host("legacy") as host:
        assert {tool.name for tool in (await host.list_tools()).tools} >= {"a__echo"}
        found = await at.numbers()
        assert (found["pygent_server_up", "a"], found["pygent_server_up", "gone"]) == (1, 0)
        assert found["pygent_server_state", "a", "ready"] == 1
        assert found["pygent_catalogue_size", "tool"] == 11
        assert found["pygent_http_sessions", "/mcp"] == 1
        assert found[("process_open_fds",)] > 3
        if Path("/proc/self/stat").exists():
            assert found["pygent_server_resident_memory_bytes", "a"] > 1_000_000
            assert found["pygent_server_up_seconds", "a"] > 0
    assert ("pygent_build_info", "0.1.0") in found


async def test_metrics_count_the_calls_that_wait_for_their_host(front: Fronted) -> None:
    async def never(context: object, params: object) -> Any:
        waiting.set()
        await anyio.sleep_forever()

    waiting = anyio.Event()
    async with front({"a": tools(ask=["sampling"])}) as at, at.host(sampling_callback=never) as host:
        async with anyio.create_task_group() as calls:
            calls.start_soon(host.call_tool, "a__ask", {})
            with anyio.fail_after(10):
                await waiting.wait()
            assert (await at.numbers())[("pygent_calls_parked",)] == 1
            calls.cancel_scope.cancel()


def asked(tool: str, *, known: bool) -> Request:
    context: Any = SimpleNamespace(method="tools/call", request=None)
    definition = {"name": tool} if known else {}
    return Request(
        server="a", name=f"a__{tool}", params={"name": tool}, context=context, definition=definition
    )


async def test_no_caller_makes_up_a_name_to_be_counted_under() -> None:
    async def answer(request: Request) -> dict[str, Any]:
        return {"content": []}

    tally = Tally()
    handle = wrapped(answer, [measure(tally)])
    for number in range(5):
        await handle(asked(f"made-up-{number}", known=False))
    assert list(tally.series) == [("a", "tools/call", "")]
    for number in range(MOST_SERIES + 5):
        await handle(asked(f"offered-{number}", known=True))
    assert len(tally.series) <= MOST_SERIES + 1
    assert tally.series["a", "tools/call", OTHERS].took.count == 6


def test_the_counts_of_servers_removed_long_ago_are_forgotten() -> None:
    tally = Tally()
    for number in range(MOST_GONE + 5):
        tally.ended((f"s{number}", "tools/call", "x"), "ok", 0.1)
    tally.forget_the_oldest_but({"s0"})
    kept = ["s0", *(f"s{number}" for number in range(5, MOST_GONE + 5))]
    assert list(tally.servers) == kept
    assert [server for server, _, _ in tally.series] == kept


async def test_a_call_that_is_cancelled_or_breaks_is_counted_as_what_it_is() -> None:
    async def answer(request: Request) -> dict[str, Any]:
        if request.tool == "breaks":
            raise ZeroDivisionError
        await anyio.sleep_forever()
        return {}

    tally = Tally()
    handle = wrapped(answer, [measure(tally)])
    with anyio.move_on_after(0.01):
        await handle(asked("waits", known=True))
    with pytest.raises(ZeroDivisionError):
        await handle(asked("breaks", known=True))
    assert tally.of("a").outcomes == {"cancelled": 1, "defect": 1}
    assert tally.of("a").in_flight == 0


def test_durations_fall_into_the_bucket_that_they_do_not_exceed() -> None:
    took = Durations()
    for seconds in (0.001, 0.0011, 1000.0):
        took.add(seconds)
    assert (took.buckets[0], took.buckets[1], took.buckets[-1], took.count) == (1, 1, 1, 3)


@pytest.mark.parametrize(
    ("found", "p50", "p95"), [([], None, None), ([3.0], 3.0, 3.0), (list(range(100)), 50, 95)]
)
def test_a_quantile_is_one_of_the_durations(found: list[float], p50: float | None, p95: float | None) -> None:
    assert (quantile(found, 0.5), quantile(found, 0.95)) == (p50, p95)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc here")
def test_usage_is_of_whole_process_groups() -> None:
    own = os.getpgrp()
    found = of_groups([own, 999_999_999])
    assert list(found) == [own]
    assert found[own].rss_bytes > 10_000_000
    assert found[own].cpu_seconds > 0
    assert of_groups([]) == {}


# /servers


async def test_servers_tells_each_servers_state_use_and_calls(front: Fronted) -> None:
    async with front({"a": tools(), "gone": {"command": "no-such-program"}}) as at, at.host() as host:
        await host.call_tool("a__echo", {})
        with suppress(MCPError):
            await host.call_tool("a__fail", {})
        found = (await at.get("/servers")).json()["servers"]
        assert (await at.get("/servers", token=False)).status_code == 401
    a, gone = found["a"], found["gone"]
    assert (a["state"], a["calls"], a["errors"], a["outcomes"]) == ("ready", 2, 1, {"ok": 1, "error": 1})
    assert 0 < a["p50_ms"] <= a["p95_ms"]
    assert (gone["calls"], gone["p50_ms"]) == (0, None)
    assert "no program" in gone["why"]


# /health/deep


async def part(at: Front, name: str) -> tuple[int, dict[str, Any]]:
    answer = await at.get("/health/deep")
    return answer.status_code, answer.json()["parts"][name]


async def test_deep_health_asks_every_server_of_either_era(front: Fronted) -> None:
    async with front({"a": tools("legacy"), "b": tools("modern")}) as at, at.host() as host:
        await host.call_tool("a__echo", {})
        await host.call_tool("b__echo", {})
        answer = await at.get("/health/deep")
        assert answer.status_code == 200
        assert answer.json()["ok"]
        assert {
            name: found["ok"] for name, found in answer.json()["parts"]["servers"]["servers"].items()
        } == {
            "a": True,
            "b": True,
        }


async def test_deep_health_finds_a_server_that_hangs_within_its_time_and_the_others_well(
    front: Fronted,
) -> None:
    async with front({"a": tools(), "b": tools()}) as at, at.host() as host:
        await host.call_tool("b__echo", {})
        await host.call_tool("a__echo", {})
        pid = at.registry.report()["servers"]["a"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            began = anyio.current_time()
            status, found = await part(at, "servers")
            assert anyio.current_time() - began < 4
        finally:
            os.kill(pid, signal.SIGCONT)
        assert status == 503
        assert (
            found["servers"]["a"] | {"ok": False, "why": "gave no answer within 2 s"} == found["servers"]["a"]
        )
        assert found["servers"]["b"]["ok"]


async def test_deep_health_says_which_server_is_down(front: Fronted) -> None:
    async with front({"gone": {"command": "no-such-program"}}) as at, at.host() as host:
        await host.list_tools()
        status, found = await part(at, "servers")
        assert (status, found["servers"]["gone"]["ok"]) == (503, False)
        assert "no program" in found["servers"]["gone"]["why"]


async def test_deep_health_looks_into_the_databases_and_is_kept_for_a_moment(
    front: Fronted, settings: Settings
) -> None:
    async with front({"memory": {"server": "memory"}}) as at, at.host() as host:
        await host.call_tool("memory__memory_add", {"text": "x"})
        first = (await at.get("/health/deep")).json()
        assert first["parts"]["databases"] == {"ok": True, "looked_at": ["memory.db"]}
        (settings.data_dir / "other.db").write_bytes(b"no database at all" * 100)
        assert (await at.get("/health/deep")).json() == first
    async with front({}) as at:
        status, found = await part(at, "databases")
        assert (status, found["damaged"]) == (503, {"other.db": "file is not a database"})


async def test_deep_health_says_when_the_audit_cannot_be_written(front: Fronted, settings: Settings) -> None:
    async with front({"a": tools()}) as at, at.host() as host:
        await host.call_tool("a__echo", {})
        last = json.loads((settings.data_dir / NAME).read_text().splitlines()[-1])["hash"]
        assert (await part(at, "audit"))[1] == {"ok": True, "last": last}
    (settings.data_dir / NAME).unlink()
    (settings.data_dir / NAME).mkdir()
    async with front({}) as at:
        status, found = await part(at, "audit")
        assert (status, found["ok"]) == (503, False)
        assert "Is a directory" in found["why"]
