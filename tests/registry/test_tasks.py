"""Tasks through the registry: whose they are, what they may ask, and what is done to their results."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from mcp import Client, MCPError
from task_client import WithTasks, begun, cancel, get, settled, update

from pygent_shared.settings import Settings

from .conftest import Fronted
from .serving import serving

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
SECRET = "sk-7f3a9c1e5b8d2046"
ENV = {"API_KEY": SECRET, "PYTHONPATH": os.pathsep.join(sys.path)}
FOREIGN = {"command": sys.executable, "args": [str(HERE / "task_server.py")], "env": ENV}
OURS = {"orchestration": {"server": "orchestration"}, "factory": {"server": "factory"}}
APPROVED = '[steps.ask]\napproval = "Go on?"\n'


async def ask_user(context: Any, params: t.ElicitRequestParams) -> t.ElicitResult:
    raise AssertionError("a task asks by itself")


@asynccontextmanager
async def host(fronted: Fronted, servers: dict[str, Any], **options: Any) -> AsyncIterator[Client]:
    async with fronted(servers, extensions=[WithTasks()], elicitation_callback=ask_user, **options) as client:
        yield client


async def test_a_workflow_asks_its_user_and_ends_as_a_task_of_a_host_of_the_registry(
    fronted: Fronted,
) -> None:
    async with host(fronted, OURS) as client:
        arguments = {"name": "w", "definition": APPROVED}
        await client.call_tool("orchestration__define_workflow", arguments)
        task = await begun(client, "orchestration__start_workflow", name="w")
        assert task["resultType"] == "task"
        asked = (await settled(client, task))["inputRequests"]["ask"]
        assert asked["params"]["message"].endswith("Go on?")
        await update(client, task, ask={"action": "accept", "content": {"approve": True}})
        done = await settled(client, task)
    assert done["taskId"] == task["taskId"]
    assert done["result"]["structuredContent"]["state"] == "done"


async def test_a_run_is_a_task_that_can_be_cancelled(fronted: Fronted, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    asks = {"tool_calls": [{"name": "user__ask", "arguments": {"question": "Which day?"}}]}
    script.write_text(json.dumps([asks]))
    spec = {"name": "a", "model": f"scripted:{script}", "tools": ["user__*"]}
    async with host(fronted, {"factory": {"server": "factory"}}) as client:
        await client.call_tool("factory__create_agent", spec)
        await client.call_tool("factory__deploy_agent", {"name": "a"})
        task = await settled(client, await begun(client, "factory__run_agent", name="a", task="When?"))
        assert list(task["inputRequests"]) == ["question 0"]
        await cancel(client, task)
        assert (await get(client, task))["status"] == "cancelled"


async def test_a_task_is_its_callers_alone(settings: Settings) -> None:
    async with serving(settings, {"a": FOREIGN}) as up:
        ann, bo = up.key("ann"), up.key("bo")
        async with up.host(ann, extensions=[WithTasks()]) as client:
            task = await begun(client, "a__ends")
            assert (await get(client, task))["status"] == "completed"
        async with up.host(bo, extensions=[WithTasks()]) as client:
            for ask in (get, cancel, update):
                with pytest.raises(MCPError, match="You have no task of this id"):
                    await ask(client, task)
        async with up.host(ann, path="/servers/a/mcp", extensions=[WithTasks()]) as client:
            assert (await get(client, task))["status"] == "completed"
            seen = json.loads((await begun(client, "seen"))["structuredContent"]["said"])
    assert seen == [["tasks/get", "ends"]] * 2


async def test_a_task_outlasts_the_registry_as_its_server_does(fronted: Fronted) -> None:
    async with host(fronted, {"a": FOREIGN}) as client:
        task = await begun(client, "a__ends")
    async with host(fronted, {"a": FOREIGN}) as client:
        assert (await get(client, task))["status"] == "completed"


async def test_the_result_of_a_task_is_treated_as_that_of_a_call(fronted: Fronted) -> None:
    async with host(fronted, {"a": {**FOREIGN, "maxResultBytes": 2000}}) as client:
        done = await get(client, await begun(client, "a__ends"))
        said, link = done["result"]["content"]
        whole = (await client.read_resource(link["uri"])).contents[0]
    assert said["text"].startswith("key [secret] x")
    assert len(said["text"]) < 3000
    assert whole.text == "key [secret] \u200bx" + "y" * 5000  # type: ignore[union-attr]


async def test_what_a_task_asks_says_who_asks_and_is_counted_once(
    fronted: Fronted, settings: Settings
) -> None:
    settings = replace(settings, question_rate=1)
    async with host(fronted, {"a": FOREIGN}, settings=settings) as client:
        task = await begun(client, "a__asks")
        asked = [(await get(client, task))["inputRequests"]["q"] for _ in range(20)]
        assert asked[0]["params"]["message"] != "Which city?"
        assert asked == [asked[0]] * 20
        await update(client, task, q={"action": "accept", "content": {"city": "Brest"}})
        assert (await get(client, task))["result"]["structuredContent"]["said"] == "Brest"


async def test_a_task_may_not_ask_what_its_server_may_not_or_the_host_cannot(fronted: Fronted) -> None:
    async with host(fronted, {"a": {**FOREIGN, "ask": []}}) as client:
        task = await begun(client, "a__asks")
        with pytest.raises(MCPError, match="may not"):
            await get(client, task)
    async with fronted({"a": FOREIGN}, extensions=[WithTasks()]) as client:
        task = await begun(client, "a__asks")
        with pytest.raises(MCPError) as refused:
            await get(client, task)
    assert refused.value.error.code == t.MISSING_REQUIRED_CLIENT_CAPABILITY


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_host_that_takes_no_tasks_is_given_none(fronted: Fronted, mode: str) -> None:
    async with fronted({"a": FOREIGN}, mode=mode) as client:
        with pytest.raises(MCPError, match='Server "a" answered with a task'):
            await client.call_tool("a__ends", {})


async def test_a_host_of_the_2025_era_is_answered_as_ever_whatever_it_declares(fronted: Fronted) -> None:
    async with host(fronted, OURS, mode="legacy") as client:
        arguments = {"name": "w", "definition": APPROVED}
        await client.call_tool("orchestration__define_workflow", arguments)
        begins = await client.call_tool("orchestration__start_workflow", {"name": "w", "wait_s": 0.5})
        assert begins.structured_content is not None
        assert begins.structured_content["state"] in ("waiting", "running")
        with pytest.raises(MCPError, match="Method not found"):
            await get(client, {"taskId": "any"})
