"""`pygent up`: one address for all servers, one for each, and their health."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from pygent_registry.cli import main
from pygent_registry.endpoint import gateways
from pygent_registry.registry import Registry

pytestmark = pytest.mark.usefixtures("own_logging")

PROGRAM = str(Path(sys.executable).with_name("pygent"))


class Up:
    """A running `pygent up`, as it announced itself."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self.process = process
        self.said: list[str] = []
        while not self.said or "bearer token" not in self.said[-1]:
            line = process.stderr.readline()
            assert line, self.said
            self.said.append(line.rstrip("\n"))
        self.paths = [line.split()[1] for line in self.said if line.startswith("Serving ")]
        (self.base,) = {re.sub(r"(:\d+)/.*", r"\1", path) for path in self.paths}
        self.token = Path(self.said[-1].rpartition(" in ")[2]).read_text().strip()


@pytest.fixture
def up(tmp_path: Path, server: Any) -> Iterator[Up]:
    config = tmp_path / "pygent.json"
    servers = {"old": server("well_behaved"), "memory": {"server": "memory"}, "bad": {"comand": "x"}}
    config.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    own = ["--config", str(config), "--data-dir", str(tmp_path / "data"), "--embedder", "none"]
    words = [PROGRAM, "up", "--port", "0", *own]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Up(process)
        finally:
            process.kill()


async def tools(url: str, token: str, mode: Any) -> list[str]:
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            return [tool.name for tool in (await client.list_tools()).tools]


@pytest.mark.anyio
async def test_up_serves_all_servers_and_each_alone_to_hosts_of_both_eras(up: Up) -> None:
    paths = ("/mcp", "/servers/old/mcp", "/servers/memory/mcp", "/agents")
    assert up.paths == [f"{up.base}{path}" for path in paths]
    (left_out,) = [line for line in up.said if '"bad"' in line]
    assert 'unknown key "comand". Did you mean "command"?' in left_out
    for mode in ("legacy", "auto"):
        together = await tools(f"{up.base}/mcp", up.token, mode)
        assert {"old__echo", "memory__memory_add"} <= set(together)
        assert "memory_add" in await tools(f"{up.base}/servers/memory/mcp", up.token, mode)
        assert "echo" in await tools(f"{up.base}/servers/old/mcp", up.token, mode)


@pytest.mark.anyio
async def test_up_tells_its_health_to_everyone_and_the_rest_to_who_has_the_token(up: Up) -> None:
    live = httpx.get(f"{up.base}/health/live").json()
    assert (live["live"], live["program"], live["pid"]) == (True, "pygent", up.process.pid)
    assert httpx.post(f"{up.base}/mcp", json={}).status_code == 401
    assert httpx.post(f"{up.base}/servers/memory/mcp", json={}).status_code == 401
    await tools(f"{up.base}/mcp", up.token, "auto")  # lists wait until the servers are up
    assert httpx.get(f"{up.base}/health/ready").json() == {"ready": True}
    ready = httpx.get(f"{up.base}/health/ready", headers={"Authorization": f"Bearer {up.token}"})
    assert ready.status_code == 200
    states = {name: found["state"] for name, found in ready.json()["servers"].items()}
    assert states == {"old": "ready", "memory": "ready", "bad": "unusable"}
    assert httpx.get(f"{up.base}/v0.1/servers").status_code == 401
    registered = httpx.get(f"{up.base}/v0.1/servers", headers={"Authorization": f"Bearer {up.token}"})
    told = {item["server"]["title"]: item["_meta"]["pygent/state"] for item in registered.json()["servers"]}
    assert told["old"] == {"state": "ready", "kind": "stdio", "era": "2025", "tools": 9}


