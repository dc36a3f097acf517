"""An agent may do what whoever runs it may do, then and later; and a run is there for them alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError

from pygent_shared.caller import acting_for
from pygent_shared.errors import UnknownName
from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN, refusal

from .serving import serving
from .test_factory import call

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])
FACTORY = ["run_agent", "continue_run", "get_run", "cancel_run", "list_runs", "chat", "run://*"]
GREET = json.dumps({"tool_calls": [{"name": "notes__greet", "arguments": {"name": "tide"}}]})
ROLES = {
    "reader": {"factory": FACTORY, "notes": ["read"]},
    "writer": {"factory": FACTORY, "notes": ["read", "greet"]},
}


@pytest.fixture
def servers(tmp_path: Path) -> dict[str, Any]:
    notes = {"command": sys.executable, "args": [str(HERE / "noting_server.py"), str(tmp_path / "calls")]}
    return {"factory": {"server": "factory"}, "memory": {"server": "memory"}, "notes": notes}


def greeted(folder: Path) -> int:
    calls = folder / "calls"
    return calls.read_text().count("greet") if calls.exists() else 0


async def agent(owner: Client, **more: Any) -> None:
    await call(owner, "factory__create_agent", name="a", tools=["notes__*"], **more)
    await call(owner, "factory__deploy_agent", name="a")


@MODES
async def test_an_agent_has_the_tools_that_whoever_runs_it_may_call_and_no_others(
    settings: Settings, servers: dict[str, Any], tmp_path: Path, mode: str
) -> None:
    async with serving(settings, servers, ROLES) as up:
        async with up.host(TOKEN, mode) as owner:
            await agent(owner)
        offered = {}
        for role, key in {role: up.key(role, role) for role in ROLES}.items():
            async with up.host(key, mode) as client:
                run = await call(client, "factory__run_agent", name="a", task="Greet.")
                offered[role] = run["system"]
                run = await call(client, "factory__continue_run", run=run["run"], reply=GREET)
                run = await call(client, "factory__continue_run", run=run["run"], reply="Done.")
                assert (run["state"], greeted(tmp_path)) == ("done", role == "writer")
    assert ("notes__read" in offered["reader"], "notes__greet" in offered["reader"]) == (True, False)
    assert "notes__greet" in offered["writer"]


async def test_a_run_is_there_for_whoever_began_it_and_for_the_machines_own_user(
    settings: Settings, servers: dict[str, Any]
) -> None:
    async with serving(settings, servers, ROLES) as up:
        async with up.host(TOKEN) as owner:
            await agent(owner)
        keys = {name: up.key(name, "writer") for name in ("ann", "bob")}
        async with up.host(keys["ann"]) as ann:
            begun = await call(ann, "factory__chat", name="a", message="I am Ann.", conversation="c")
            run = begun["run"]
            await call(ann, "factory__continue_run", run=run, reply="Hello Ann.")
            told = await call(ann, "factory__chat", name="a", message="Who am I?", conversation="c")
            assert "I am Ann." in str(told["messages"])
        async with up.host(keys["bob"]) as bob:
            assert (await call(bob, "factory__list_runs"))["runs"] == []
            for tool, more in (("get_run", {}), ("cancel_run", {}), ("continue_run", {"reply": "x"})):
                assert f'There is no run "{run}"' in await refusal(bob, f"factory__{tool}", run=run, **more)
            with pytest.raises(MCPError, match="There is no run"):
                await bob.read_resource(f"run://{run}")
            said = await call(bob, "factory__chat", name="a", message="Who am I?", conversation="c")
            assert "Ann" not in str(said["messages"])
        async with up.host(TOKEN) as owner:
            assert (await call(owner, "factory__get_run", run=run))["answer"] == "Hello Ann."
            assert len((await call(owner, "factory__list_runs"))["runs"]) == 3


async def test_what_an_agent_remembers_is_of_whoever_runs_it(
    settings: Settings, servers: dict[str, Any]
) -> None:
    adds = {"name": "memory__memory_add", "arguments": {"text": "The tide turns at six."}}
    roles = {"all": {"*": ["*"]}}
    found = {}
    async with serving(settings, servers, roles) as up:
        keys = {name: up.key(name, "all") for name in ("ann", "bob")}
        async with up.host(keys["ann"]) as ann:
            await call(ann, "factory__create_agent", name="a", tools=["memory__*"])
            await call(ann, "factory__deploy_agent", name="a")
            run = await call(ann, "factory__run_agent", name="a", task="Remember the tide.")
            await call(ann, "factory__continue_run", run=run["run"], reply=json.dumps({"tool_calls": [adds]}))
            await call(ann, "factory__continue_run", run=run["run"], reply="I do.")
            found["ann"] = await call(ann, "factory__run_agent", name="a", task="When does the tide turn?")
        async with up.host(keys["bob"]) as bob:
            found["bob"] = await call(bob, "factory__run_agent", name="a", task="When does the tide turn?")
    assert "turns at six" in found["ann"]["messages"][0]["text"]
    assert found["bob"]["messages"][0]["text"] == "When does the tide turn?"


async def test_no_repository_of_this_machine_is_opened_for_somebody_else(
    settings: Settings, servers: dict[str, Any], tmp_path: Path
) -> None:
    async with serving(settings, servers, ROLES) as up:
        async with up.host(TOKEN) as owner:
            await agent(owner)
            await call(owner, "factory__create_agent", name="mender", type="coding")
            await call(owner, "factory__deploy_agent", name="mender")
        async with up.host(up.key("ann", "writer")) as ann:
            for name in ("a", "mender"):
                told = await refusal(ann, "factory__run_agent", name=name, task="x", workspace=str(tmp_path))
                assert "you are not its own user" in told


async def test_what_was_begun_before_a_restart_has_the_rights_that_its_caller_has_now(
    settings: Settings, servers: dict[str, Any], tmp_path: Path
) -> None:
    keys, runs = {}, {}
    async with serving(settings, servers, ROLES) as up:
        async with up.host(TOKEN) as owner:
            await agent(owner)
        for name in ("kept", "revoked", "narrowed"):
            keys[name] = up.key(name, "writer" if name != "narrowed" else "narrow")
    wide = {**ROLES, "narrow": ROLES["writer"]}
    async with serving(settings, servers, wide) as up:
        for name, key in keys.items():
            async with up.host(key) as client:
                runs[name] = (await call(client, "factory__run_agent", name="a", task="Greet."))["run"]
    narrow = {**ROLES, "narrow": ROLES["reader"]}
    async with serving(settings, servers, narrow) as up:
        async with up.host(TOKEN) as owner:
            await call(owner, "factory__list_runs")
            up.keys.revoke("revoked")
            for name, calls in (("narrowed", 0), ("revoked", 0), ("kept", 1)):
                ended = await call(owner, "factory__continue_run", run=runs[name], reply=GREET, wait_s=20)
                assert greeted(tmp_path) == calls, name
                assert ended["state"] == "needs_completion", name
                refused = "There is no tool" in str(ended["messages"])
                assert refused == (name != "kept"), ended["messages"]


async def test_a_caller_that_is_named_without_its_rights_may_call_nothing(
    settings: Settings, servers: dict[str, Any]
) -> None:
    async with serving(settings, servers, ROLES) as up:
        async with up.host(TOKEN):
            with acting_for({"name": "ann"}), pytest.raises(UnknownName):
                await up.registry.call_tool("notes__greet", {"name": "tide"})
            with acting_for(None):
                assert not (await up.registry.call_tool("notes__greet", {"name": "tide"})).get("isError")
