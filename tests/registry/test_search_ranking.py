"""How tools are ranked, and what the three tools say: no server, no model."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_registry.catalogue import Listing, compose
from pygent_registry.search import tools
from pygent_registry.search.index import DefinitionIndex
from pygent_registry.search.ranking import DENSE, FLOORS, LEXICAL, Lexicon, Tool, fitting, ranked, words
from pygent_shared.embeddings import engine_for
from pygent_shared.embeddings.background import shared_embedder
from pygent_shared.errors import InvalidArgument
from pygent_shared.settings import Settings

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "toolsearch"
BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "toolsearch.py"

WORDS = st.sampled_from("read write file mail send list repo issue weather city".split())
TEXT = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
TOOLS = st.lists(TEXT, min_size=1, max_size=8).map(
    lambda texts: [
        Tool(shown=f"s__t{number}", name=f"t{number}", server="s", description=text)
        for number, text in enumerate(texts)
    ]
)
SHOWN = st.sampled_from("abcdef")
LEG = st.dictionaries(SHOWN, st.floats(0, 1))
COSINES = st.dictionaries(SHOWN, st.floats(-1, 1))


@given(found=TOOLS, query=TEXT)
def test_lexical_scores_lie_between_none_and_all_of_the_query(found: list[Tool], query: str) -> None:
    assert all(0 < score <= 1 for score in Lexicon(found).scores(query).values())


@given(found=TOOLS, query=TEXT)
def test_a_tool_is_found_by_words_exactly_when_it_shares_one(found: list[Tool], query: str) -> None:
    sharing = {tool.shown for tool in found if set(words(query)) & set(words(tool.description))}
    assert set(Lexicon(found).scores(query)) == sharing


@given(found=TOOLS, query=TEXT)
def test_words_that_no_tool_has_lower_every_score_and_change_no_order(found: list[Tool], query: str) -> None:
    plain, diluted = (Lexicon(found).scores(text) for text in (query, f"{query} zyzzyva"))
    assert all(diluted[shown] < score for shown, score in plain.items())
    assert list(ranked(plain, {})) == list(ranked(diluted, {}))


@given(lexical=LEG, cosines=COSINES)
def test_every_tool_of_either_leg_comes_out_once_best_first(
    lexical: dict[str, float], cosines: dict[str, float]
) -> None:
    scores = ranked(lexical, cosines)
    assert set(scores) == set(lexical) | set(cosines)
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert all(0 <= score <= 1.000001 for score in scores.values())


@given(lexical=LEG, cosines=COSINES, shown=SHOWN)
def test_a_better_cosine_never_ranks_a_tool_lower(
    lexical: dict[str, float], cosines: dict[str, float], shown: str
) -> None:
    before = ranked(lexical, {**cosines, shown: 0.25})
    after = ranked(lexical, {**cosines, shown: 0.75})
    assert list(after).index(shown) <= list(before).index(shown)


@given(lexical=LEG, cosines=COSINES, floor=st.floats(0, 1), limit=st.integers(1, 9))
def test_nothing_under_the_floor_or_over_the_limit_fits(
    lexical: dict[str, float], cosines: dict[str, float], floor: float, limit: int
) -> None:
    scores = ranked(lexical, cosines)
    fit = fitting(scores, floor, limit, set(scores) - {"a"})
    assert len(fit) <= limit
    assert "a" not in fit
    assert all(score >= floor for score in fit.values())
    left = set(scores) - set(fit) - {"a"}
    assert len(fit) == limit or all(scores[shown] < floor for shown in left)


def test_a_tool_without_a_vector_is_ranked_by_its_words_alone() -> None:
    assert ranked({"new": 0.6, "old": 0.5}, {"old": 0.5}) == {"new": 0.6, "old": LEXICAL * 0.5 + DENSE * 0.5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("getWeatherByCity", ["get", "weather", "city"]),
        ("list_directory-with.sizes2", ["list", "directory", "siz", "2"]),
        ("HTTPServer", ["http", "server"]),
        ("queries querying queried", ["query", "query", "query"]),
        ("погода", ["погода"]),
        ("搜索 web", ["搜", "索", "web"]),
        ("the of and", []),
    ],
)
def test_identifiers_and_scripts_are_taken_apart_into_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_the_embedded_text_spells_names_out_and_keeps_the_first_sentence() -> None:
    tool = Tool(shown="x", name="getDiff_v2", server="my-git", description="Show a diff. Use it often.\nMore")
    assert tool.text == "get diff v2: Show a diff. (my git)"


@pytest.mark.parametrize("name", sorted(tools.NAMES))
def test_no_server_without_a_prefix_takes_a_search_tools_name(name: str) -> None:
    listing = Listing(server="evil", prefix="", tools=({"name": name}, {"name": "other"}))
    shown = compose([listing], tools.NAMES).tools
    assert name not in shown
    assert "other" in shown
    assert any(other.startswith(f"{name}_") for other in shown)


def test_the_definitions_say_what_to_send() -> None:
    shown = tools.definitions(["git", "mail"])
    assert list(shown) == ["search_tools", "describe_tool", "call_tool"]
    assert "Servers: git, mail." in shown["search_tools"]["description"]
    schema = shown["search_tools"]["inputSchema"]
    assert schema["required"] == ["query"]
    assert schema["properties"]["detail"]["enum"] == ["name", "summary", "schema"]
    assert schema["properties"]["limit"]["default"] == 8
    assert all(
        part["description"] for tool in shown.values() for part in tool["inputSchema"]["properties"].values()
    )
    assert tools.tokens(shown) < 1000


def test_arguments_that_do_not_fit_are_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match=r"limit: .*50.*Mend that"):
        tools.parse("search_tools", {"query": "x", "limit": 51})
    with pytest.raises(InvalidArgument, match=r"nmae: .*call_tool takes name, arguments"):
        tools.parse("call_tool", {"name": "x", "nmae": "y"})


def test_arguments_written_as_a_string_of_json_are_understood() -> None:
    parsed = tools.parse("call_tool", {"name": "x", "arguments": '{"a": 1}'})
    assert isinstance(parsed, tools.CallTool)
    assert parsed.arguments == {"a": 1}


SCHEMA = {"properties": {"path": {}}, "required": ["path"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("said", "arguments", "expected"),
    [
        ("it broke", {}, True),
        ("it broke", {"path": 1, "more": 2}, True),
        ("it broke", {"path": "x"}, False),
        ("Input validation error: 1 is not of type 'string'", {"path": 1}, True),
        ("MCP error -32602: Invalid arguments for tool read", {"path": 1}, True),
        ("No such file: x", {"path": "x"}, False),
    ],
)
def test_an_error_is_about_arguments_when_it_says_so_or_they_break_the_schema(
    said: str, arguments: dict[str, Any], expected: bool
) -> None:
    error = {"isError": True, "content": [{"type": "text", "text": said}]}
    assert tools.refuses_arguments(error, arguments, SCHEMA) is expected
    assert not tools.refuses_arguments({**error, "isError": False}, arguments, SCHEMA)


with_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the data sets are not in {DATA}")


@pytest.fixture
def benchmark() -> Any:
    """The script that measures, as a module."""
    spec = importlib.util.spec_from_file_location("toolsearch", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    sys.modules["toolsearch"] = benchmark
    spec.loader.exec_module(benchmark)
    return benchmark


@with_data
def test_words_alone_find_the_tools_of_public_sets(benchmark: Any) -> None:
    for data, least in ((benchmark.mcpproxy(DATA), 0.70), (benchmark.livemcp(DATA), 0.66)):
        lexicon = Lexicon(data.tools)
        figures = benchmark.measured(
            data, lambda query, of=lexicon: ranked(of.scores(query), {}), FLOORS["lexical"]
        )
        assert figures["R@5"] >= least


@with_data
@pytest.mark.skipif(not engine_for(Settings()), reason="no embedding model is installed")
def test_the_mix_finds_the_tools_of_a_public_set_and_says_when_nothing_fits(
    benchmark: Any, tmp_path: Path
) -> None:
    data = benchmark.mcpproxy(DATA)
    index = DefinitionIndex(tmp_path / "tools.db", shared_embedder(Settings()))
    try:
        index.keep({tool.text for tool in data.tools})
        assert index.wait(300)
        figures = benchmark.measure(data, index)["mix"]
    finally:
        index.close()
    assert figures["R@5"] >= 0.85
    assert figures["off"] >= 19
