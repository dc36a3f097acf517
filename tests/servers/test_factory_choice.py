"""Which model a run thinks with: chosen by rule from a table, and the next one when it gives no answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pygent_shared import models
from pygent_shared.errors import ConfigInvalid, FileRefused, InvalidArgument, PygentError
from pygent_shared.http.run import address, listen, running
from pygent_shared.models.choice import Needs, choose
from pygent_shared.models.table import Row, Table
from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

from .model_wires import Down, Wires
from .test_factory_runs import CALL, SCRIPT, Notes, call, deployed, factory, script

KEYS = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
ROWS = """
[[model]]
name = "openai:small"
capabilities = ["tools", "json"]
context = 8_000
usd_in = 1.0
usd_out = 2.0

[[model]]
name = "anthropic:eyes"
capabilities = ["tools", "json", "vision"]
context = 100_000
usd_in = 10.0
usd_cached = 1.0
usd_out = 20.0

[[model]]
name = "ollama:home"
capabilities = ["tools"]
needs = "OLLAMA_BASE_URL"
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file of a user's models."""
    path = tmp_path / "models.toml"
    path.write_text(ROWS)
    return path


def needs(*capabilities: Any, context: int = 5000, usd: float | None = None) -> Needs:
    return Needs(capabilities=frozenset(capabilities), context=context, usd=usd)


# The rule.


@pytest.mark.parametrize(
    ("wanted", "environ", "picked"),
    [
        (needs("tools"), KEYS, "openai:small"),
        (needs("vision"), KEYS, "anthropic:eyes"),
        (needs("tools", context=9000), KEYS, "anthropic:eyes"),
        (needs("tools", usd=0.02), KEYS, "openai:small"),
        (needs("vision", usd=0.2), KEYS, "anthropic:eyes"),
        (needs("tools", context=9000, usd=0.02), KEYS, "anthropic:claude-haiku-5-5"),
        (needs("tools"), {"ANTHROPIC_API_KEY": "k"}, "anthropic:eyes"),
        (needs("tools"), {"OLLAMA_BASE_URL": "http://localhost:11434/v1"}, "ollama:home"),
        (needs("tools"), {}, "host"),
    ],
    ids=["first", "capability", "context", "cost", "enough", "cheap and long", "key", "endpoint", "no key"],
)
def test_the_first_model_that_fits_is_picked(
    own: Path, wanted: Needs, environ: dict[str, str], picked: str
) -> None:
    assert choose(["auto"], wanted, Table(str(own)), environ).names[0] == picked


def test_those_that_fit_follow_and_the_others_are_told_with_their_reason(own: Path) -> None:
    choice = choose(["auto"], needs("tools", context=9000), Table(str(own)), {"ANTHROPIC_API_KEY": "k"})
    shipped = ["anthropic:claude-haiku-5-5", "anthropic:claude-sonnet-5-5", "anthropic:claude-opus-5-5"]
    assert choice.names == ["anthropic:eyes", *shipped, "host"]
    assert choice.why == "the first in the table with tools, room for 9,000 tokens and its key"
    reasons = {item.model: item.why for item in choice.passed}
    assert reasons["openai:small"] == "takes 8,000 tokens"
    assert reasons["ollama:home"] == "needs OLLAMA_BASE_URL"
    assert reasons["openai:gpt-6-luna"] == "needs OPENAI_API_KEY"


def test_of_named_models_the_first_that_has_its_key_is_taken(own: Path) -> None:
    choice = choose(["openai:any", "anthropic:eyes", "host"], needs(), Table(), {"ANTHROPIC_API_KEY": "k"})
    assert choice.names == ["anthropic:eyes", "host"]
    assert [(item.model, item.why) for item in choice.passed] == [("openai:any", "needs OPENAI_API_KEY")]


def test_auto_among_named_models_stands_for_the_table_and_the_host_comes_last(own: Path) -> None:
    choice = choose(["auto", "openai:any"], needs("vision"), Table(str(own)), {"OPENAI_API_KEY": "k"})
    assert choice.names == ["openai:gpt-6-luna", "openai:gpt-6.1-sol", "openai:any"]
    choice = choose(["auto", "openai:any"], needs("json"), Table(str(own)), {"OPENAI_API_KEY": "k"})
    assert choice.names[-2:] == ["openai:any", "host"]


