"""From a person's question to an FTS5 query.

The one rule: nothing a person types can be FTS5 syntax. Every term is quoted.
"""

from __future__ import annotations

import re

MOST_TERMS = 1000

_WORD = re.compile(r"\w+", re.UNICODE)

STOP_WORDS = frozenset(
    word
    for line in (
        "a about after all also an and any are as at be because been before but by can could did do does for",
        "from had has have how i if in into is it its just me my no not of on or our out over she he should",
        "so some than that the their them then there these they this those to too us was we were what when",
        "where which while who whom whose why will with would you your",
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


def match_query(question: str) -> str:
    """An FTS5 MATCH expression that finds rows with any of the question's terms; "" when it has none.

    Of a longer question the first MOST_TERMS count: FTS5's time grows with the square of their number.
    Terms are not de-duplicated: FTS5's bm25() counts `"x" OR "x"` twice, which is BM25's own weight for a
    term that the question repeats (Robertson and Zaragoza 2009, the query-term-frequency factor).
    """
    return " OR ".join(f'"{term}"' for term in terms(question)[:MOST_TERMS])
