"""The factory behind the registry: its agents use every other server, and outlast the process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings
from pygent_shared.shipped import shipped
from pygent_shared.testing import refusal

from .conftest import Fronted

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs" / "factory.md"
PROGRAM = str(Path(sys.executable).with_name("pygent"))


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_cited_answer_over_a_folder_takes_the_six_calls_of_the_docs_and_no_key(
    fronted: Fronted, mode: str
) -> None:
    *calls, ending = re.findall(r"^\{.*\}$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(calls) <= 6
    messages: Any = None
    known = {"DEMO": str(shipped("demo")), "RUN": "", "CITATION": ""}
    servers = {"rag": {"server": "rag"}, "factory": {"server": "factory"}}
    async with fronted(servers, mode=mode) as client:
        for line in calls:
            for name, value in known.items():
                line = line.replace(f'"{name}"', json.dumps(value)).replace(f"[{name}]", f"[{value}]")
            asked = json.loads(line)
            answer = await call(client, asked["tool"], **asked["arguments"])
            known["RUN"] = answer.get("run", "")
            messages = answer.get("messages") or messages
            if found := re.search(r"about\.md:\d+", str(answer.get("messages"))):
                known["CITATION"] = found.group()
    assert known["CITATION"], messages
    expected = json.loads(ending.replace("CITATION", known["CITATION"]))
    assert {key: answer[key] for key in expected} == expected
    assert [used["tool"] for used in answer["tools"]] == ["rag__search"]


async def test_a_pattern_that_matches_nothing_names_the_servers_there_are(fronted: Fronted) -> None:
    async with fronted({"factory": {"server": "factory"}}) as client:
        await call(client, "factory__create_agent", name="a", type="research")
        await call(client, "factory__deploy_agent", name="a")
        told = await refusal(client, "factory__run_agent", name="a", task="Look.")
    assert "tools: 'rag__search' matches no tool; there are those of factory, literature." in told


async def test_what_an_agent_remembers_is_its_own_and_stands_before_its_next_task(fronted: Fronted) -> None:
    adds = {"name": "memory__memory_add", "arguments": {"text": "The tide turns at six."}}
    async with fronted({"memory": {"server": "memory"}, "factory": {"server": "factory"}}) as client:
        for name in ("a", "b"):
            await call(client, "factory__create_agent", name=name, tools=["memory__*"])
            await call(client, "factory__deploy_agent", name=name)
        run = await call(client, "factory__run_agent", name="a", task="Remember when the tide turns.")
        reply = json.dumps({"tool_calls": [adds]})
        await call(client, "factory__continue_run", run=run["run"], reply=reply)
        await call(client, "factory__continue_run", run=run["run"], reply="I do.")
        asked = {}
        for name in ("a", "b"):
            run = await call(client, "factory__run_agent", name=name, task="When does the tide turn?")
            asked[name] = run["messages"][0]["text"]
        (mine,) = (await call(client, "memory__memory_search", query="tide", space="a"))["results"]
        assert mine["text"] == "The tide turns at six."
        assert (await call(client, "memory__memory_search", query="tide"))["results"] == []
    assert "> The tide turns at six." in asked["a"]
    assert asked["b"] == "When does the tide turn?"


async def test_what_reflexion_learned_is_kept_and_the_agents_later_runs_begin_with_it(
    fronted: Fronted,
) -> None:
    lesson = "Read the date of the tide table first."
    replies = ["At five.", "FAIL: last year's table.", lesson, "At six.", "PASS"]
    more = {"strategy": "reflexion"}
    async with fronted({"memory": {"server": "memory"}, "factory": {"server": "factory"}}) as client:
        for name in ("a", "b"):
            await call(client, "factory__create_agent", name=name, type="", instructions="Help.", more=more)
            await call(client, "factory__deploy_agent", name=name)
        run = await call(client, "factory__run_agent", name="a", task="When does the tide turn?")
        assert run["messages"][-1]["text"] == "When does the tide turn?"
        for reply in replies:
            run = await call(client, "factory__continue_run", run=run["run"], reply=reply)
        assert (run["state"], run["answer"], run.get("memory", "")) == ("done", "At six.", "")
        asked = {}
        for name in ("a", "b"):
            run = await call(client, "factory__run_agent", name=name, task="When will the tide be low?")
            asked[name] = run["messages"][-1]["text"]
        (kept,) = (await call(client, "memory__memory_search", query="tide", space="a"))["results"]
    assert f"From earlier tries:\n- {lesson}" in asked["a"]
    assert asked["b"] == "When will the tide be low?"
    assert (kept["text"].splitlines()[0], kept["tags"]) == (lesson, ["lesson"])


async def test_without_a_memory_server_reflexion_says_that_nothing_is_kept(fronted: Fronted) -> None:
    async with fronted({"factory": {"server": "factory"}}) as client:
        await call(
            client,
            "factory__create_agent",
            name="a",
            type="",
            instructions="Help.",
            more={"strategy": "reflexion"},
        )
        await call(client, "factory__deploy_agent", name="a")
        run = await call(client, "factory__run_agent", name="a", task="When?")
        for reply in ("At six.", "PASS"):
            run = await call(client, "factory__continue_run", run=run["run"], reply=reply)
    assert run["state"] == "done"
    assert run["memory"].startswith("Its lessons are of this run alone: no memory server can be reached")


class Held:
    """A chat server that calls a tool first, then answers; its second reply waits until it may come."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.answered: list[int] = []
        self.open = anyio.Event()
        self.app = Starlette(routes=[Route("/v1/chat/completions", self._chat, methods=["POST"])])

    async def _chat(self, request: Request) -> JSONResponse:
        body = await request.json()
        number = sum(message["role"] == "assistant" for message in body["messages"])
        self.asked.append(number)
        if number:
            await self.open.wait()
        self.answered.append(number)
        function = {"name": "notes__greet", "arguments": json.dumps({"name": "tide"})}
        calls = [{"id": "c", "type": "function", "function": function}]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        if number:
            message = {"role": "assistant", "content": "It turns at six."}
        return JSONResponse(
            {
                "id": "chat",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }
        )


