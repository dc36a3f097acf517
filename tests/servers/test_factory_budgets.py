"""What runs may spend: requests, tokens, dollars and time, of one run and of all of an agent's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from pygent_factory.budgets import Limit, Spent, exhausted, limits
from pygent_factory.spec import Allowance, Budget
from pygent_shared.durable.deadline import Deadline
from pygent_shared.errors import BudgetSpent
from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

from .model_wires import Wires
from .test_factory_runs import CALL, SCRIPT, Notes, call, deployed, factory, script

pytestmark = pytest.mark.anyio

CALLS = [{"tool_calls": [{"name": "notes__search", "arguments": {"query": str(n)}}]} for n in range(9)]
PRICED = '[[model]]\nname = "openai:any"\ncapabilities = ["tools"]\nusd_in = 100.0\nusd_out = 200.0\n'
"""A request of a script costs 10 * 100 + 5 * 200 millionths: $0.002."""


class Slow(Notes):
    """A peer whose tool takes long, and says when it was cut off."""

    begun = cut = False

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.begun = True
        try:
            await anyio.sleep(5)
        except anyio.get_cancelled_exc_class():
            self.cut = True
            raise
        return await super().call_tool(name, arguments)


@pytest.fixture
def paid(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With a key, and a table in which `openai:any` has a price."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    (tmp_path / "models.toml").write_text(PRICED)
    return replace(settings, models=str(tmp_path / "models.toml"))


async def ended(client: Client, run: str) -> dict[str, Any]:
    """A run that is waited for, once it has ended."""
    with anyio.fail_after(30):
        while (found := await call(client, "get_run", run=run))["state"] in ("running", "needs_completion"):
            await anyio.sleep(0.05)
    return found


# What is counted.


def test_a_limit_is_reached_with_what_was_spent_before() -> None:
    bounds = limits("allowance", Allowance(requests=10, usd=1.0), Spent(requests=8, usd=0.2))
    assert bounds == [
        Limit(group="allowance", field="requests", most=10, before=8),
        Limit(group="allowance", field="usd", most=1.0, before=0.2),
    ]
    assert exhausted(bounds, Spent(requests=1, usd=0.5)) is None
    assert exhausted(bounds, Spent(requests=2)) == bounds[0]
    assert exhausted(bounds, Spent(usd=0.8)) == bounds[1]


def test_a_budget_without_limits_is_none() -> None:
    assert limits("budget", Budget(requests=None, tokens=None)) == []


def test_a_cost_that_is_not_known_stays_so() -> None:
    spent = Spent(usd=1.0)
    spent.add(Spent(requests=1, usd=None))
    spent.add(Spent(requests=1, usd=1.0))
    assert (spent.requests, spent.usd) == (2, None)


async def test_a_deadline_is_kept_and_none_never_is() -> None:
    def late() -> BudgetSpent:
        return BudgetSpent("It", "1 s", "More.")

    async def done() -> str:
        return "done"

    assert await Deadline().kept(done) == "done"
    assert await Deadline(2e10, late).kept(done) == "done"
    with pytest.raises(BudgetSpent):
        await Deadline(1.0, late).kept(done)


# Of one run.


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ({"requests": 2}, "The run's budget of 2 request(s) is spent"),
        ({"tokens": 29}, "The run's budget of 29 tokens is spent"),
        ({"usd": 0.0039}, "The run's budget of $0.0039 is spent"),
    ],
)
async def test_a_run_ends_when_its_budget_is_spent(
    paid: Settings, monkeypatch: pytest.MonkeyPatch, budget: dict[str, Any], told: str
) -> None:
    wires, listener, peers = Wires(CALLS, refuses=False), listen(paid), Notes()
    monkeypatch.setenv("OPENAI_BASE_URL", f"{address(listener)}/v1")
    async with running(wires.app, listener), factory(paid, peers) as client:
        await deployed(client, "openai:any", budget=budget)
        run = await call(client, "run_agent", name="tides", task="When?")
    field = next(iter(budget))
    cure = f'Give it more: configure_agent(…, more={{"budget": {{"{field}": …}}}}).'
    assert (run["state"], run["error"]) == ("failed", f"{told}, and so it was stopped. {cure}")
    assert (run["usage"]["requests"], len(peers.calls), len(wires.paths)) == (2, 2, 2)
    assert run["usd"] == pytest.approx(0.004)


async def test_an_answer_that_is_paid_for_is_given(paid: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    wires, listener = Wires(SCRIPT, refuses=False), listen(paid)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{address(listener)}/v1")
    async with running(wires.app, listener), factory(paid, Notes()) as client:
        await deployed(client, "openai:any", budget={"usd": 0.003, "tokens": 16, "requests": 2})
        run = await call(client, "run_agent", name="tides", task="When?")
    assert (run["state"], run["answer"]) == ("done", SCRIPT[1])


async def test_time_that_is_up_ends_a_run_in_the_middle_of_a_tool(settings: Settings, tmp_path: Path) -> None:
    peers = Slow()
    async with factory(settings, peers) as client:
        await deployed(client, script(tmp_path, SCRIPT), budget={"seconds": 0.5})
        run = await call(client, "run_agent", name="tides", task="When?", wait_s=30)
    assert run["error"].startswith(
        "The run's budget of 0.5 s is spent, and so it was stopped. Give it more: "
    )
    assert peers.cut


async def test_time_that_is_up_ends_a_run_that_waits_for_a_model(
    paid: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listen(paid)  # which nobody serves: a request gets no answer
    monkeypatch.setenv("OPENAI_BASE_URL", f"{address(listener)}/v1")
    async with factory(paid, Notes()) as client:
        await deployed(client, ["openai:any", "host"], budget={"seconds": 0.5})
        run = await call(client, "run_agent", name="tides", task="When?", wait_s=30)
    listener.close()
    assert (run["state"], run["model"]) == ("failed", "openai:any")
    assert run["error"].startswith("The run's budget of 0.5 s is spent")


async def test_time_that_is_up_ends_a_run_that_waits_for_its_host(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, "host", budget={"seconds": 1})
        run = await call(client, "run_agent", name="tides", task="When?")
        assert run["state"] == "needs_completion"
        found = await ended(client, run["run"])
    assert found["error"].startswith("The run's budget of 1 s is spent")


async def test_a_restart_does_not_put_the_deadline_off(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, "host", budget={"seconds": 2})
        began = anyio.current_time()
        run = await call(client, "run_agent", name="tides", task="When?")
        await call(client, "continue_run", run=run["run"], reply=json.dumps(CALL))
    await anyio.sleep(max(0.0, began + 2.5 - anyio.current_time()))
    peers = Notes()
    async with factory(settings, peers) as client:
        found = await ended(client, run["run"])
    assert found["error"].startswith("The run's budget of 2 s is spent")
    assert [used["tool"] for used in found["tools"]] == ["notes__search"]
    assert peers.calls == []


# Of all runs of an agent.


async def test_an_agent_whose_runs_have_spent_its_allowance_takes_no_more(
    settings: Settings, tmp_path: Path
) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, script(tmp_path, SCRIPT), allowance={"requests": 3})
        assert (await call(client, "run_agent", name="tides", task="When?"))["state"] == "done"
        second = await call(client, "run_agent", name="tides", task="When?")
        whose = "The allowance of all of the agent's runs of 3 request(s) is spent, and so it was stopped."
        assert (second["state"], second["usage"]["requests"]) == ("failed", 1)
        assert second["error"].startswith(whose)
        told = await refusal(client, "run_agent", name="tides", task="When?")
        assert 'more={"allowance": {"requests": …}}' in told
        await call(client, "configure_agent", name="tides", more={"allowance": {"requests": 9}})
        assert (await call(client, "run_agent", name="tides", task="When?"))["state"] == "done"


async def test_what_a_cancelled_run_spent_counts(paid: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    wires, listener = Wires([CALL, *SCRIPT[1:]], refuses=False), listen(paid)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{address(listener)}/v1")
    async with running(wires.app, listener), factory(paid, peers := Slow()) as client:
        await deployed(client, "openai:any", allowance={"usd": 0.001})
        run = await call(client, "run_agent", name="tides", task="When?", wait_s=0)
        with anyio.fail_after(30):
            while not peers.begun:
                await anyio.sleep(0.02)
        await call(client, "cancel_run", run=run["run"])
        told = await refusal(client, "run_agent", name="tides", task="When?")
    assert "allowance of all of the agent's runs of $0.001 is spent" in told


async def test_a_budget_in_dollars_of_a_model_without_a_price_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    async with factory(settings, Notes()) as client:
        await deployed(client, "openai:nobody-knows", budget={"usd": 1})
        told = await refusal(client, "run_agent", name="tides", task="When?")
    assert "budget.usd: cannot be kept: nobody knows what openai:nobody-knows costs" in told
    assert "Put its price into the file that PYGENT_MODELS names, or leave usd out." in told


async def test_metrics_tell_what_runs_cost(paid: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    wires, listener = Wires(SCRIPT, refuses=False), listen(paid)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{address(listener)}/v1")
    async with running(wires.app, listener), factory(paid, Notes()) as client:
        await deployed(client, "openai:any")
        for _ in range(2):
            await call(client, "run_agent", name="tides", task="When?")
        result = await client.call_tool("agent_metrics", {"name": "tides"})
    assert result.structured_content is not None
    assert result.structured_content["versions"][0]["usd"] == pytest.approx(0.008)
    assert "$0.0080" in result.content[0].text  # type: ignore[union-attr]
