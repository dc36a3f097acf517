"""Agents in files of the user's own."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from mcp import Client

from pygent_factory import types
from pygent_factory.files import found, written
from pygent_factory.server import build_server
from pygent_shared.caller import META, OWNER
from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

from .test_factory_runs import call

pytestmark = pytest.mark.anyio

TIDES = """\
name = "tides"
type = "research"
description = "Knows the tides."
tools = ["rag__*"]

[budget]
requests = 7
"""
SAME = """\
name: tides
type: research
description: Knows the tides.
tools: [rag__*]
budget:
  requests: 7
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    return made


@pytest.fixture
def client(settings: Settings, folder: Path) -> Client:
    return Client(build_server(replace(settings, agents=str(folder)), None))


@pytest.mark.parametrize(("file", "text"), [("a.toml", TIDES), ("b.yaml", SAME), ("c.yml", SAME)])
async def test_a_file_is_an_agent_that_begins_with_its_kind(
    client: Client, folder: Path, file: str, text: str
) -> None:
    (folder / file).write_text(text)
    async with client:
        shown = await call(client, "show_agent", name="tides")
    assert (shown["agent"]["state"], shown["agent"]["version"]) == ("configured", 1)
    assert shown["source"] == str(folder / file)
    assert shown["spec"]["instructions"] == types.of("research").instructions
    assert (shown["spec"]["tools"], shown["spec"]["budget"]["requests"]) == (["rag__*"], 7)


async def test_a_changed_file_is_a_new_version_and_what_was_configured_stays_until_then(
    client: Client, folder: Path
) -> None:
    (folder / "a.toml").write_text(TIDES)
    async with client:
        await call(client, "deploy_agent", name="tides")
        await call(client, "configure_agent", name="tides", more={"description": "By a tool."})
        (folder / "other.toml").write_text('type = "general"\n')
        shown = await call(client, "show_agent", name="tides")
        assert shown["agent"]["description"] == "By a tool."
        (folder / "a.toml").write_text(TIDES.replace("Knows", "Tells"))
        result = await client.call_tool("show_agent", {"name": "tides"}, meta={META: "ann"})
        assert result.structured_content is not None
        shown = result.structured_content
        (content,) = (await client.read_resource("agent://tides")).contents
        assert isinstance(content, t.TextResourceContents)
        told = json.loads(content.text)
    assert (told["events"][-1]["move"], told["events"][-1]["actor"]) == ("configure", OWNER)
    assert (shown["agent"]["state"], shown["agent"]["version"]) == ("deployed", 3)
    assert [version["description"] for version in told["versions"]] == [
        "Knows the tides.",
        "By a tool.",
        "Tells the tides.",
    ]


async def test_an_agent_whose_file_is_gone_stays_and_that_is_said(client: Client, folder: Path) -> None:
    (folder / "a.toml").write_text(TIDES)
    async with client:
        await call(client, "deploy_agent", name="tides")
        (folder / "a.toml").unlink()
        shown = await call(client, "show_agent", name="tides")
    assert shown["agent"]["state"] == "deployed"
    assert "says nothing of it now" in shown["source"]


async def test_a_file_whose_type_is_its_own_name_is_a_kind(settings: Settings, folder: Path) -> None:
    (folder / "contracts.toml").write_text(
        'type = "contracts"\nextends = "review"\ndescription = "Reads contracts."\ntools = []\n'
    )
    (folder / "lease.yaml").write_text("type: contracts\n")
    async with Client(build_server(replace(settings, agents=str(folder)), None)) as client:
        kinds = await call(client, "agent_types")
        await call(client, "create_agent", name="mine", type="contracts")
        told = await refusal(client, "create_agent", name="b", type="contrcts")
        shown = await call(client, "show_agent", name="lease")
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
    assert {"contracts", "review"} <= {kind["type"] for kind in kinds["types"]}
    assert 'Did you mean "contracts"' in told
    assert shown["spec"]["instructions"] == types.of("review").instructions
    assert (shown["spec"]["type"], shown["spec"]["tools"]) == ("contracts", [])
    assert "contracts" in prompts