@pytest.mark.parametrize(
    ("wanted", "environ", "told"),
    [
        (
            needs("vision"),
            {},
            r"needs OPENAI_API_KEY.*host has no vision\. Set ANTHROPIC_API_KEY or OPENAI_API_KEY",
        ),
        (
            needs("vision", context=9_000_000),
            KEYS,
            r"takes 1,050,000 tokens.* Ask for less \(needs, budget\)",
        ),
    ],
    ids=["key", "context"],
)
def test_where_none_fits_a_sentence_says_why_each_and_what_to_do(
    wanted: Needs, environ: dict[str, str], told: str
) -> None:
    with pytest.raises(InvalidArgument, match=told):
        choose(["auto"], wanted, Table(), environ)


def test_the_shipped_table_can_be_read_and_each_of_its_models_is_one() -> None:
    names = [models.checked(row.name) for row in Table()]
    assert names[-1] == models.HOST
    assert len(names) > 4


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("[[model]]\nname = 'gpt'", ConfigInvalid, "in model 1, 'gpt' names no model"),
        (
            "[[model]]\nname = 'openai:x'\ncontext = 'big'",
            ConfigInvalid,
            "in model 1, context: input should be",
        ),
        (
            "[[model]]\nname = 'openai:x'\nprice = 1",
            ConfigInvalid,
            "price: extra inputs .* A model has name, cap",
        ),
        ("[[model]]\nname = 'openai:x'\n" * 2, ConfigInvalid, 'has the model "openai:x" twice'),
        ("model = 3", ConfigInvalid, r"is no table of models\. Write each as \[\[model\]\]"),
        ("", ConfigInvalid, "is no table of models"),
        ("[[model", ConfigInvalid, "is no TOML"),
        (None, FileRefused, r"cannot be read: No such file or directory\. Check PYGENT_MODELS"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    tmp_path: Path, text: str | None, error: type[PygentError], told: str
) -> None:
    path = tmp_path / "models.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=told):
        Table(str(path))


def test_cost_is_by_the_users_row_else_as_known_elsewhere_else_by_the_shipped_row(own: Path) -> None:
    table = Table(str(own))
    assert table.usd("anthropic:eyes", 1_000_000, 100_000, known=1.0) == 12.0
    assert table.usd("anthropic:eyes", 1_000_000, 100_000, 900_000) == pytest.approx(1.0 + 0.9 + 2.0)
    assert table.usd("openai:gpt-6-luna", 1_000_000, 1_000_000, known=0.5) == 0.5
    assert table.usd("openai:gpt-6-luna", 1_000_000, 1_000_000) == pytest.approx(0.6)
    assert table.usd("ollama:any", 1000, 1000) == 0.0
    assert table.usd("openai:any", 1000, 1000) is None
    assert Row(name="openai:x", usd_in=1.0).usd(1, 1) is None


# At work.


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Keys of both providers, and an endpoint where nobody is until a test says who."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "k")
    return monkeypatch


@pytest.mark.anyio
async def test_the_result_says_which_model_was_picked_and_why(
    settings: Settings, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wires, listener = Wires(SCRIPT), listen(settings)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{address(listener)}/v1")
    async with running(wires.app, listener), factory(replace(settings, models=str(own)), Notes()) as client:
        await deployed(client, "auto", needs={"context": 6000})
        result = await client.call_tool("run_agent", {"name": "tides", "task": "When?"})
    run = result.structured_content
    assert run is not None
    assert (run["state"], run["answer"], run["model"]) == ("done", SCRIPT[1], "openai:small")
    chosen = (
        "Its model is openai:small: the first in the table with tools, room for 6,000 tokens and its key."
    )
    assert run["model_notes"][0] == chosen
    assert "Passed over: anthropic:eyes needs ANTHROPIC_API_KEY;" in run["model_notes"][1]
    assert chosen in result.content[0].text  # type: ignore[union-attr]
    assert run["usd"] == pytest.approx(2 * (10 * 1.0 + 5 * 2.0) / 1e6)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [429, 503, 401])