@asynccontextmanager
async def serving(folder: Path, base: str) -> AsyncIterator[Client]:
    """`pygent serve` over stdio with a factory and a server that writes down each call."""
    notes = {"command": sys.executable, "args": [str(HERE / "noting_server.py"), str(folder / "calls")]}
    config = folder / "pygent.json"
    config.write_text(json.dumps({"mcpServers": {"factory": {"server": "factory"}, "notes": notes}}))
    env = {
        "PYGENT_DATA_DIR": str(folder / "data"),
        "PYGENT_EMBEDDER": "none",
        "OPENAI_API_KEY": "k",
        "OPENAI_BASE_URL": f"{base}/v1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    parameters = StdioServerParameters(command=PROGRAM, args=["serve", "--config", str(config)], env=env)
    async with Client(parameters) as client:
        yield client


HOST = """
import sys
from pathlib import Path
import anyio
from tests.registry.test_factory import call, serving

async def main():
    async with serving(Path(sys.argv[1]), sys.argv[2]) as client:
        await call(client, "factory__create_agent", name="a", model="openai:any", tools=["notes__*"])
        await call(client, "factory__deploy_agent", name="a")
        run = await call(client, "factory__run_agent", name="a", task="When?", wait_s=0)
        print(run["run"], flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""
"""A host in a process of its own, which begins a run, tells its id, and is killed after its server."""


async def test_after_kill_9_in_the_middle_a_run_ends_and_no_completed_call_is_made_again(
    settings: Settings, tmp_path: Path
) -> None:
    held, listener = Held(), listen(settings)
    async with running(held.app, listener):
        command = [sys.executable, "-c", HOST, str(tmp_path), address(listener)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent.parent), *sys.path])}
        async with await anyio.open_process(command, env=env, stderr=None) as host:
            assert host.stdout is not None
            with anyio.fail_after(60):
                run = {"run": (await host.stdout.receive()).decode().strip()}
                while held.asked != [0, 1]:
                    await anyio.sleep(0.02)
            os.kill(int((tmp_path / "calls").read_text().split()[1]), 9)
            host.kill()
            await host.wait()
        held.open.set()
        async with serving(tmp_path, address(listener)) as client:
            done = await call(client, "factory__get_run", run=run["run"], wait_s=60)
    assert (done["state"], done["answer"]) == ("done", "It turns at six.")
    assert sorted(held.asked) == [0, 1, 1]
    assert (tmp_path / "calls").read_text().count("greet") == 1


def test_a_call_from_a_terminal_reaches_what_the_factory_calls(tmp_path: Path) -> None:
    notes = {"command": sys.executable, "args": [str(HERE / "noting_server.py"), str(tmp_path / "calls")]}
    config = tmp_path / "pygent.json"
    config.write_text(json.dumps({"mcpServers": {"factory": {"server": "factory"}, "notes": notes}}))
    env = {**os.environ, "PYGENT_DATA_DIR": str(tmp_path / "data"), "PYGENT_EMBEDDER": "none"}

    def told(tool: str, *words: str) -> str:
        command = [PROGRAM, "call", f"factory__{tool}", *words, "--config", str(config)]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    told("create_agent", "name=a", 'tools=["notes__*"]')
    told("deploy_agent", "name=a")
    assert "- notes__greet: Greet somebody." in told("run_agent", "name=a", "task=Greet.", "wait_s=20")