async def test_a_kind_of_ones_own_takes_the_place_of_one_that_ships(client: Client, folder: Path) -> None:
    async with client:
        await call(client, "create_agent", name="before", type="review")
        (folder / "review.toml").write_text('type = "review"\ninstructions = "Be kind."\n')
        await call(client, "create_agent", name="after", type="review")
        shown = {name: await call(client, "show_agent", name=name) for name in ("before", "after")}
    assert shown["after"]["spec"]["instructions"] == "Be kind."
    assert shown["before"]["spec"]["instructions"] == types.of("review").instructions


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        (
            "x.toml",
            'type = "general"\n\nstrateg = "beam"\n',
            'x.toml:3" has strateg, which .* Did you mean "strategy"',
        ),
        (
            "x.yaml",
            "type: general\nbudget:\n  tokens: none\n",
            r'x.yaml:3" has budget.tokens, which is not usable',
        ),
        ("x.toml", 'type = "general"\nmodel = "gpt"\n', 'x.toml:2" has model, which'),
        ("x.toml", 'type = "general\n', r"is no TOML: .*line 1"),
        ("x.yaml", "type: general\n  a: b\n", r'x.yaml:2" is no YAML: mapping values'),
        ("x.yaml", "- type\n", "holds no fields"),
        (
            "x.toml",
            'type = "reserch"\n',
            'x.toml:1" begins with what is not there. .*Did you mean "research"',
        ),
        ("x.toml", 'name = "A B"\ntype = "general"\n', 'x.toml:1" has name, which'),
        ("x.toml", 'type = "general"\nextends = "x"\n', 'x.toml:2" has extends, which goes round .*: x > x'),
        (
            "x.toml",
            'type = "general"\nbudget = {requests = 1}\nstrategy = "beam"\n',
            "has budget.requests, which is 1",
        ),
    ],
)
async def test_a_file_that_cannot_be_used_is_named_with_its_line_and_costs_itself_alone(
    client: Client, folder: Path, file: str, text: str, told: str
) -> None:
    (folder / file).write_text(text)
    (folder / "a.toml").write_text(TIDES)
    async with client:
        listed = await call(client, "list_agents")
    assert [agent["name"] for agent in listed["agents"]] == ["tides"]
    (problem,) = listed["problems"]
    assert re.search(told, problem), problem


async def test_files_that_extend_each_other_in_a_circle_are_both_refused(
    client: Client, folder: Path
) -> None:
    (folder / "a.toml").write_text('extends = "b"\n')
    (folder / "b.yaml").write_text("extends: a\n")
    async with client:
        problems = (await call(client, "agent_types"))["problems"]
    assert [problem.partition("circle: ")[2][:9] for problem in problems] == ["a > b > a", "b > a > b"]


async def test_a_name_that_is_taken_is_not_taken_over(client: Client, folder: Path) -> None:
    async with client:
        await call(client, "create_agent", name="tides")
        (folder / "a.toml").write_text(TIDES)
        (folder / "b.yaml").write_text(SAME)
        listed = await call(client, "list_agents")
        assert (await call(client, "show_agent", name="tides"))["agent"]["type"] == "general"
    twice, taken = listed["problems"]
    assert 'has the name "tides", which' in twice
    assert "is taken by an agent of no file" in taken


async def test_a_file_cannot_change_a_retired_agent(client: Client, folder: Path) -> None:
    (folder / "a.toml").write_text(TIDES)
    async with client:
        await call(client, "retire_agent", name="tides")
        (folder / "a.toml").write_text(TIDES.replace("Knows", "Tells"))
        (problem,) = (await call(client, "list_agents"))["problems"]
        assert (await call(client, "show_agent", name="tides"))["agent"]["version"] == 1
    assert 'Agent "tides" is retired' in problem


async def test_an_agent_reads_back_as_itself_from_its_own_export(client: Client, tmp_path: Path) -> None:
    output = {"type": "object", "properties": {"tide": {"type": ["string", "null"], "title": "ö\u007f \\"}}}
    async with client:
        await call(
            client, "create_agent", name="a", type="research", more={"output": output, "budget": {"usd": 1.5}}
        )
        made = (await call(client, "show_agent", name="a"))["spec"]
        for format in ("toml", "yaml"):
            (content,) = (await client.read_resource(f"agent://a/{format}")).contents
            (tmp_path / f"a.{format}").write_text(content.text)
            (file,) = found([tmp_path / f"a.{format}"], types.types()).agents.values()
            assert file.spec.model_dump(mode="json") == made


@pytest.mark.parametrize("format", ["toml", "yaml"])
@pytest.mark.parametrize("kind", sorted(types.types()))
def test_the_kinds_that_ship_are_written_as_they_are(tmp_path: Path, kind: str, format: str) -> None:
    path = tmp_path / f"x.{format}"
    path.write_text(written("x", types.of(kind), format, types.of(kind)), encoding="utf-8")
    (file,) = found([path], types.types()).agents.values()
    assert file.spec == types.of(kind)


async def test_what_toml_cannot_hold_is_said_and_yaml_holds_it(client: Client, tmp_path: Path) -> None:
    async with client:
        await call(client, "create_agent", name="a", more={"budget": {"requests": None}})
        with pytest.raises(Exception, match=r"toml, which has no null, .*agent://a/yaml"):
            await client.read_resource("agent://a/toml")
        (content,) = (await client.read_resource("agent://a/yaml")).contents
        with pytest.raises(Exception, match='no format "ini"'):
            await client.read_resource("agent://a/ini")
    (tmp_path / "a.yaml").write_text(content.text)
    (file,) = found([tmp_path / "a.yaml"], types.types()).agents.values()
    assert file.spec.budget.requests is None


async def test_the_folder_beside_the_config_file_is_read_too(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "a.toml").write_text(TIDES)
    (tmp_path / "pygent.json").write_text("{}")
    beside: Any = replace(settings, config=str(tmp_path / "pygent.json"))
    async with Client(build_server(beside, None)) as client:
        assert (await call(client, "show_agent", name="tides"))["source"].endswith("a.toml")
