"""The patterns that ship, each carried out with agents whose answers are known."""

from __future__ import annotations

from typing import Any

import pytest

from pygent_shared.settings import Settings

from .test_workflows import PATIENCE, call, orchestration
from .workflow_peers import Answers, Peers

pytestmark = pytest.mark.anyio


async def followed(settings: Settings, pattern: str, answers: Answers, **inputs: Any) -> tuple[Any, Peers]:
    """What a pattern gives, and the peers it used."""
    peers = Peers(answers)
    async with orchestration(settings, peers) as client:
        done = await call(client, "start_workflow", name=pattern, inputs=inputs, wait_s=PATIENCE)
    assert done["state"] == "done", done
    return done["value"], peers


def runs(peers: Peers) -> list[str]:
    return [arguments["name"] for tool, arguments in peers.calls if tool == "factory__run_agent"]


async def test_sequential_hands_each_result_on(settings: Settings) -> None:
    given, peers = await followed(
        settings, "sequential", lambda name, task: f"{name}({task.count('(') + 1})", topic="tides"
    )
    assert (given, runs(peers)) == ("editor(2)", ["researcher", "writer", "editor"])


async def test_parallel_puts_three_views_into_one_verdict(settings: Settings) -> None:
    def answers(name: str, task: str) -> str:
        if task.startswith("Weigh"):
            return " ".join(word for word in ("good", "bad", "dear") if word in task)
        return {"Say what s": "good", "Say what c": "bad"}.get(task[:10], "dear")

    given, _ = await followed(settings, "parallel", answers, matter="a plan")
    assert given == "good bad dear"


async def test_map_reduce_does_each_item_and_then_the_whole(settings: Settings) -> None:
    def answers(name: str, task: str) -> str:
        return task.upper() if task.startswith("Shout") else task.partition("another:\n\n")[2]

    given, peers = await followed(
        settings, "map-reduce", answers, items=["a", "b"], task="Shout", goal="List them."
    )
    assert (given, len(runs(peers))) == ("SHOUT\n\nA\n\nSHOUT\n\nB", 3)


@pytest.mark.parametrize(("said", "agent"), [("Code\n", "coder"), ("no idea", "helper")])
async def test_a_router_sends_a_request_to_the_one_that_is_for_it(
    settings: Settings, said: str, agent: str
) -> None:
    given, peers = await followed(
        settings, "router", lambda name, task: said if name == "router" else name, request="Mend it."
    )
    assert (given, runs(peers)) == (agent, ["router", agent])


async def test_an_orchestrator_has_as_many_workers_as_it_plans_tasks(settings: Settings) -> None:
    def answers(name: str, task: str) -> str:
        if name == "worker":
            return f"did {task}"
        return 'The plan: ["x", "y"]' if "JSON" in task else task

    given, peers = await followed(settings, "orchestrator-workers", answers, goal="all")
    assert "## x\n\ndid x\n\n## y\n\ndid y" in given
    assert runs(peers).count("worker") == 2


async def test_an_evaluator_sends_a_text_back_until_it_passes(settings: Settings) -> None:
    def answers(name: str, task: str) -> str:
        if name == "editor":
            return "PASS" if "draft 2" in task else "FAIL: longer"
        return "draft 2" if "FAIL: longer" in task else "draft 1"

    given, peers = await followed(
        settings, "evaluator-optimizer", answers, task="Write.", criteria="It is long."
    )
    assert given == {"text": "draft 2", "passed": True}
    assert runs(peers) == ["writer", "editor"] * 2


async def test_an_evaluator_that_never_passes_ends_with_its_rounds_and_says_so(settings: Settings) -> None:
    given, peers = await followed(
        settings,
        "evaluator-optimizer",
        lambda name, task: "FAIL" if name == "editor" else "text",
        task="Write.",
        criteria="It is long.",
    )
    assert (given, len(runs(peers))) == ({"text": "text", "passed": False}, 8)


async def test_a_debate_ends_with_the_answer_that_most_give_after_reading_each_other(
    settings: Settings,
) -> None:
    def answers(name: str, task: str) -> str:
        first = {"debater-a": "6", "debater-b": "5", "debater-c": "7"}[name]
        is_swayed = name == "debater-b" and "The others" in task
        return f"Because.\nAnswer: {'6' if is_swayed else first}"

    given, peers = await followed(settings, "debate", answers, question="When does the tide turn?")
    assert given == {"answer": "6", "votes": ["6", "6", "7"]}
    assert len(runs(peers)) == 6


async def test_a_matter_is_handed_over_until_somebody_deals_with_it(settings: Settings) -> None:
    def answers(name: str, task: str) -> str:
        return "It is the tide.\nHANDOFF: tides" if name == "helper" else f"{name}: at six"

    colleagues = {"tides": "for tides", "storms": "for storms"}
    given, peers = await followed(settings, "handoff", answers, matter="When?", colleagues=colleagues)
    assert given == {"answer": "tides: at six", "by": "tides"}
    assert runs(peers) == ["helper", "tides"]
