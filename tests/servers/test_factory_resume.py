"""A run that was stopped goes on as if it had not been."""

from __future__ import annotations

import json
import re
from typing import Any

import mcp.types as t
import pytest
from mcp import Client

from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

from .test_factory_runs import Notes, call, deployed, factory

pytestmark = pytest.mark.anyio

WORDS = ("sure", "likely", "impossible")


def thought(message: str) -> str:
    """What a model says that always says the same to the same."""
    thoughts = re.findall(r"^\d+\. (\w+)", message, re.MULTILINE)
    if "Propose" in message:
        begun = "".join(thoughts)
        ends = "- ANSWER: solved\n" if begun == "bab" else ""
        return f"- a\n- b\n{ends}" if len(begun) < 3 else ends or "Nothing follows."
    if "How likely" in message:
        return WORDS[sum(map(ord, "".join(thoughts))) % 3]
    return "No idea."


async def tree(client: Client, run: str) -> list[dict[str, Any]]:
    (content,) = (await client.read_resource(f"run://{run}")).contents
    assert isinstance(content, t.TextResourceContents)
    found: list[dict[str, Any]] = json.loads(content.text)["trace"]["notes"]["tree"]
    return found


async def thinking(client: Client, *, stopped_at: frozenset[int]) -> tuple[list[dict[str, Any]], list[str]]:
    """A run to its end, stopped and resumed before some of its answers: its tree, and what it was asked."""
    asked: list[str] = []
    run = await call(client, "run_agent", name="tides", task="When?")
    while run["state"] == "needs_completion":
        if len(asked) in stopped_at:
            await call(client, "cancel_run", run=run["run"])
            assert (await call(client, "get_run", run=run["run"]))["state"] == "cancelled"
            run = await call(client, "resume_run", run=run["run"])
        asked.append(run["messages"][-1]["text"])
        run = await call(client, "continue_run", run=run["run"], reply=thought(asked[-1]))
    assert run["state"] == "done"
    return await tree(client, run["run"]), asked


@pytest.mark.parametrize("strategy", ["beam", "depth_first", "best_first", "mcts"])
async def test_a_search_that_was_cancelled_and_resumed_grows_the_same_tree(
    settings: Settings, strategy: str
) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, strategy=strategy)
        whole, asked = await thinking(client, stopped_at=frozenset())
        again, asked_again = await thinking(client, stopped_at=frozenset({2, 5}))
    assert len(whole) > 6
    assert again == whole
    assert asked_again == asked


async def test_only_what_was_cancelled_is_resumed(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client)
        run = await call(client, "run_agent", name="tides", task="When?")
        told = await refusal(client, "resume_run", run=run["run"])
        assert f'Run "{run["run"]}" is needs_completion, and cannot be resumed then. Look at it' in told