async def test_a_model_that_gives_no_answer_is_followed_by_the_next_for_good(
    settings: Settings, keyed: pytest.MonkeyPatch, status: int
) -> None:
    down, wires = Down(status), Wires(SCRIPT, refuses=False)
    first, second = listen(settings), listen(settings)
    keyed.setenv("OPENAI_BASE_URL", f"{address(first)}/v1")
    keyed.setenv("ANTHROPIC_BASE_URL", address(second))
    peers = Notes()
    async with running(down.app, first), running(wires.app, second), factory(settings, peers) as client:
        await deployed(client, ["openai:a", "anthropic:b"])
        run = await call(client, "run_agent", name="tides", task="When?")
        again = await call(client, "get_run", run=run["run"])
    assert (run["state"], run["answer"], run["model"]) == ("done", SCRIPT[1], "anthropic:b")
    assert down.asked == (1 if status == 401 else 3)
    assert f"openai:a gave no answer (status_code: {status}" in run["model_notes"][-1]
    assert run["model_notes"][-1].endswith("and anthropic:b went on.")
    assert peers.calls == [("notes__search", {"query": "tide"})]
    assert again == run


@pytest.mark.anyio
async def test_the_host_goes_on_where_a_model_cannot_be_reached(
    settings: Settings, keyed: pytest.MonkeyPatch
) -> None:
    listener = listen(settings)
    keyed.setenv("OPENAI_BASE_URL", f"{address(listener)}/v1")
    listener.close()
    async with factory(settings, Notes()) as client:
        await deployed(client, ["openai:a", "host"])
        run = await call(client, "run_agent", name="tides", task="When?")
        assert run["state"] == "needs_completion"
        done = await call(client, "continue_run", run=run["run"], reply="At six.")
    assert (done["state"], done["answer"], done["model"]) == ("done", "At six.", "host")
    assert "openai:a gave no answer (Connection error), and host went on." in done["model_notes"]


@pytest.mark.anyio
async def test_after_a_restart_a_run_stays_with_the_model_it_changed_to(
    settings: Settings, keyed: pytest.MonkeyPatch
) -> None:
    down, first = Down(503), listen(settings)
    keyed.setenv("OPENAI_BASE_URL", f"{address(first)}/v1")
    async with running(down.app, first):
        async with factory(settings, Notes()) as client:
            await deployed(client, ["anthropic:none", "openai:a", "host"], needs={"context": 10})
            keyed.setenv("ANTHROPIC_API_KEY", "")
            run = await call(client, "run_agent", name="tides", task="When?")
            assert run["state"] == "needs_completion"
        asked = down.asked
        keyed.setenv("ANTHROPIC_API_KEY", "k")  # as it is now it would be chosen
        async with factory(settings, Notes()) as client:
            found = await call(client, "get_run", run=run["run"], wait_s=30)
            assert (found["state"], found["messages"]) == ("needs_completion", run["messages"])
            done = await call(client, "continue_run", run=run["run"], reply="At six.")
    assert (done["state"], done["model"]) == ("done", "host")
    assert "Passed over: anthropic:none needs ANTHROPIC_API_KEY." in done["model_notes"]
    assert down.asked == asked


@pytest.mark.anyio
async def test_a_model_with_none_after_it_is_tried_longer_and_then_named_with_a_cure(
    settings: Settings, keyed: pytest.MonkeyPatch
) -> None:
    down, listener = Down(503), listen(settings)
    keyed.setenv("OPENAI_BASE_URL", f"{address(listener)}/v1")
    async with running(down.app, listener), factory(settings, Notes()) as client:
        await deployed(client, "openai:a")
        run = await call(client, "run_agent", name="tides", task="When?")
    assert run["state"] == "failed"
    assert run["error"].startswith("The model openai:a gives no answer: status_code: 503")
    assert run["error"].endswith('name others to go on with: configure_agent(…, model=["openai:a", "host"]).')
    assert down.asked == 6


@pytest.mark.anyio
async def test_a_script_is_said_to_be_one_where_it_was_fallen_back_on(
    settings: Settings, keyed: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    down, listener = Down(401), listen(settings)
    keyed.setenv("OPENAI_BASE_URL", f"{address(listener)}/v1")
    async with running(down.app, listener), factory(settings, Notes()) as client:
        await deployed(client, ["openai:a", script(tmp_path, [CALL, "At six."])])
        run = await call(client, "run_agent", name="tides", task="When?")
    assert (run["state"], run["scripted"]) == ("done", True)


@pytest.mark.anyio
async def test_where_no_model_fits_the_run_does_not_begin(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    async with factory(settings, Notes()) as client:
        await deployed(client, "auto", needs={"capabilities": ["vision"]})
        told = await refusal(client, "run_agent", name="tides", task="When?")
        assert "none of auto can be used" in told
        assert told.rstrip().endswith(
            'Set ANTHROPIC_API_KEY or OPENAI_API_KEY, or add "host": your own model.'
        )
        assert (await call(client, "list_runs"))["runs"] == []
