"""From a person's question to an FTS5 query.

The one rule: nothing a person types can be FTS5 syntax. Every term is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

MOST_TERMS = 1000

MOST_PARTS = 8
"""What falls into more is no name: a checksum, or encoded bytes."""

LONGEST_NAME = 64

_WORD = re.compile(r"\w+", re.UNICODE)
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")

STOP_WORDS = frozenset(
    word
    for line in (
        "a about after all also am an and any are as at be because been before being but by can could did do",
        "does doing for from had has have having he her hers herself him himself his how i if in into is it",
        "its itself just me more my myself no not of on or our ours ourselves out over she should so some",
        "than that the their theirs them themselves then there these they this those to too us was we were",
        "what when where which while who whom whose why will with would you your yours yourself yourselves",
    )
    for word in line.split()
)


def terms(text: str) -> list[str]:
    """The words of `text`, lower-cased, stop words left out unless nothing else remains; repeats are kept."""
    every = words(text)
    return [word for word in every if word not in STOP_WORDS] or every


def words(text: str) -> list[str]:
    """All words of `text`, lower-cased."""
    return [word.lower() for word in _WORD.findall(text)]


def name_parts(text: str) -> str:
    """The parts of the names in `text` that a full-text index keeps whole: of getUserName, get User Name; of
    BRCA1, BRCA 1. Those of max_tokens are words to it anyway."""
    return " ".join(part for word in _WORD.findall(text) for part in _inner(word))


def terms_and_parts(text: str) -> list[str]:
    """The terms of `text`, and after them the parts of the names among them, for an index with those."""
    asked = _WORD.findall(text)
    joined = [part for word in asked if "_" in word for part in word.split("_") if part]
    inner = [part for word in asked for part in _inner(word)]
    parts = [part.lower() for part in [*joined, *inner]]
    return [*terms(text), *(part for part in parts if part not in STOP_WORDS)]


def any_of(asked: Iterable[str]) -> str:
    """An FTS5 MATCH expression that finds rows with any of these terms; "" when there are none."""
    return " OR ".join(f'"{term}"' for term in asked)


def match_query(question: str) -> str:
    """An FTS5 MATCH expression that finds rows with any of the question's terms; "" when it has none.

    Of a longer question the first MOST_TERMS count: FTS5's time grows with the square of their number.
    Terms are not de-duplicated: FTS5's bm25() counts `"x" OR "x"` twice, which is BM25's own weight for a
    term that the question repeats (Robertson and Zaragoza 2009, the query-term-frequency factor).
    """
    return any_of(terms(question)[:MOST_TERMS])


def _inner(word: str) -> Iterator[str]:
    """The parts that a change of case, or from letters to digits, shows in a word."""
    if len(word) > LONGEST_NAME or not word.isascii():
        return
    for piece in word.split("_"):
        if 1 < len(parts := _PART.findall(piece)) <= MOST_PARTS:
            yield from parts
