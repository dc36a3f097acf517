"""Sentences and chunks: whatever the text, a chunk is a stretch of it, and nothing is lost."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_rag.chunking import BUDGET, WINDOW, chunk
from pygent_rag.document import Document
from pygent_rag.parsers import markdown, python, text
from pygent_rag.sentences import spans, tokens

WORDS = st.sampled_from(
    ["tide", "Gauge", "3.5", "e.g.", "wet?", "end.", "x" * 300, "码头。", "a|b", "_x_", "Dr."]
)
LINES = st.one_of(
    st.lists(WORDS, min_size=1, max_size=40).map(" ".join),
    st.sampled_from(
        ["", "# One", "## Two", "### Three", "Title\n=====", "- item", "| a | b |", "```", "---"]
    ),
)
MARKDOWN = st.lists(LINES, max_size=40).map("\n".join)


def read(source: str) -> Document:
    return markdown.parse(Path("note.md"), source.encode())


def stretches(document: Document) -> list[str]:
    return [document.text[piece.start : piece.end] for piece in chunk(document)]


@given(MARKDOWN)
def test_every_word_is_in_a_chunk_or_in_its_headings(source: str) -> None:
    document = read(source)
    covered = set()
    for piece in chunk(document):
        covered.update(range(piece.start, piece.end))
    for block in document.blocks:
        outside = [at for at in range(block.start, block.end) if at not in covered]
        lost = "".join(document.text[at] for at in outside).strip()
        if lost:
            assert block.kind == "heading"
            assert any(piece.heading[: len(block.heading)] == block.heading for piece in chunk(document))


@given(MARKDOWN)
def test_a_chunk_says_the_lines_it_stands_on(source: str) -> None:
    document = read(source)
    lines = document.text.split("\n")
    for piece in chunk(document):
        stretch = document.text[piece.start : piece.end]
        assert stretch == stretch.rstrip() != ""
        assert stretch in "\n".join(lines[piece.first - 1 : piece.last])


@given(MARKDOWN)
def test_no_chunk_crosses_a_heading(source: str) -> None:
    document = read(source)
    headings = [block for block in document.blocks if block.kind == "heading"]
    for piece in chunk(document):
        for heading in headings:
            inside = piece.start < heading.end and heading.start < piece.end
            # One too long to be a path is kept as text, at the head of what stands under it.
            assert not inside or heading.start <= piece.start


@given(MARKDOWN)
def test_chunks_keep_to_the_size_the_model_can_read(source: str) -> None:
    assert all(tokens(stretch) <= WINDOW for stretch in stretches(read(source)))


@given(st.text(max_size=3000))
def test_sentences_are_in_order_and_hold_every_word(source: str) -> None:
    found = list(spans(source))
    assert found == sorted(found)
    assert "".join("".join(source[a:b] for a, b in found).split()) == "".join(source.split())


@pytest.mark.parametrize(
    ("source", "sentences"),
    [
        ("It rose. It fell.", ["It rose.", "It fell."]),
        ("It rose by 3.5 m. “It fell!” Nobody knew.", ["It rose by 3.5 m.", "“It fell!”", "Nobody knew."]),
        ("Ask Dr. Holt, e.g. by mail.", ["Ask Dr. Holt, e.g. by mail."]),
        ("It rose\nin the night. it said", ["It rose\nin the night. it said"]),
        ("Two:\n- one thing\n- another", ["Two:", "- one thing", "- another"]),
        ("1. Read the staff.\n2. Write it down.", ["1. Read the staff.", "2. Write it down."]),
        ("No stop\n\nand a new paragraph", ["No stop", "and a new paragraph"]),
        ("潮が来る。水が引く。", ["潮が来る。", "水が引く。"]),
    ],
)
def test_sentences_end_where_a_reader_would_say(source: str, sentences: list[str]) -> None:
    assert [source[start:end] for start, end in spans(source)] == sentences


def test_prose_is_packed_to_the_budget_with_one_sentence_of_overlap() -> None:
    sentences = [f"Sentence {number} tells of the tide at the quay in the morning." for number in range(40)]
    found = stretches(read(" ".join(sentences)))
    assert all(BUDGET / 2 < tokens(stretch) <= BUDGET for stretch in found[:-1])
    for before, after in pairwise(found):
        last = before.rpartition("Sentence ")
        assert after.startswith(last[1] + last[2])


def test_a_table_that_fits_stays_whole_and_a_long_one_is_cut_between_rows() -> None:
    row = "| OS{} | Gull Rock by the outer beacon | radar | solar |"
    short = "\n".join(row.format(number) for number in range(10))
    assert stretches(read(f"# Stations\n\nAbout them.\n\n{short}\n\nAnd so on.\n")).count(short) == 1
    long = [row.format(number) for number in range(60)]
    cut = stretches(read("\n".join(long)))
    assert len(cut) > 1
    assert [line for stretch in cut for line in stretch.split("\n")] == long


def test_a_heading_without_text_is_a_chunk_of_its_own_and_others_are_in_the_path() -> None:
    document = read("# Guide\n\n## Empty\n\n## Full\n\nWords.\n")
    found = [(document.text[piece.start : piece.end], piece.heading) for piece in chunk(document)]
    assert found == [("## Empty", ("Guide", "Empty")), ("Words.", ("Guide", "Full"))]


def test_a_heading_too_long_for_the_path_is_in_a_chunk_as_a_whole() -> None:
    title = "tide " * 100
    document = read(f"# {title}\n\nWords.\n")
    (piece,) = chunk(document)
    assert title.strip() in document.text[piece.start : piece.end]
    assert len(piece.heading[0]) <= 200


def test_a_long_text_without_full_stops_is_cut_at_lines_then_words() -> None:
    lines = [f"value {number} of the long series without any stop" for number in range(100)]
    by_lines = stretches(text.parse(Path("log.txt"), "\n".join(lines).encode()))
    assert len(by_lines) > 1
    assert all(line in lines for stretch in by_lines for line in stretch.split("\n"))
    words = ["word"] * 2000
    by_words = stretches(text.parse(Path("log.txt"), " ".join(words).encode()))
    assert " ".join(by_words).split() == words


def test_a_definition_is_a_chunk_under_its_name() -> None:
    source = (
        "import os\n\n\nclass Gauge:\n    depth = 1\n\n"
        "    # How deep.\n    def read(self):\n        return self.depth\n"
    )
    document = python.parse(Path("gauge.py"), source.encode())
    found = {piece.heading: document.text[piece.start : piece.end] for piece in chunk(document)}
    assert found[()] == "import os"
    assert found[("Gauge",)] == "class Gauge:\n    depth = 1"
    assert found[("Gauge", "read")] == "    # How deep.\n    def read(self):\n        return self.depth"
