"""The tools and resources for features, as a host uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from pygent_orchestration.features.events import Event, replay
from pygent_orchestration.server import build_server
from pygent_shared.caller import META
from pygent_shared.sandbox.run import missing
from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

from .coding_peers import git, repository
from .feature_peers import FeaturePeers, plan

pytestmark = pytest.mark.anyio

PATIENCE = 60
PYPROJECT = "[tool.ruff]\nline-length = 100\n"
PRP = """\
---
id: "a"
paths: ["a.py"]
---

## Goal

There is a.py, which doubles.
"""
sandboxed = pytest.mark.skipif(bool(missing()), reason=str(missing()))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return repository(tmp_path / "repository", {"pyproject.toml": PYPROJECT})


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def text(client: Client, uri: str) -> str:
    [found] = (await client.read_resource(uri)).contents
    return str(found.text)  # type: ignore[union-attr]


@sandboxed
async def test_a_feature_goes_through_real_gates_with_a_host_that_answers_and_reads_what_happened(
    settings: Settings, place: Path, tmp_path: Path
) -> None:
    tests = tmp_path / "trusted"
    tests.mkdir()
    (tests / "test_slip.py").write_text(
        "from slip import double\n\n\ndef test_doubles():\n    assert double(3) == 6\n"
    )
    peers = FeaturePeers(tmp_path, [plan("slip", summary="It doubles.")])
    seen: list[tuple[float, float | None, str | None]] = []

    async def progress(done: float, of: float | None, message: str | None) -> None:
        seen.append((done, of, message))

    async with Client(build_server(settings, peers)) as client:
        asked = {
            "request": "Double numbers.\nQuickly.",
            "repository": str(place),
            "policy": {"tests": str(tests), "expected": 1, "types": False},
            "reviewer": "",
        }
        begun = await call(client, "submit_feature", **asked, wait_s=PATIENCE)
        id = begun["feature"]
        assert (begun["state"], begun["question"]["about"], begun["hours"]) == ("PLANNING", "plan", 1.0)
        assert [(row["task"], row["state"]) for row in begun["tasks"]] == [("slip", "waiting")]
        assert f'answer_feature(feature="{id}", verdict="approve")' in begun["next"]
        listed = await call(client, "list_features", repository=str(place))
        assert [(row["feature"], row["asks"], row["tasks"]) for row in listed["features"]] == [
            (id, True, {"waiting": 1})
        ]
        result = await client.call_tool(
            "answer_feature",
            {"feature": id, "verdict": "approve", "wait_s": PATIENCE},
            progress_callback=progress,
        )
        reviewed = result.structured_content or {}
        assert (reviewed["state"], reviewed["tasks"][0]["attempts"]) == ("REVIEW", 2), reviewed
        assert seen[-1] == (1, 1, "REVIEW")
        assert git(place, "ls-tree", "--name-only", "main").split() == ["pyproject.toml"]
        done = await call(client, "answer_feature", feature=id, verdict="approve", wait_s=PATIENCE)
        assert (done["state"], done["error"], done["next"]) == ("COMPLETED", "", "")
        assert done["deployed"]["commit"] == git(place, "rev-parse", "main")
        lines = (await text(client, f"feature://{id}/events")).splitlines()
        whole = json.loads(await text(client, f"feature://{id}"))
        assert replay(id, map(Event.model_validate_json, lines)).model_dump(mode="json") == whole
        markdown = await text(client, f"feature://{id}/prp/slip")
        assert markdown.startswith('---\nid: "slip"\n')
        again = await call(client, "submit_feature", **asked | {"tasks": [markdown]}, approvals=["plan"])
        cancelled = await call(client, "cancel_feature", feature=again["feature"])
        assert (cancelled["state"], cancelled["error"]) == ("FAILED", "It was cancelled.")
        assert f'resume_feature(feature="{again["feature"]}")' in cancelled["next"]


async def test_what_is_wrong_is_told_with_what_to_do(settings: Settings, place: Path, tmp_path: Path) -> None:
    async with Client(build_server(settings, FeaturePeers(tmp_path))) as client:
        asked = {"request": "x", "repository": str(place)}
        for more, said in [
            ({"tasks": ["# A"]}, "PRP: line 1: it does not begin with front matter"),
            ({"tasks": [PRP, PRP]}, "Several tasks have the id a: give each its own. Mend the plan."),
            ({"branch": "mian"}, 'There is no branch "mian". Did you mean "main"?'),
            ({"approvals": ["merge"]}, "approvals.0: input should be 'plan' or 'deployment' (got 'merge')"),
            ({"policy": {"seconds": -1}}, "policy: seconds: Input should be greater than 0"),
            ({"at_once": 0}, "at_once: input should be greater than or equal to 1"),
        ]:
            assert said in await refusal(client, "submit_feature", **asked | more)
        assert 'no feature "f1"' in await refusal(client, "feature_status", feature="f1")
        assert 'no feature "f1"' in await refusal(client, "cancel_feature", feature="f1")
        stranger = {META: "somebody"}
        result = await client.call_tool("list_features", {}, meta=stranger)
        assert result.is_error
        assert "Features run with the rights of the machine's own user" in str(result.content)


async def test_context_for_a_task_names_its_sources(settings: Settings, tmp_path: Path) -> None:
    peers = FeaturePeers(tmp_path)
    peers.known = {"rag__search": [{"citation": "docs/dates.md:3", "text": "ISO 8601."}]}
    async with Client(build_server(settings, peers)) as client:
        found = await call(client, "get_context_for_task", task="Read dates")
    assert found["sources"] == [{"kind": "document", "place": "docs/dates.md:3", "text": "ISO 8601."}]
    assert (found["left_out"], found["missing"]) == (0, [])


async def test_a_server_that_stands_alone_says_so_before_it_begins(settings: Settings, place: Path) -> None:
    async with Client(build_server(settings, None)) as client:
        told = await refusal(client, "submit_feature", request="x", repository=str(place))
        why = "is of other servers' agents, and this one stands alone"
        assert told.endswith(f"request: {why}. Run it behind pygent serve or pygent up.")
        assert (await call(client, "list_features"))["features"] == []
