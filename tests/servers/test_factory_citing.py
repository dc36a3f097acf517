"""Answers whose sources are looked at: what is a citation, and what becomes of one that nothing bears out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import types as t

from pygent_factory.citing import NOTHING_CITED, citations, unsupported
from pygent_shared.settings import Settings

from .test_factory_runs import CALL, SCRIPT, Notes, call, deployed, factory, script

FOUND = [
    "[1] /home/me/notes/tides.md:12 (found by words)\n> At six, in 2024.",
    "[arxiv:2305.10601] Tree\n[doi:10.1/X]",
]


@pytest.mark.parametrize(
    ("answer", "cited"),
    [
        ("At six [tides.md:12].", ["tides.md:12"]),
        ("At [sic] six [tides.md:12][tides.md:12].", ["tides.md:12"]),
        ("See [the page](https://a.example/b).", []),
        ("As is known [1].", ["1"]),
        ({"answer": "At six [tides.md:12]."}, ["tides.md:12"]),
    ],
)
def test_a_citation_is_what_stands_in_brackets_and_is_no_word_or_link(
    answer: object, cited: list[str]
) -> None:
    assert citations(answer) == cited


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ("At six [tides.md:12].", []),
        ("At six [notes/tides.md:12; ARXIV:2305.10601].", []),
        ("At six [doi:10.1/x].", []),
        ("At six [tides.md:1].", ["tides.md:1"]),
        ("At six [ides.md:12].", ["ides.md:12"]),
        ("At six [arxiv:2305.1060].", ["arxiv:2305.1060"]),
        ("At six [tides.md:12, moon.md:3].", ["moon.md:3"]),
        ("At six [1], in [2024].", ["1", "2024"]),
        ("At six.", [NOTHING_CITED]),
        ("The documents do not say when.", []),
        ("The documents do not say, but a book does [book.md:1].", ["book.md:1"]),
    ],
)
def test_a_source_that_stands_in_no_result_is_found(answer: str, wrong: list[str]) -> None:
    assert unsupported(answer, FOUND) == wrong


async def ran(settings: Settings, folder: Path, *replies: Any, **more: Any) -> tuple[dict[str, Any], str]:
    """The run of an agent that cites, and its text."""
    async with factory(settings, Notes()) as client:
        await deployed(client, script(folder, list(replies)), cites=True, **more)
        result = await client.call_tool("run_agent", {"name": "tides", "task": "When does the tide turn?"})
    assert isinstance(result.content[0], t.TextContent)
    return result.structured_content or {}, result.content[0].text


@pytest.mark.anyio
async def test_an_answer_borne_out_by_what_was_found_is_left_alone(
    settings: Settings, tmp_path: Path
) -> None:
    run, _ = await ran(settings, tmp_path, *SCRIPT)
    assert (run["state"], run["answer"], run["unsupported"]) == ("done", SCRIPT[1], [])


@pytest.mark.anyio
async def test_an_invented_source_goes_back_to_the_model_once_and_is_mended(
    settings: Settings, tmp_path: Path
) -> None:
    run, _ = await ran(settings, tmp_path, CALL, "At six [moon.md:9].", SCRIPT[1])
    assert (run["state"], run["answer"], run["unsupported"]) == ("done", SCRIPT[1], [])
    assert run["usage"]["requests"] == 3


@pytest.mark.anyio
async def test_the_model_may_search_for_the_source_it_lacks(settings: Settings, tmp_path: Path) -> None:
    run, _ = await ran(settings, tmp_path, "At six [tides.md:1].", *SCRIPT)
    assert (run["answer"], run["unsupported"], len(run["tools"])) == (SCRIPT[1], [], 1)


@pytest.mark.anyio
async def test_an_invented_source_that_stays_is_named_with_the_answer(
    settings: Settings, tmp_path: Path
) -> None:
    run, text = await ran(settings, tmp_path, CALL, "At six [moon.md:9].", "At six [moon.md:9][tides.md:1].")
    assert (run["state"], run["unsupported"]) == ("done", ["moon.md:9"])
    assert "Not borne out by what it found: moon.md:9." in text


@pytest.mark.anyio
async def test_what_the_model_is_told_names_the_source(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, cites=True)
        run = await call(client, "run_agent", name="tides", task="When?")
        await call(client, "continue_run", run=run["run"], reply=json.dumps(CALL))
        run = await call(client, "continue_run", run=run["run"], reply="At six [moon.md:9].")
        told = run["messages"][-1]["text"]
        assert "It cites what no tool result of this run contains: [moon.md:9]." in told
        assert [message["role"] for message in run["messages"]].count("user") == 3
        done = await call(client, "continue_run", run=run["run"], reply=SCRIPT[1])
    assert (done["state"], done["unsupported"]) == ("done", [])


@pytest.mark.anyio
async def test_what_was_found_to_be_unsupported_outlasts_a_restart(settings: Settings) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, cites=True)
        run = await call(client, "run_agent", name="tides", task="When?")
        await call(client, "continue_run", run=run["run"], reply=json.dumps(CALL))
        asked = await call(client, "continue_run", run=run["run"], reply="At six [moon.md:9].")
    peers = Notes()
    async with factory(settings, peers) as client:
        found = await call(client, "get_run", run=run["run"], wait_s=30)
        assert found["messages"] == asked["messages"]
        done = await call(client, "continue_run", run=run["run"], reply="At six [moon.md:9].")
    assert (done["state"], done["unsupported"], peers.calls) == ("done", ["moon.md:9"], [])


@pytest.mark.anyio
async def test_an_agent_that_need_not_cite_is_not_asked_to(settings: Settings, tmp_path: Path) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, script(tmp_path, ["At six [moon.md:9]."]))
        run = await call(client, "run_agent", name="tides", task="When?")
    assert (run["state"], run["unsupported"], run["usage"]["requests"]) == ("done", [], 1)


@pytest.mark.anyio
async def test_the_vote_of_several_chains_is_looked_at_too(settings: Settings, tmp_path: Path) -> None:
    chains = [CALL, *["Six [moon.md:9]\nAnswer: 6"] * 5, "Six [tides.md:1]\nAnswer: 6"]
    run, _ = await ran(settings, tmp_path, *chains, strategy="self_consistency")
    assert (run["answer"], run["unsupported"]) == ("Six [tides.md:1]\nAnswer: 6", [])
