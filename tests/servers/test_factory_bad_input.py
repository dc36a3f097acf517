"""Wrong input, each in a test: one sentence that says what is wrong, and one that says what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

from .test_factory_runs import CALL, Notes, call, deployed, factory, script

pytestmark = pytest.mark.anyio

HOUR = {
    "type": "object",
    "properties": {"hour": {"type": "integer", "maximum": 24}},
    "required": ["hour"],
    "additionalProperties": False,
}
RING = {
    "$ref": "#/$defs/a",
    "$defs": {
        "a": {"type": "object", "properties": {"b": {"$ref": "#/$defs/b"}}},
        "b": {"$ref": "#/$defs/a"},
    },
}
USELESS = "Try another model, say in the instructions what is wanted, or let it answer in plain text."


def answers(**arguments: Any) -> dict[str, Any]:
    """A reply that is an answer of a schema."""
    return {"tool_calls": [{"name": "final_result", "arguments": arguments}]}


# Who and what.


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        (
            "create_agent",
            {"name": "a", "type": "resaerch"},
            'no agent type "resaerch". Did you mean "research"?',
        ),
        ("create_agent", {"name": "A b"}, "name: 'A b' is not a name of at most 63 letters"),
        ("deploy_agent", {"name": "b"}, 'There is no agent "b".'),
        ("run_agent", {"name": "b", "task": "x"}, 'There is no agent "b".'),
        ("run_agent", {"name": "tides", "task": " "}, "task: is empty. Say what the agent is to do."),
        ("get_run", {"run": "r1"}, 'There is no run "r1".'),
        ("continue_run", {"run": "r1", "reply": "x"}, 'There is no run "r1".'),
        ("cancel_run", {"run": "r1"}, 'There is no run "r1".'),
    ],
)
async def test_what_there_is_not_is_named(
    settings: Settings, tool: str, arguments: dict[str, Any], told: str
) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client)
        assert told in await refusal(client, tool, **arguments)


async def test_an_agent_that_is_not_deployed_says_how_to(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await call(client, "create_agent", name="a")
        told = await refusal(client, "run_agent", name="a", task="x")
    assert 'cannot be run then. Deploy it first: deploy_agent(name="a").' in told


# Models.


@pytest.mark.parametrize("model", ["gpt", "mistral:large", ["host", "gpt"], "openai:"])
async def test_an_unknown_model_is_refused_with_those_there_are(settings: Settings, model: Any) -> None:
    async with factory(settings, Notes()) as client:
        told = await refusal(client, "create_agent", name="a", model=model)
    assert "names no model. Use auto, host, scripted:FILE, or PROVIDER:MODEL of openai, anthropic" in told


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("openai:gpt-5", "model: openai:gpt-5 needs a key. Set OPENAI_API_KEY, or use the host's own model"),
        ("anthropic:x", "model: anthropic:x needs a key. Set ANTHROPIC_API_KEY, or use the host's own model"),
        (
            ["openai:a", "anthropic:b"],
            "model: none of openai:a, anthropic:b can be used: openai:a needs OPENAI_API_KEY; "
            'anthropic:b needs ANTHROPIC_API_KEY. Set ANTHROPIC_API_KEY or OPENAI_API_KEY, or add "host"',
        ),
    ],
)
async def test_a_missing_key_is_named_before_the_run_begins(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, model: Any, told: str
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    async with factory(settings, Notes()) as client:
        await deployed(client, model)
        assert told in await refusal(client, "run_agent", name="tides", task="x")


async def test_a_script_that_is_not_there_is_named(settings: Settings, tmp_path: Path) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, f"scripted:{tmp_path / 'none.json'}")
        told = await refusal(client, "run_agent", name="tides", task="x")
    assert 'none.json" cannot be read' in told
    assert "Give the path of a JSON array of replies." in told


async def test_a_table_of_models_that_is_none_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text("[[model]]\nname = 'gpt'")
    async with factory(replace(settings, models=str(tmp_path / "models.toml")), Notes()) as client:
        await deployed(client, "auto")
        told = await refusal(client, "run_agent", name="tides", task="x")
    assert "in model 1, 'gpt' names no model. Write provider:model, such as ollama:qwen3." in told


# Tools.


async def test_a_pattern_that_matches_no_tool_names_the_servers_there_are(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client)
        await call(client, "configure_agent", name="tides", tools=["notes__*", "nots__*"])
        told = await refusal(client, "run_agent", name="tides", task="x")
    assert "tools: 'nots__*' matches no tool; there are those of literature, notes." in told
    assert "See them: pygent list. Then configure_agent(…, tools=[…])." in told


# Configs that contradict themselves, or turn in a circle.


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"output": RING}, "output: is cyclic: a -> b -> a."),
        (
            {"output": {"type": "object", "properties": {"a": {"$ref": "#"}}}},
            "output: is cyclic: it refers to",
        ),
        ({"output": {"$ref": "#/$defs/a"}}, 'output: refers to "a", which is not among its $defs.'),
        ({"output": {"type": "nonsense"}}, "output: is no JSON Schema: 'nonsense' is not valid"),
        ({"output": {"type": "array"}}, "output: is not the schema of an object. Give the JSON Schema of"),
        ({"model": []}, "model: names no model. Name one"),
        ({"model": ["openai:a", "openai:a"]}, "model: names openai:a twice."),
        ({"model": ["host", "openai:a"]}, 'Name it last: model=["openai:a", "host"].'),
        ({"cites": True, "tools": []}, "cites: asks for sources of an agent that has no tools to find any."),
        (
            {"strategy": "self_consistency", "budget": {"requests": 3}},
            "budget.requests: is 3, and self_consistency comes to no answer in fewer than 5.",
        ),
        (
            {"budget": {"usd": 5}, "allowance": {"usd": 1}},
            "budget.usd: is 5 for one run, and allowance.usd is 1 for all of them.",
        ),
        ({"budget": {"seconds": 0}}, "budget.seconds: is not usable: input should be greater than 0."),
        ({"budget": {"hours": 1}}, "The fields are: requests, tokens, usd, seconds."),
        ({"needs": {"capabilities": ["smell"]}}, "should be 'tools', 'json', 'vision' or 'reasoning'."),
        ({"strategy": "magic"}, "strategy: is not usable: input should be 'react'"),
        ({"colour": "red"}, "The fields are: type, description, instructions, model, needs, strategy"),
    ],
)
async def test_a_config_that_cannot_work_is_refused(
    settings: Settings, more: dict[str, Any], told: str
) -> None:
    async with factory(settings, Notes()) as client:
        assert told in await refusal(client, "create_agent", name="a", type="general", more=more)
        assert (await call(client, "list_agents"))["agents"] == []


# What models say.


@pytest.mark.parametrize(
    ("replies", "told"),
    [
        (
            [{"tool_calls": [{"name": "nosuch", "arguments": {}}]}] * 3,
            "Unknown tool name: 'nosuch'. Available",
        ),
        ([{"tool_calls": [{"name": "notes__search", "arguments": [1]}]}] * 3, "Input should be an object."),
        ([""] * 3, "Please return text or call a tool."),
        ([{}] * 3, "Please return text or call a tool."),
    ],
    ids=["tool", "arguments", "nothing", "empty"],
)
async def test_garbage_again_and_again_ends_a_run_with_what_is_wrong_with_it(
    settings: Settings, tmp_path: Path, replies: list[Any], told: str
) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, script(tmp_path, replies))
        run = await call(client, "run_agent", name="tides", task="x")
    assert run["state"] == "failed"
    assert f"says nothing of any use: {told}" in run["error"]
    assert run["error"].endswith(USELESS)


@pytest.mark.parametrize(
    "once", [{"tool_calls": [{"name": "nosuch"}]}, "", {}], ids=["tool", "nothing", "empty"]
)
async def test_garbage_once_goes_back_to_the_model(settings: Settings, tmp_path: Path, once: Any) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, script(tmp_path, [once, CALL, "At six."]))
        run = await call(client, "run_agent", name="tides", task="x")
    assert (run["state"], run["answer"], run["usage"]["requests"]) == ("done", "At six.", 3)


@pytest.mark.parametrize(
    "said", ['{"tool_calls": 3}', '{"tool_calls": [{"nme": "x"}]}', "{", '["a"]', "null"], ids=repr
)
async def test_what_looks_like_a_call_and_is_none_is_a_text(settings: Settings, said: str) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client)
        run = await call(client, "run_agent", name="tides", task="x")
        done = await call(client, "continue_run", run=run["run"], reply=said)
    assert (done["state"], done["answer"]) == ("done", said)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<html>Welcome to the proxy</html>", "text/html"),
        ('{"hello": "world"}', "application/json"),
        ("{", "application/json"),
    ],
    ids=["page", "other", "cut"],
)
@pytest.mark.parametrize("model", ["openai:a", "anthropic:a"])
async def test_a_provider_that_answers_with_garbage_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, model: str, body: str, kind: str
) -> None:
    async def garbage(request: Request) -> Response:
        return Response(body, media_type=kind)

    listener = listen(settings)
    for name, value in (("OPENAI", "{}/v1"), ("ANTHROPIC", "{}")):
        monkeypatch.setenv(f"{name}_API_KEY", "k")
        monkeypatch.setenv(f"{name}_BASE_URL", value.format(address(listener)))
    app = Starlette(routes=[Route("/v1/{path:path}", garbage, methods=["POST"])])
    async with running(app, listener), factory(settings, Notes()) as client:
        await deployed(client, model)
        run = await call(client, "run_agent", name="tides", task="x")
    assert run["state"] == "failed"
    assert run["error"].startswith(f"The model {model} gives no answer: ")
    assert run["error"].endswith(f'name others to go on with: configure_agent(…, model=["{model}", "host"]).')


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (answers(hour="six"), "$.hour is wrong: 'six' is not of type 'integer'."),
        (answers(hour=99), "$.hour is wrong: 99 is greater than the maximum of 24."),
        (answers(), "$ is wrong: 'hour' is a required property."),
        (
            answers(hour=6, minute=1),
            "$ is wrong: Additional properties are not allowed ('minute' was unexpected).",
        ),
        ("six", "Invalid JSON: expected value at line 1 column 1."),
    ],
    ids=["type", "bounds", "missing", "more", "text"],
)
async def test_an_output_that_breaks_its_schema_goes_back_twice_and_then_ends_the_run(
    settings: Settings, tmp_path: Path, reply: Any, told: str
) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, script(tmp_path, [reply, reply, answers(hour=6)]), output=HOUR)
        run = await call(client, "run_agent", name="tides", task="x")
        assert (run["state"], run["answer"]) == ("done", {"hour": 6})
        await call(client, "configure_agent", name="tides", model=script(tmp_path, [reply] * 3))
        run = await call(client, "run_agent", name="tides", task="x")
    assert run["state"] == "failed"
    assert f"says nothing of any use: {told}" in run["error"]
    assert run["error"].endswith(USELESS)


async def test_a_host_is_told_what_is_wrong_with_its_answer(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, output=HOUR)
        run = await call(client, "run_agent", name="tides", task="x")
        wrong = await call(client, "continue_run", run=run["run"], reply=json.dumps(answers(hour="six")))
        assert wrong["state"] == "needs_completion"
        assert "$.hour is wrong: 'six' is not of type 'integer'" in wrong["messages"][-1]["text"]
        done = await call(client, "continue_run", run=run["run"], reply=json.dumps(answers(hour=6)))
    assert (done["state"], done["answer"]) == ("done", {"hour": 6})
