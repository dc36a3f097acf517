"""The demo's documents and the questions that go with them: the answers are there, and are found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pygent_rag.library import Library, open_library
from pygent_rag.place import places
from pygent_rag.resources import section
from pygent_rag.uris import section_uri
from pygent_shared.settings import Settings
from pygent_shared.shipped import shipped

CORPUS = shipped("demo")
QUESTIONS = json.loads(shipped("demo-questions.json").read_text(encoding="utf-8"))
MODEL = pytest.mark.skipif(
    find_spec("sentence_transformers") is None, reason="needs pip install 'pygent-factory[embeddings]'"
)


@pytest.fixture(scope="module", params=["none", pytest.param("auto", marks=MODEL)])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """The demo's documents, read in; searched by words alone, and by meaning too."""
    settings = replace(Settings(data_dir=tmp_path_factory.mktemp("data")), embedder=request.param)
    opened = open_library(settings)
    reports = list(opened.ingest("default", str(CORPUS), lambda done, total, path: None))
    assert {report.outcome for report in reports} <= {"added", "skipped"}
    yield opened
    opened.close()


def quotes(library: Library, question: str) -> list[tuple[str, str]]:
    found = library.search(question, "", limit=5, max_tokens=2000, wait_s=120)
    return [
        (Path(quote.citation.partition(":")[0]).name, quote.text)
        for quote in library.extract(question, found)
    ]


@pytest.mark.parametrize("asked", QUESTIONS["single"], ids=lambda asked: asked["file"])
def test_a_question_is_answered_from_the_right_document(library: Library, asked: Any) -> None:
    file, text = quotes(library, asked["question"])[0]
    assert file == asked["file"]
    assert all(words in text for words in asked["answer_contains"])


def test_a_question_of_two_parts_is_answered_from_two_documents(library: Library) -> None:
    asked = QUESTIONS["two_notes"]
    found = quotes(library, asked["question"])
    assert {file for file, _ in found} == set(asked["files"])
    whole = " ".join(text for _, text in found)
    assert all(words in whole for words in asked["answer_contains"])


def test_a_question_that_shares_no_word_with_its_answer_needs_meaning(library: Library) -> None:
    asked = QUESTIONS["semantic"]
    found = library.search(asked["question"], "", limit=1, max_tokens=2000, wait_s=120)
    if found.retrieval == "lexical":
        assert not found.passages
    else:
        passage, ranked = found.passages[0]
        assert Path(passage.path).name == asked["file"]
        assert ranked.found_by == ("semantic",)


GOLDEN = [*QUESTIONS["single"], *QUESTIONS["golden"]]


def test_there_are_twenty_golden_questions() -> None:
    assert len({asked["question"] for asked in GOLDEN}) == 20


@pytest.mark.parametrize("asked", GOLDEN, ids=lambda asked: asked["answer_contains"][0])
def test_every_citation_given_as_the_answer_opens_at_text_that_contains_it(
    library: Library, asked: Any
) -> None:
    """Given as the answer is what `ask` quotes: there is a quote, each one of them holds the answer, and so
    does what `read` opens at its citation. What only `search` finds is offered and not claimed; of that, one
    hit at least holds the answer, and where each citation opens is the next test's."""
    found = library.search(asked["question"], "", limit=5, max_tokens=2000, wait_s=120)
    quotes = library.extract(asked["question"], found)
    assert quotes
    for quote in quotes:
        assert holds(asked, quote.text)
        assert holds(asked, opened(library, quote.citation))
    assert any(holds(asked, opened(library, passage.citation)) for passage, _ in found.passages)


@pytest.mark.parametrize("asked", GOLDEN, ids=lambda asked: asked["answer_contains"][0])
def test_every_citation_opens_exactly_at_the_text_shown_for_it(library: Library, asked: Any) -> None:
    """Of every hit and quote, `read` opens its citation at a text with all that was shown in it, and in the
    file itself, where it is plain text, what was shown begins on the very line that is cited. A hit's link
    reads a section with its text."""
    found = library.search(asked["question"], "", limit=5, max_tokens=2000, wait_s=120)
    for passage, _ in found.passages:
        (whole, *_) = filter(None, (section(library.store, place) for place in places(section_uri(passage))))
        assert passage.text in whole
    quoted = [(quote.citation, quote.text) for quote in library.extract(asked["question"], found)]
    shown = [(passage.citation, passage.text) for passage, _ in found.passages]
    assert len(shown) == 5
    for citation, text in [*shown, *quoted]:
        assert text in opened(library, citation)
        if not (place := places(citation)[-1]).path.endswith(".html"):
            lines = Path(place.path).read_text(encoding="utf-8").splitlines(keepends=True)
            there = "".join(lines[place.first - 1 :])
            assert 0 <= there.index(text) < len(lines[place.first - 1])
            cited = "".join(lines[place.first - 1 : place.last])
            assert place.first == place.last or text in cited


def test_the_first_hit_holds_the_answer_to_most_golden_questions(library: Library) -> None:
    hits = [library.search(asked["question"], "", limit=1, max_tokens=2000, wait_s=120) for asked in GOLDEN]
    held = [holds(asked, found.passages[0][0].text) for asked, found in zip(GOLDEN, hits, strict=True)]
    assert sum(held) >= 17


def opened(library: Library, citation: str) -> str:
    """What the tool `read` gives of a citation."""
    return library.read(citation, 500, section=False)[0].text


def holds(asked: Any, text: str) -> bool:
    """Whether a text contains the answer."""
    return all(words in " ".join(text.split()) for words in asked["answer_contains"])


def test_what_no_document_answers_is_not_answered(library: Library) -> None:
    assert quotes(library, "What is the capital of Peru?") == []
