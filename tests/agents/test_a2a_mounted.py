"""Agents over A2A beside `/mcp`: one endpoint, one identity, one record of calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from pygent_a2a.front import build_front
from pygent_registry.config import parse
from pygent_registry.endpoint import gateways
from pygent_registry.fronts import FrontCalls
from pygent_registry.journal import NAME
from pygent_registry.registry import Registry
from pygent_shared.http.app import build_app
from pygent_shared.http.keys import KeyFile
from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN

pytestmark = pytest.mark.anyio

ROLES = {"asker": {"factory": ["chat", "get_run", "continue_run", "cancel_run"]}, "reader": {"notes": ["*"]}}


@dataclass(frozen=True, kw_only=True)
class Up:
    """A running endpoint."""

    url: str
    registry: Registry
    keys: KeyFile

    def key(self, name: str, *roles: str) -> str:
        return self.keys.add(name, roles)[1]

    async def rpc(self, token: str, method: str, **params: Any) -> dict[str, Any]:
        """What the agent answers to whoever has the token."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {"Authorization": f"Bearer {token}", "A2A-Version": "1.0"}
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
            answer: dict[str, Any] = (await http.post(f"{self.url}/agents/tides/", json=body)).json()
        return answer

    async def send(self, token: str, id: str) -> dict[str, Any]:
        """The task of a message."""
        message = {"messageId": id, "role": "ROLE_USER", "parts": [{"text": "When?"}]}
        task: dict[str, Any] = (await self.rpc(token, "SendMessage", message=message))["result"]["task"]
        return task


@asynccontextmanager
async def up(settings: Settings, folder: Path) -> AsyncIterator[Up]:
    """An endpoint with the factory and one agent, which answers with a script."""
    settings = replace(settings, port=0)
    script = folder / "script.json"
    script.write_text('["At six."]')
    registry = Registry(parse({"mcpServers": {"factory": {"server": "factory"}}, "roles": ROLES}), settings)
    front = build_front(settings, FrontCalls(registry, "a2a"))
    assert front is not None

    @asynccontextmanager
    async def around() -> AsyncIterator[None]:
        async with registry.running():
            registry.start()
            made = {"name": "tides", "model": f"scripted:{script}", "tools": ["user__*"]}
            await registry.call_tool("factory__create_agent", made)
            await registry.call_tool("factory__deploy_agent", {"name": "tides"})
            yield

    listener = listen(settings)
    app = build_app(gateways(registry), settings, TOKEN, around=around, fronts=[front])
    async with running(app, listener):
        yield Up(url=address(listener), registry=registry, keys=KeyFile(settings))


async def test_each_caller_has_tasks_of_its_own(settings: Settings, tmp_path: Path) -> None:
    async with up(settings, tmp_path) as served:
        ada, bob = served.key("ada"), served.key("bob")
        hers = await served.send(ada, "1")
        assert hers["status"]["state"] == "TASK_STATE_COMPLETED"
        assert [one["id"] for one in (await served.rpc(ada, "ListTasks"))["result"]["tasks"]] == [hers["id"]]
        for other in (bob, TOKEN):
            assert (await served.rpc(other, "ListTasks"))["result"]["tasks"] == []
            for method in ("GetTask", "CancelTask"):
                refused = (await served.rpc(other, method, id=hers["id"]))["error"]
                assert refused["code"] == -32001
            answer = {"messageId": "2", "role": "ROLE_USER", "taskId": hers["id"], "parts": [{"text": "Me."}]}
            assert (await served.rpc(other, "SendMessage", message=answer))["error"]["code"] == -32001


async def test_the_record_of_calls_names_who_sent_the_message(settings: Settings, tmp_path: Path) -> None:
    async with up(settings, tmp_path) as served:
        await served.send(served.key("ada"), "1")
    lines = (settings.data_dir / NAME).read_text(encoding="utf-8").splitlines()
    chats = [one for one in map(json.loads, lines) if one["name"] == "factory__chat"]
    assert [(one["who"], one["outcome"]) for one in chats] == [("key:ada", "ok")]


async def test_roles_say_who_may_have_agents_work(settings: Settings, tmp_path: Path) -> None:
    async with up(settings, tmp_path) as served:
        may, must_not = served.key("may", "asker"), served.key("must-not", "reader")
        allowed = await served.send(may, "1")
        refused = await served.send(must_not, "1")
    assert allowed["status"]["state"] == "TASK_STATE_COMPLETED"
    assert refused["status"]["state"] == "TASK_STATE_REJECTED"
    assert "roles do not allow" in refused["status"]["message"]["parts"][0]["text"]


async def test_a_token_that_is_none_or_was_revoked_is_refused(settings: Settings, tmp_path: Path) -> None:
    async with up(settings, tmp_path) as served:
        key = served.key("ada")
        await served.send(key, "1")
        served.keys.revoke("ada")
        with anyio.fail_after(10):  # the file of keys is looked at now and then
            while "error" not in (answer := await served.rpc(key, "ListTasks")):
                await anyio.sleep(0.1)
        assert "was revoked" in answer["error"]
        assert "not known" in (await served.rpc("pgk_made-up", "ListTasks"))["error"]


async def test_health_tells_which_agents_are_served(settings: Settings, tmp_path: Path) -> None:
    async with up(settings, tmp_path) as served:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as http:
            parts = (await http.get(f"{served.url}/health/deep")).json()["parts"]
    assert parts["a2a"] == {"ok": True, "agents": ["tides"]}


def test_nothing_is_served_where_it_is_switched_off(settings: Settings) -> None:
    assert build_front(replace(settings, a2a="off"), None) is None  # type: ignore[arg-type]


def test_the_sdk_is_not_imported_before_a_request() -> None:
    import subprocess
    import sys

    look = "import sys, pygent_a2a.front; sys.exit(any(name.split('.')[0] == 'a2a' for name in sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", look], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
    )
