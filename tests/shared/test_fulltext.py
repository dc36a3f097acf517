from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pygent_shared.fulltext import (
    MOST_TERMS,
    STOP_WORDS,
    any_of,
    match_query,
    name_parts,
    terms,
    terms_and_parts,
)

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.fixture(scope="module")
def rows() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE VIRTUAL TABLE rows USING fts5(text)")
    connection.execute("INSERT INTO rows VALUES ('the quick brown fox'), ('a lazy dog and a quick cat')")
    yield connection
    connection.close()


def found(rows: apsw.Connection, question: str) -> list[int]:
    if not (match := match_query(question)):
        return []
    ranked = "SELECT rowid FROM rows WHERE rows MATCH ? ORDER BY bm25(rows), rowid"
    return [int(str(rowid)) for (rowid,) in rows.execute(ranked, (match,))]


@given(ANY_TEXT)
@example('"')
@example("NEAR(a b) AND text:fox* ^x OR NOT -y")
@example("_ __ \u0660 ª ﬁ 𝟙 İ \0 \ud800")
def test_any_text_whatever_is_a_query_that_fts5_accepts(rows: apsw.Connection, text: str) -> None:
    found(rows, text)
    if match := any_of(terms_and_parts(text)):
        rows.execute("SELECT rowid FROM rows WHERE rows MATCH ?", (match,)).fetchall()


@given(ANY_TEXT, ANY_TEXT)
def test_a_row_is_found_by_any_one_of_its_words_whatever_else_is_asked(
    rows: apsw.Connection, before: str, after: str
) -> None:
    assert 1 in found(rows, f"{before} FOX {after}")


def test_a_row_that_answers_more_words_ranks_higher(rows: apsw.Connection) -> None:
    assert found(rows, "which lazy cat is quick?") == [2, 1]


def test_text_without_a_word_asks_nothing() -> None:
    assert match_query("") == match_query(" ?!… -- ") == ""


def test_stop_words_count_only_where_there_is_nothing_else() -> None:
    assert terms("What is the fox?") == ["fox"]
    assert terms("To be or not to be") == ["to", "be", "or", "not", "to", "be"]
    assert all(word == word.lower() for word in STOP_WORDS)


def test_a_repeated_term_weighs_twice(rows: apsw.Connection) -> None:
    score = "SELECT bm25(rows) FROM rows WHERE rows MATCH ?"
    ((once,),) = rows.execute(score, (match_query("fox"),))
    ((twice,),) = rows.execute(score, (match_query("fox fox"),))

    assert float(str(twice)) == pytest.approx(2 * float(str(once)))


def test_a_book_as_a_question_is_cut_to_what_fts5_can_bear(rows: apsw.Connection) -> None:
    book = "fox " + " ".join(f"word{number}" for number in range(300_000))

    assert match_query(book).count(" OR ") == MOST_TERMS - 1
    assert found(rows, book) == [1]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("getUserName()", "get User Name"),
        ("class HTTPServer", "HTTP Server"),
        ("BRCA1-dependent, IL6", "BRCA 1 IL 6"),
        ("the max_tokens", ""),
        ("a read_userName", "user Name"),
        ("Plain words in a Sentence of 1990.", ""),
        ("sha d41d8cd98f00b204e9800998ecf8427e", ""),
        ("Müller ŁódźStadt", ""),
    ],
)
def test_names_fall_into_the_parts_that_an_index_would_not_know(text: str, parts: str) -> None:
    assert name_parts(text) == parts


def test_a_question_asks_for_its_names_whole_and_in_parts() -> None:
    assert terms_and_parts("What is max_tokens?") == ["max_tokens", "max", "tokens"]
    assert terms_and_parts("isOpen of theFile") == ["isopen", "thefile", "open", "file"]
    assert terms_and_parts("to be or not") == ["to", "be", "or", "not"]


def test_pronouns_are_stop_words() -> None:
    assert terms("Who praised him, his work and hers?") == ["praised", "work"]
