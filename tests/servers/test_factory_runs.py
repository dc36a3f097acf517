"""Agents at work: on a script, on the host's own model by every way, after a crash, and with wrong input."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from mcp import Client

from pygent_factory.server import build_server
from pygent_shared.caller import META
from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])
CALL = {"tool_calls": [{"name": "notes__search", "arguments": {"query": "tide"}}]}
SCRIPT = [CALL, "The tide turns at six [tides.md:1]."]
Reply = Callable[[list[str]], str]


class Notes:
    """A peer with one tool, and a memory of how it was called."""

    def __init__(self, *, fails: bool = False) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._fails = fails

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((name, arguments))
        return {
            "content": [{"type": "text", "text": "tides.md:1 The tide turns at six."}],
            "isError": self._fails,
        }

    async def list_tools(self) -> list[dict[str, Any]]:
        schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
        return [{"name": "notes__search", "description": "Search notes.", "inputSchema": schema}]


@asynccontextmanager
async def factory(settings: Settings, peers: Any = None, **options: Any) -> AsyncIterator[Client]:
    async with Client(build_server(settings, peers), **options) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def deployed(client: Client, model: str | list[str] = "host", **more: Any) -> None:
    await call(client, "create_agent", name="tides", model=model, tools=["notes__*"], more=more)
    await call(client, "deploy_agent", name="tides")


def script(folder: Path, replies: list[Any]) -> str:
    path = folder / "script.json"
    path.write_text(json.dumps(replies))
    return f"scripted:{path}"


def sampling(said: list[list[t.SamplingMessage]]) -> Any:
    """A host that lends its model: it says what the script says."""

    async def sample(context: Any, params: t.CreateMessageRequestParams) -> t.CreateMessageResult:
        reply = SCRIPT[len(said)]
        said.append(params.messages)
        text = reply if isinstance(reply, str) else json.dumps(reply)
        return t.CreateMessageResult(role="assistant", model="host-model", content=t.TextContent(text=text))

    return sample


async def test_a_scripted_agent_uses_its_peers_tools_and_says_that_it_is_scripted(
    settings: Settings, tmp_path: Path
) -> None:
    peers = Notes()
    async with factory(settings, peers) as client:
        await deployed(client, script(tmp_path, SCRIPT))
        run = await call(client, "run_agent", name="tides", task="When does the tide turn?")
        assert (run["state"], run["answer"], run["scripted"]) == ("done", SCRIPT[1], True)
        assert run["usage"]["requests"] == 2
        assert peers.calls == [("notes__search", {"query": "tide"})]
        listed = await call(client, "list_runs")
        assert [(row["run"], row["state"]) for row in listed["runs"]] == [(run["run"], "done")]


@MODES
async def test_a_host_that_samples_lends_its_model_within_the_call(settings: Settings, mode: Any) -> None:
    said: list[list[t.SamplingMessage]] = []
    async with factory(settings, Notes(), mode=mode, sampling_callback=sampling(said)) as client:
        await deployed(client)
        run = await call(client, "run_agent", name="tides", task="When does the tide turn?")
    assert (run["state"], run["answer"], run["scripted"]) == ("done", SCRIPT[1], False)
    assert [len(messages) for messages in said] == [1, 3]
    last = said[1][-1].content
    assert isinstance(last, t.TextContent)
    assert last.text == "Result of notes__search:\ntides.md:1 The tide turns at six."


@MODES
async def test_a_host_that_does_not_answers_as_the_model_by_tool_calls(settings: Settings, mode: Any) -> None:
    async with factory(settings, Notes(), mode=mode) as client:
        await deployed(client)
        run = await call(client, "run_agent", name="tides", task="When does the tide turn?")
        for reply in SCRIPT:
            assert run["state"] == "needs_completion"
            assert "notes__search" in run["system"]
            text = reply if isinstance(reply, str) else json.dumps(reply)
            run = await call(client, "continue_run", run=run["run"], reply=text)
        assert (run["state"], run["answer"]) == ("done", SCRIPT[1])


async def test_a_run_waits_for_the_hosts_model_across_a_restart(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client)
        run = await call(client, "run_agent", name="tides", task="When does the tide turn?")
        await call(client, "continue_run", run=run["run"], reply=json.dumps(CALL))
    peers = Notes()
    async with factory(settings, peers) as client:
        found = await call(client, "get_run", run=run["run"], wait_s=30)
        assert found["state"] == "needs_completion"
        assert found["messages"][-1]["text"].endswith("The tide turns at six.")
        done = await call(client, "continue_run", run=run["run"], reply="At six.")
        assert (done["state"], done["answer"]) == ("done", "At six.")
    assert peers.calls == []


async def test_a_run_stays_with_the_version_it_began_with(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client)
        run = await call(client, "run_agent", name="tides", task="When?")
        await call(client, "configure_agent", name="tides", instructions="Say nothing but moo.")
        assert "moo" not in (await call(client, "get_run", run=run["run"], wait_s=5))["system"]
        done = await call(client, "continue_run", run=run["run"], reply="At six.")
        assert (done["state"], done["version"]) == ("done", 1)
        newer = await call(client, "run_agent", name="tides", task="When?")
        assert (newer["version"], "moo" in newer["system"]) == (2, True)


async def test_a_cancelled_run_is_cancelled(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client)
        run = await call(client, "run_agent", name="tides", task="When?")
        assert (await call(client, "cancel_run", run=run["run"]))["state"] == "cancelled"
        assert (await call(client, "get_run", run=run["run"]))["state"] == "cancelled"


async def test_a_run_that_waits_for_its_model_is_listed_as_such(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:

        async def states() -> list[str]:
            return [row["state"] for row in (await call(client, "list_runs"))["runs"]]

        await deployed(client)
        run = await call(client, "run_agent", name="tides", task="When?")
        assert await states() == ["needs_completion"]
        assert (await call(client, "get_run", run=run["run"]))["state"] == "needs_completion"
        resource = await client.read_resource(f"run://{run['run']}")
        assert isinstance(resource.contents[0], t.TextResourceContents)
        assert json.loads(resource.contents[0].text)["state"] == "needs_completion"
        await call(client, "continue_run", run=run["run"], reply=json.dumps(CALL))
        assert await states() == ["needs_completion"]
        await call(client, "continue_run", run=run["run"], reply="At six.")
        assert await states() == ["done"]


async def test_an_agent_that_goes_round_in_circles_is_stopped(settings: Settings, tmp_path: Path) -> None:
    peers = Notes()
    async with factory(settings, peers) as client:
        await deployed(client, script(tmp_path, [CALL] * 9))
        run = await call(client, "run_agent", name="tides", task="When?")
    assert run["state"] == "failed"
    assert "with the same arguments 4 times" in run["error"]
    assert len(peers.calls) == 4


async def test_an_agent_that_meets_the_same_error_again_and_again_is_stopped(
    settings: Settings, tmp_path: Path
) -> None:
    peers = Notes(fails=True)
    calls = [{"tool_calls": [{"name": "notes__search", "arguments": {"query": str(n)}}]} for n in range(9)]
    async with factory(settings, peers) as client:
        await deployed(client, script(tmp_path, calls))
        run = await call(client, "run_agent", name="tides", task="When?")
    assert "met the same error 3 times" in run["error"]
    assert len(peers.calls) == 3


@pytest.mark.parametrize("strategy", ["chain_of_thought", "self_consistency", "reflexion"])
async def test_each_strategy_finds_the_answer(settings: Settings, tmp_path: Path, strategy: str) -> None:
    replies = {
        "chain_of_thought": ["It is six.\nAnswer: 6"],
        "self_consistency": ["Answer: 5", "Answer: 6", "Hm.\nAnswer: 6", "Answer: 7", "So.\nAnswer: 6"],
        "reflexion": ["It is five.", "FAIL: too early.", "Add one.", "It is 6", "PASS"],
    }
    async with factory(settings, Notes()) as client:
        await deployed(client, script(tmp_path, replies[strategy]), strategy=strategy)
        run = await call(client, "run_agent", name="tides", task="When?")
        assert (run["state"], run["answer"][-1]) == ("done", "6")
        assert run["usage"]["requests"] == len(replies[strategy])


@pytest.mark.parametrize("strategy", ["beam", "depth_first", "best_first", "mcts"])
async def test_a_tree_of_thoughts_is_searched_and_shown_whole(
    settings: Settings, tmp_path: Path, strategy: str
) -> None:
    replies = ["- high\n- low", "sure", "likely", "- ANSWER: six", "sure"]
    if strategy == "beam":  # which thinks every thought of a level further
        replies[4:] = ["nothing follows", "sure"]
    if strategy == "depth_first":  # which goes back, as the first thought leads nowhere
        replies[1:] = ["sure", "- higher", "impossible", "likely", "- ANSWER: six", "sure"]
    async with factory(settings, Notes()) as client:
        await deployed(client, script(tmp_path, replies), strategy=strategy)
        run = await call(client, "run_agent", name="tides", task="When?")
        assert (run["state"], run["answer"]) == ("done", "six")
        resource = await client.read_resource(f"run://{run['run']}")
    assert isinstance(resource.contents[0], t.TextResourceContents)
    tree = json.loads(resource.contents[0].text)["trace"]["notes"]["tree"]
    assert [node["fate"] for node in tree].count("goal") == 1
    if strategy == "depth_first":
        fates = ["expanded", "expanded", "expanded", "pruned", "goal"]
        assert [node["fate"] for node in tree] == fates


async def test_a_conversation_is_remembered_word_for_word(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client)
        first = await call(client, "chat", name="tides", message="I am Ann.")
        assert "waits for the answer" in await refusal(client, "chat", name="tides", message="Hello?")
        await call(client, "continue_run", run=first["run"], reply="Hello Ann.")
        second = await call(client, "chat", name="tides", message="Who am I?")
        assert [message["text"] for message in second["messages"]] == ["I am Ann.", "Hello Ann.", "Who am I?"]
        other = await call(client, "chat", name="tides", message="Who am I?", conversation="other")
        assert [message["text"] for message in other["messages"]] == ["Who am I?"]


async def test_metrics_tell_versions_apart(settings: Settings, tmp_path: Path) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, script(tmp_path, SCRIPT))
        await call(client, "run_agent", name="tides", task="When?")
        await call(client, "configure_agent", name="tides", more={"budget": {"requests": 1}})
        await call(client, "run_agent", name="tides", task="When?")
        newer, older = (await call(client, "agent_metrics", name="tides"))["versions"]
    assert (newer["version"], newer["done"], newer["failed"]) == (2, 0, 1)
    assert (older["version"], older["done"], older["requests"], older["tool_calls"]) == (1, 1, 2, 1)


async def test_each_kind_has_a_prompt_that_leads_to_a_run(settings: Settings) -> None:
    async with factory(settings) as client:
        names = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert names == [kind["type"] for kind in (await call(client, "agent_types"))["types"]]
        (message,) = (await client.get_prompt("research", {"task": "When?"})).messages
    assert isinstance(message.content, t.TextContent)
    assert message.content.text.endswith("The task: When?")
    assert 'create_agent(name, type="research")' in message.content.text


async def test_no_agent_is_given_a_task_it_lacks_the_capability_for(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client)
        found = {"capabilities": ["find", "cite"]}
        for name in ("idle", "finder"):
            await call(client, "create_agent", name=name, tools=["notes__*"], more=found)
        asked = {"name": "tides", "task": "When?", "capabilities": ["answer", "find"]}
        told = await refusal(client, "run_agent", **asked)
        assert '"tides" cannot be asked for find, but for answer, summarise, write.' in told
        assert 'Look for one: list_agents(capability="find").' in told
        listed = await call(client, "list_agents", capability="find")
        assert [row["name"] for row in listed["agents"]] == ["finder", "idle"]
        await call(client, "configure_agent", name="finder", more={"capabilities": ["find", "answer"]})
        await call(client, "deploy_agent", name="finder")
        assert "Ask finder." in await refusal(client, "run_agent", **asked)
        assert (await call(client, "list_runs"))["runs"] == []
        run = await call(client, "run_agent", **{**asked, "name": "finder"})
        assert run["state"] == "needs_completion"


@pytest.mark.parametrize(
    ("tool", "more"), [("get_run", {}), ("cancel_run", {}), ("continue_run", {"reply": "Six."})]
)
async def test_a_run_is_not_there_for_another_caller(
    settings: Settings, tool: str, more: dict[str, Any]
) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client)
        run = (await call(client, "run_agent", name="tides", task="When?"))["run"]
        result = await client.call_tool(tool, {"run": run, **more}, meta={META: "ann"})
        assert result.is_error
        assert isinstance(result.content[0], t.TextContent)
        assert f'There is no run "{run}".' in result.content[0].text
        listed = await client.call_tool("list_runs", {}, meta={META: "ann"})
        assert listed.structured_content == {"runs": []}
