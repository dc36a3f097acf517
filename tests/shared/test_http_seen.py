"""What every HTTP front shows of itself, a server alone too: its numbers, and whether it works."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from prometheus_client import CollectorRegistry, ProcessCollector

from pygent_shared import traces
from pygent_shared.database import Database, damage
from pygent_shared.http import health
from pygent_shared.http.app import build_app
from pygent_shared.http.health import Deep, disk
from pygent_shared.http.run import address, listen, running
from pygent_shared.serve import lowlevel
from pygent_shared.settings import Settings
from pygent_shared.testing import built

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def memory(settings: Settings, **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
    """The memory server alone over HTTP, and somebody with these headers who asks it."""
    app = build_app({"/mcp": lowlevel(built("pygent_memory", settings))}, settings, settings.token)
    listener = listen(settings)
    async with running(app, listener):
        async with httpx2.AsyncClient(base_url=address(listener), headers=headers, timeout=30) as http:
            yield http


@pytest.fixture
def bearer(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {settings.token}"}


async def test_a_server_alone_has_metrics_of_its_process_and_its_sessions(
    settings: Settings, bearer: dict[str, str]
) -> None:
    async with memory(settings, **bearer) as http:
        transport = streamable_http_client(f"{http.base_url}/mcp", http_client=http)
        async with Client(transport, mode="legacy"):
            answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert "process_resident_memory_bytes" in answer.text or not any(_process_families())
    assert 'pygent_http_sessions{path="/mcp"} 1.0' in answer.text


def _process_families() -> list[Any]:
    return list(ProcessCollector(registry=CollectorRegistry()).collect())


@pytest.mark.parametrize("path", ["/metrics", "/health/deep"])
async def test_what_is_shown_needs_the_token_and_a_known_host_and_origin(
    settings: Settings, bearer: dict[str, str], path: str
) -> None:
    async with memory(settings) as http:
        assert (await http.get(path)).status_code == 401
        assert (await http.get(path, headers=bearer)).status_code == 200
        assert (await http.get(path, headers={**bearer, "Origin": "http://evil.example"})).status_code == 403
        assert (await http.get(path, headers={**bearer, "Host": "evil.example"})).status_code == 421


async def test_open_metrics_are_not_for_pages_of_others(settings: Settings) -> None:
    async with memory(replace(settings, metrics="open")) as http:
        assert (await http.get("/metrics")).status_code == 200
        assert (await http.get("/metrics", headers={"Origin": "http://evil.example"})).status_code == 403


async def test_metrics_can_be_had_as_openmetrics(settings: Settings, bearer: dict[str, str]) -> None:
    async with memory(settings, **bearer) as http:
        answer = await http.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_health_looks_at_every_part_at_once_and_a_slow_one_costs_only_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "PART_SECONDS", 0.2)

    async def slow() -> Mapping[str, Any]:
        await anyio.sleep_forever()
        return {}

    async def broken() -> Mapping[str, Any]:
        raise OSError("no such device")

    async def well() -> Mapping[str, Any]:
        return {"ok": True}

    began = time.monotonic()
    report = await Deep({"slow": slow, "also slow": slow, "broken": broken, "well": well}).report()
    assert time.monotonic() - began < 2
    assert not report["ok"]
    assert report["parts"]["well"] == {"ok": True}
    assert report["parts"]["broken"] == {"ok": False, "why": "no such device"}
    assert report["parts"]["slow"]["why"] == "gave no answer within 0.2 s"


async def test_who_asks_at_the_same_time_is_given_the_same_answer() -> None:
    looked = 0

    async def look() -> Mapping[str, Any]:
        nonlocal looked
        looked += 1
        await anyio.sleep(0.01)
        return {"ok": True}

    deep = Deep({"part": look})
    async with anyio.create_task_group() as asking:
        for _ in range(20):
            asking.start_soon(deep.report)
    assert looked == 1


async def test_a_full_disk_is_not_well(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await disk(settings))["free_mb"] > 0
    monkeypatch.setattr(health, "LEAST_FREE_BYTES", 1 << 62)
    assert not (await disk(settings))["ok"]


def test_a_look_into_a_database_ends_within_its_time(tmp_path: Path) -> None:
    path = tmp_path / "large.db"
    database = Database(path, ["CREATE TABLE t (x)"])
    with database.write() as connection:
        rows = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT i FROM n"
        )
        connection.execute(f"INSERT INTO t {rows}")
    database.close()
    began = time.monotonic()
    assert damage(path, within=0.001) == []
    assert time.monotonic() - began < 1
    assert damage(path, within=20) == []
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 3 + 200] = b"\xff" * 200
    path.write_bytes(content)
    assert damage(path, within=20)


def test_our_children_are_told_where_traces_go_and_keep_their_own_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    assert traces.environ()["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://c:4318"
    assert "OTEL_SERVICE_NAME" not in traces.environ()