@pytest.mark.anyio
async def test_a_server_that_is_added_while_up_has_a_path_and_a_log_and_a_removed_one_is_missing(
    up: Up, server: Any, tmp_path: Path
) -> None:
    path = tmp_path / "pygent.json"
    listed = json.loads(path.read_text(encoding="utf-8"))["mcpServers"]
    more = {"new": server("well_behaved"), "noisy": server("exits")}
    path.write_text(json.dumps({"mcpServers": {**listed, **more}}), encoding="utf-8")
    headers = {"Authorization": f"Bearer {up.token}"}
    async with httpx2.AsyncClient(base_url=up.base, headers=headers, timeout=30) as http:

        async def log_of(name: str) -> dict[str, Any]:
            answer = await http.get(f"/servers/{name}/logs")
            return {"status": answer.status_code, **answer.json()}

        with anyio.fail_after(20):
            while (await log_of("noisy")).get("lines", [])[:1] != ["no database here"]:
                await anyio.sleep(0.1)
        for mode in ("legacy", "auto"):
            assert "echo" in await tools(f"{up.base}/servers/new/mcp", up.token, mode)
        assert httpx.get(f"{up.base}/servers/new/logs").status_code == 401
        missing = await log_of("nwe")
        assert (missing["status"], 'Did you mean "new"?' in missing["error"]) == (404, True)
        path.write_text(json.dumps({"mcpServers": listed}), encoding="utf-8")
        with anyio.fail_after(20):
            while (await log_of("new"))["status"] != 404:
                await anyio.sleep(0.1)
        assert (await http.post("/servers/new/mcp", json={})).status_code == 404
        del listed["old"]  # which was there from the beginning
        path.write_text(json.dumps({"mcpServers": listed}), encoding="utf-8")
        with anyio.fail_after(20):
            while (await log_of("old"))["status"] != 404:
                await anyio.sleep(0.1)
        missing = await http.post("/servers/old/mcp", json={})
        assert missing.status_code == 404
        for mode in ("legacy", "auto"):
            with pytest.raises(ExceptionGroup) as caught:
                await tools(f"{up.base}/servers/old/mcp", up.token, mode)
            assert caught.group_contains(MCPError, match='There is no server "old". There is: memory')


def test_logs_are_shown_of_what_runs_and_else_it_is_said_how_to_get_them(
    up: Up, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = up.base.rpartition(":")[2]
    config = ["--config", str(tmp_path / "pygent.json")]
    own = [*config, "--data-dir", str(tmp_path / "data")]
    assert main(["logs", "old", "--port", port, *own]) == 0
    assert 'The server "old" has written nothing to stderr' in capsys.readouterr().err
    assert main(["logs", "memory", "--port", port, *own, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "in-process"
    assert main(["logs", "odl", "--port", port, *own]) == 2
    assert 'Did you mean "old"?' in capsys.readouterr().err
    assert main(["logs", "old", "--port", port, *config, "--data-dir", str(tmp_path / "other")]) == 2
    assert "--data-dir FOLDER" in capsys.readouterr().err
    assert main(["logs", "old", "--port", "9", *own]) == 1
    assert "Start it: pygent up" in capsys.readouterr().err


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_up_ends_quietly_when_it_is_told_to(up: Up, told: signal.Signals) -> None:
    httpx.get(f"{up.base}/health/live")  # it has come to waiting for signals by the time it answers
    up.process.send_signal(told)
    assert up.process.wait(timeout=30) == 0
    assert up.process.stdout is not None
    assert up.process.stderr is not None
    assert up.process.stdout.read() == ""
    assert up.process.stderr.read() == ""


def test_a_second_up_on_the_same_port_is_told_where_the_first_is(up: Up, tmp_path: Path) -> None:
    port = up.base.rpartition(":")[2]
    own = ["--config", str(tmp_path / "pygent.json"), "--data-dir", str(tmp_path / "data")]
    second = subprocess.run([PROGRAM, "up", "--port", port, *own], capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert f"taken by another pygent (pid {up.process.pid}). Use it: {up.base}/mcp" in second.stderr
    assert "Traceback" not in second.stderr


def test_each_entry_has_a_path_of_its_own(settings: Any) -> None:
    from pygent_registry.config import parse

    registry = Registry(
        parse({"mcpServers": {"a b": {"command": "x"}, "c": {"url": "http://x/mcp"}}}), settings
    )
    assert list(gateways(registry)) == ["/mcp", "/servers/a-b/mcp", "/servers/c/mcp"]
