"""The tasks extension: runs and workflows as the tasks of a client that takes them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from mcp import Client, MCPError
from task_client import WithTasks, begun, cancel, get, settled, update

from pygent_factory.server import build_server as factory
from pygent_orchestration.server import build_server as orchestration
from pygent_shared.settings import Settings

from .workflow_peers import Peers

pytestmark = pytest.mark.anyio

APPROVED = """
    [steps.ask]
    approval = "Go on?"
    [steps.after]
    condition = "steps.ask.approved"
    """
HOLDS = '[steps.hold]\ntool = "work__hold"\n'


async def ask_user(context: Any, params: t.ElicitRequestParams) -> t.ElicitResult:
    raise AssertionError("a task asks by itself")


async def sample(context: Any, params: t.CreateMessageRequestParams) -> t.CreateMessageResult:
    raise AssertionError("a task asks by itself")


@asynccontextmanager
async def workflows(settings: Settings, peers: Any = None, **options: Any) -> AsyncIterator[Client]:
    async with Client(orchestration(settings, peers), extensions=[WithTasks()], **options) as client:
        yield client


@asynccontextmanager
async def agents(settings: Settings, model: str, *tools: str, **options: Any) -> AsyncIterator[Client]:
    async with Client(factory(settings, Peers()), extensions=[WithTasks()], **options) as client:
        await client.call_tool("create_agent", {"name": "a", "model": model, "tools": ["work__do", *tools]})
        deployed = await client.call_tool("deploy_agent", {"name": "a"})
        assert not deployed.is_error, deployed.content
        yield client


def scripted(folder: Path, *replies: Any) -> str:
    path = folder / "script.json"
    path.write_text(json.dumps(replies))
    return f"scripted:{path}"


async def defined(client: Client, text: str) -> None:
    done = await client.call_tool("define_workflow", {"name": "w", "definition": text})
    assert not done.is_error, done.content


async def test_a_workflow_that_takes_long_is_a_task_and_its_end_the_result_of_the_call(
    settings: Settings,
) -> None:
    peers = Peers()
    async with workflows(settings, peers) as client:
        await defined(client, HOLDS)
        task = await begun(client, "start_workflow", name="w")
        assert (task["resultType"], task["status"], task["ttlMs"]) == ("task", "working", None)
        assert (await get(client, task))["taskId"] == task["taskId"]
        peers.held.set()
        done = await settled(client, task)
    assert done["status"] == "completed"
    assert done["result"]["structuredContent"]["state"] == "done"
    assert done["result"]["structuredContent"]["value"] == {"did": ""}


async def test_a_client_that_waits_for_its_tasks_gets_the_end_in_one_call(settings: Settings) -> None:
    peers = Peers(seconds=1)
    async with workflows(settings, peers) as client:
        await defined(client, '[steps.slow]\ntool = "work__do"\n')
        done = await client.call_tool("start_workflow", {"name": "w", "wait_s": 0.5})
    assert done.structured_content is not None
    assert done.structured_content["state"] == "done"


async def test_what_ends_soon_and_what_is_not_to_wait_are_answered_at_once(settings: Settings) -> None:
    async with workflows(settings, Peers()) as client:
        await defined(client, '[steps.quick]\ncondition = "True"\n')
        await begun(client, "start_workflow", name="w", wait_s=30)  # the engine is at work from then on
        assert (await begun(client, "start_workflow", name="w"))["structuredContent"]["state"] == "done"
        await defined(client, HOLDS)
        at_once = await begun(client, "start_workflow", name="w", wait_s=0)
        assert at_once["structuredContent"]["state"] in ("waiting", "running")
        refused = await begun(client, "start_workflow", name="none")
        assert refused["isError"]


async def test_a_client_without_the_extension_is_answered_as_ever_and_may_not_ask_about_tasks(
    settings: Settings,
) -> None:
    async with workflows(settings, Peers()) as client:
        await defined(client, HOLDS)
        task = await begun(client, "start_workflow", name="w")
    async with Client(orchestration(settings, Peers())) as client:
        plain = await begun(client, "start_workflow", name="w", wait_s=0.1)
        assert plain["structuredContent"]["state"] in ("waiting", "running")
        with pytest.raises(MCPError) as refused:
            await get(client, task)
    assert refused.value.error.code == t.MISSING_REQUIRED_CLIENT_CAPABILITY


async def test_an_approval_is_a_form_that_the_tasks_client_fills_in(settings: Settings) -> None:
    async with workflows(settings, elicitation_callback=ask_user) as client:
        await defined(client, APPROVED)
        task = await settled(client, await begun(client, "start_workflow", name="w"))
        assert task["status"] == "input_required"
        assert task["inputRequests"]["ask"]["params"]["message"] == "Go on?"
        await update(client, task, ask={"action": "accept", "content": {"approve": True, "comment": "yes"}})
        done = await settled(client, task)
    assert done["result"]["structuredContent"]["value"] is True


async def test_a_user_who_declines_rejects_and_one_who_looks_away_has_not_decided(
    settings: Settings,
) -> None:
    async with workflows(settings, elicitation_callback=ask_user) as client:
        await defined(client, APPROVED)
        task = await settled(client, await begun(client, "start_workflow", name="w"))
        await update(client, task, ask={"action": "cancel"}, unknown={"action": "accept"})
        assert (await get(client, task))["status"] == "input_required"
        with pytest.raises(MCPError, match="no answer to what was asked"):
            await update(client, task, ask={"yes": True})
        await update(client, task, ask={"action": "decline"})
        done = await settled(client, task)
    assert done["result"]["structuredContent"]["error"] == 'Step "ask" failed: It was rejected.'


async def test_a_client_that_shows_no_forms_is_told_what_the_task_waits_for(settings: Settings) -> None:
    async with workflows(settings) as client:
        await defined(client, APPROVED)
        task = await begun(client, "start_workflow", name="w")
        assert task["status"] == "working"
        assert task["statusMessage"].startswith("It waits for an approval: Go on?")


async def test_a_cancelled_task_cancels_its_workflow_once(settings: Settings) -> None:
    async with workflows(settings, Peers()) as client:
        await defined(client, APPROVED)
        task = await begun(client, "start_workflow", name="w")
        await cancel(client, task)
        await cancel(client, task)
        assert (await get(client, task))["status"] == "cancelled"
        listed = await client.call_tool("list_workflows", {})
    assert listed.structured_content is not None
    assert [row["state"] for row in listed.structured_content["workflows"]] == ["cancelled"]


async def test_a_task_outlasts_the_process_that_began_it(settings: Settings) -> None:
    async with workflows(settings, elicitation_callback=ask_user) as client:
        await defined(client, APPROVED)
        task = await begun(client, "start_workflow", name="w")
    async with workflows(settings, elicitation_callback=ask_user) as client:
        task = await settled(client, task)
        await update(client, task, ask={"action": "accept", "content": {"approve": True}})
        assert (await settled(client, task))["status"] == "completed"


@pytest.mark.parametrize("id", ["", "none", "é", "AAAA" * 20])
async def test_an_id_that_is_no_tasks_is_refused(settings: Settings, id: str) -> None:
    async with workflows(settings) as client:
        for ask in (get, cancel, update):
            with pytest.raises(MCPError) as refused:
                await ask(client, {"taskId": id})
            assert refused.value.error.code == t.INVALID_PARAMS


async def test_a_run_borrows_the_model_of_its_tasks_client(settings: Settings) -> None:
    async with agents(settings, "host", sampling_callback=sample) as client:
        task = await settled(client, await begun(client, "run_agent", name="a", task="When?"))
        asked = task["inputRequests"]["completion 0"]
        assert asked["method"] == "sampling/createMessage"
        reply = {"role": "assistant", "model": "m", "content": {"type": "text", "text": "At six."}}
        await update(client, task, **{"completion 0": reply})
        done = await settled(client, task)
    assert done["result"]["structuredContent"]["answer"] == "At six."


async def test_a_client_that_lends_no_model_is_answered_with_what_the_run_needs(settings: Settings) -> None:
    async with agents(settings, "host") as client:
        answered = await begun(client, "run_agent", name="a", task="When?")
        assert answered["structuredContent"]["state"] == "needs_completion"


async def test_a_question_of_a_run_to_its_user_is_a_form(settings: Settings, tmp_path: Path) -> None:
    asks = {"tool_calls": [{"name": "user__ask", "arguments": {"question": "Which day?"}}]}
    model = scripted(tmp_path, asks, "On Monday at six.")
    async with agents(settings, model, "user__*", elicitation_callback=ask_user) as client:
        task = await settled(client, await begun(client, "run_agent", name="a", task="When?"))
        assert task["inputRequests"]["question 0"]["params"]["message"] == "Which day?"
        await update(client, task, **{"question 0": {"action": "accept", "content": {"answer": "Monday"}}})
        done = await settled(client, task)
    assert done["result"]["structuredContent"]["answer"] == "On Monday at six."
