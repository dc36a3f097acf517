"""The whole way round: a host, our registry, an agent of another instance of ours in a process of its own,
its factory, and an MCP tool behind that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import mcp.types as t
import pytest
from mcp import Client
from tests.interop.a2a_instance import TOKEN, Instance, calls, furnish, instance

from pygent_registry.config import parse
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

TRACE = "0af7651916cd43dd8448eb211c80319c"
AGENTS: dict[str, list[Any]] = {
    "quick": [calls("waiting__wait", seconds=0.4), "It is over."],
    "waiter": [calls("waiting__wait", seconds=60), "It is over."],
    "asker": [calls("user__ask", question="Which river?"), "The Elbe, then."],
}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """The other instance."""
    home: Path = tmp_path_factory.mktemp("other")
    anyio.run(partial(furnish, home, **AGENTS))
    with instance(home) as running:
        yield running


@asynccontextmanager
async def host(settings: Settings, other: Instance, **options: Any) -> AsyncIterator[Client]:
    """A host of a registry of ours, whose config has the other instance's agents."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    agents = {name: {"card": f"{other.url}/agents/{name}", "headers": headers} for name in AGENTS}
    async with Client(Gateway(Registry(parse({"agents": agents}), settings)), **options) as client:
        yield client


def noted(other: Instance, what: str) -> list[dict[str, Any]]:
    return [note for note in other.notes if note["what"] == what]


async def until(condition: Any) -> None:
    with anyio.fail_after(20):
        while not condition():
            await anyio.sleep(0.1)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_an_agent_of_another_instance_answers_by_its_own_tools(
    settings: Settings, other: Instance, mode: Any
) -> None:
    said: list[str] = []

    async def heard(done: float, total: float | None, message: str | None) -> None:
        said.append(str(message))

    before = len(noted(other, "done"))
    async with host(settings, other, mode=mode) as client:
        result = await client.call_tool("ask_quick", {"message": "Wait."}, progress_callback=heard)
    assert result.content[0].text == "It is over."  # type: ignore[union-attr]
    assert len(noted(other, "done")) == before + 1
    assert any("waiting__wait" in words for words in said), said


async def test_one_trace_goes_from_the_host_to_the_tool(settings: Settings, other: Instance) -> None:
    meta: Any = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    async with host(settings, other) as client:
        result = await client.call_tool("ask_quick", {"message": "Wait."}, meta=meta)
    assert result.content[0].text == "It is over."  # type: ignore[union-attr]
    assert noted(other, "begun")[-1]["traceparent"].split("-")[1] == TRACE


async def test_a_call_that_the_host_cancels_stops_the_tool(settings: Settings, other: Instance) -> None:
    begun = len(noted(other, "begun"))
    async with host(settings, other) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "ask_waiter", {"message": "Wait."})
            await until(lambda: len(noted(other, "begun")) > begun)
            tasks.cancel_scope.cancel()
        await until(lambda: noted(other, "cancelled"))


async def test_a_long_task_is_looked_at_and_stopped(settings: Settings, other: Instance) -> None:
    async with host(settings, other) as client:
        await client.call_tool("ask_quick", {"message": "Wait."})  # the instance is at work from here on
        result = await client.call_tool("ask_waiter", {"message": "Wait.", "wait_s": 2})
        handle = (result.structured_content or {})["task"]
        looked = await client.call_tool("waiter__get_task", {"task": handle})
        assert (looked.structured_content or {})["state"] in ("submitted", "working")
        stopped = await client.call_tool("waiter__cancel_task", {"task": handle})
        assert (stopped.structured_content or {})["state"] == "canceled", stopped.content


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_agents_question_reaches_the_hosts_user(
    settings: Settings, other: Instance, mode: Any
) -> None:
    asked: list[str] = []

    async def answer(context: object, params: Any) -> t.ElicitResult:
        asked.append(params.message)
        return t.ElicitResult(action="accept", content={"answer": "the Elbe"})

    async with host(settings, other, mode=mode, elicitation_callback=answer) as client:
        result = await client.call_tool("ask_asker", {"message": "How long is it?"})
    assert asked == ['Server "asker" asks: Which river?']
    assert result.content[0].text == "The Elbe, then."  # type: ignore[union-attr]
