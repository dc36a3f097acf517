"""The search legs: which passages of a space share words with a question, and which lie near it.

A leg looks at the shelf of what holds now, and at that of the past only where a filter looks back. What ended
or expired by the mere passing of time is left out by `places`, which both legs go through.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, cast

import apsw

from pygent_memory.filters import HOLDS, UNEXPIRED, Filter, condition
from pygent_memory.memory import Memory
from pygent_memory.recall import Place
from pygent_memory.rows import COLUMNS, key_of, marks, memory
from pygent_memory.schema import PASSAGES, shelf
from pygent_memory.words import Word, any_of, counted, found
from pygent_shared import segments
from pygent_shared.database import Database
from pygent_shared.embeddings import Vector
from pygent_shared.fulltext import MOST_TERMS, terms
from pygent_shared.vectors import MEMORY, VectorStore
from pygent_shared.vectors.mirror import open_vectors

CONTEXT = 0.4
"""What a word in a neighbouring turn weighs beside one in the passage itself."""

FEW = 20_000
"""Passages up to which any question is looked up as it is."""

COMMON = 500
"""Passages from which on the count of those with a word is kept."""


class Finder:
    """Searches the passages in a database.

    Args:
        database: with the tables of `schema.MIGRATIONS`.
        index: what finds the nearest vectors; a key of `pygent_shared.vectors.INDEXES`.

    Raises (every method): DatabaseUnusable.
    """

    def __init__(self, database: Database, index: str = MEMORY) -> None:
        self._database = database
        self._vectors = open_vectors(database, PASSAGES, index)
        self._common: dict[str, tuple[int, int]] = {}
        self._crowded: set[tuple[int, ...]] = set()

    @property
    def vectors(self) -> VectorStore:
        """The vectors of the passages, for whoever computes them."""
        return self._vectors

    def matching(self, space: str, query: str, wanted: Filter, limit: int) -> dict[int, float]:
        """The passages with any word of the query and their BM25 score, best first."""
        asked = _terms(query)
        if not asked or not (shelves := self._shelves(space, wanted)):
            return {}
        if (total := self._total()) <= FEW:
            return self._scored(any_of([Word(term=term) for term in asked]), shelves, wanted, limit)
        look = partial(self._first_scored, shelves=tuple(shelves), wanted=wanted, limit=limit)
        words = counted(asked, self._passages_with(total))
        return dict(list(found(words, total, look).items())[:limit])

    def _first_scored(
        self, match: str, *, shelves: tuple[int, ...], wanted: Filter, limit: int
    ) -> dict[int, float]:
        """The same as `_scored`: of all spaces the best, and of these the ones on the shelves. Where most are
        there, that is faster than to ask of each passage that matches where it stands."""
        if condition(wanted)[0] or shelves in self._crowded:
            return self._scored(match, shelves, wanted, limit)
        most = limit + limit // 10
        rows = self._database.query(
            f"SELECT f.id, f.score, EXISTS ({_ON_SHELF.format('f.id', marks(shelves))}) "
            f"FROM (SELECT rowid AS id, {_SCORE} AS score FROM passage_words WHERE passage_words MATCH ? "
            "ORDER BY score DESC, rowid LIMIT ?) AS f ORDER BY f.score DESC, f.id",
            (*shelves, match, most),
        )
        scores = {id: score for id, score, is_there in cast("list[tuple[int, float, int]]", rows) if is_there}
        if len(rows) == most and len(scores) < limit:
            self._crowded.add(shelves)
            return self._scored(match, shelves, wanted, limit)
        return dict(list(scores.items())[:limit])

    def _scored(self, match: str, shelves: Sequence[int], wanted: Filter, limit: int) -> dict[int, float]:
        asked, bindings = condition(wanted)
        is_wanted = f"EXISTS ({_ON_SHELF.format('f.rowid', marks(shelves))})"
        if asked:
            is_wanted += (
                " AND EXISTS (SELECT 1 FROM passage AS p JOIN memory AS m ON m.key = p.memory "
                f"WHERE p.id = f.rowid {asked})"
            )
        rows = self._database.query(
            f"SELECT f.rowid, {_SCORE} AS score FROM passage_words AS f WHERE passage_words MATCH ? "
            f"AND {is_wanted} ORDER BY score DESC, f.rowid LIMIT ?",
            (match, *shelves, *bindings, limit),
        )
        return dict(cast("list[tuple[int, float]]", rows))

    def _total(self) -> int:
        """About how many passages there are in all spaces: the number of the last."""
        ((last,),) = self._database.query("SELECT ifnull(max(id), 0) FROM passage")
        return cast(int, last)

    def _passages_with(self, total: int) -> Callable[[str], int]:
        """What tells about how many passages have a term, by the words that the index makes of it. Counting
        those of a common one takes a while, so they are counted again when there are many more of all."""
        index = self._database.read().fts5_tokenizer("porter", ["unicode61", "remove_diacritics", "2"])

        def passages(term: str) -> int:
            count, then = self._common.get(term, (0, 0))
            if not then or total > 1.2 * then:
                count = counted_now(term)
                if count >= COMMON:
                    self._common[term] = count, total
            return count

        def counted_now(term: str) -> int:
            tokens: Any = index(term.encode(), apsw.FTS5_TOKENIZE_QUERY, None)
            stems = [str(stem) for _, _, stem in tokens]
            rows = self._database.query(f"SELECT doc FROM passage_term WHERE term IN ({marks(stems)})", stems)
            counts = [cast(int, count) for (count,) in rows]
            return min(counts) if stems and len(counts) == len(set(stems)) else 0

        return passages

    def sharing(self, space: str, words: Sequence[tuple[str, ...]], limit: int) -> list[Memory]:
        """Memories that hold now and of which a passage holds all the words of any of the tuples."""
        if not words or not (shelves := self._shelves(space, Filter())):
            return []
        match = " OR ".join("(" + " AND ".join(f'"{word}"' for word in some) + ")" for some in words)
        rows = self._database.query(
            f"SELECT {COLUMNS} FROM memory AS m WHERE m.key IN ("
            "SELECT p.memory FROM passage_words JOIN passage AS p ON p.id = passage_words.rowid "
            f"WHERE passage_words MATCH ? AND p.shelf IN ({marks(shelves)}) "
            "ORDER BY bm25(passage_words, 1.0, 0.0) LIMIT ?)",
            (f"text : ({match})", *shelves, limit),
        )
        return [memory(row) for row in rows]

    def nearest(
        self,
        space: str,
        model: str,
        query: Vector,
        wanted: Filter,
        limit: int,
    ) -> dict[int, float]:
        """The passages closest to `query` and their cosine, best first."""
        among = self._passages(space, wanted) if condition(wanted)[0] else None
        return self._vectors.nearest(model, query, self._shelves(space, wanted), limit, among)

    def cosines(
        self, space: str, model: str, query: Vector, wanted: Filter, passages: Collection[int]
    ) -> dict[int, float]:
        """The cosine of `query` with these passages, which something else has found."""
        if not passages:
            return {}
        return self._vectors.nearest(model, query, self._shelves(space, wanted), -1, passages)

    def pending(self, space: str, model: str) -> int:
        """How many passages that hold now have no vector of `model` yet."""
        shelves = self._shelves(space, Filter())
        return self._vectors.pending(model, shelves) if shelves else 0

    def places(self, space: str, passages: Sequence[int], wanted: Filter, now: str) -> dict[int, Place]:
        """Where these passages stand; without those that no longer hold, unless they are wanted."""
        holds, times = (UNEXPIRED, (now,)) if wanted.looks_back else (HOLDS, (now, now))
        rows = self._database.query(
            f"SELECT p.id, {_PLACE} FROM passage AS p JOIN memory AS m ON m.key = p.memory "
            f"WHERE p.space = ? AND p.id IN (SELECT value FROM json_each(?)) AND {holds}",
            (key_of(self._database, space), json.dumps(passages), *times),
        )
        return {cast(int, id): Place._make(row) for id, *row in cast("list[tuple[Any, ...]]", rows)}

    def _shelves(self, space: str, wanted: Filter) -> list[int]:
        """The shelves to look at; none where there is no such space."""
        if (key := key_of(self._database, space)) is None:
            return []
        return [shelf(key), shelf(key, past=True)] if wanted.looks_back else [shelf(key)]

    def _passages(self, space: str, wanted: Filter) -> set[int]:
        asked, bindings = condition(wanted)
        shelves = self._shelves(space, wanted)
        rows = self._database.query(
            "SELECT p.id FROM passage AS p JOIN memory AS m ON m.key = p.memory "
            f"WHERE p.shelf IN ({marks(shelves)}) {asked}",
            (*shelves, *bindings),
        )
        return {cast(int, id) for (id,) in rows}


def _terms(query: str) -> list[str]:
    """The words of a question as FTS5 takes them, repeats kept: a word asked for twice counts twice.

    Quoted, so that nothing a person types is FTS5 syntax.
    """
    some = terms(segments.asked(query))[:MOST_TERMS]
    return [f'"{word}"*' if segments.is_single(word) else f'"{word}"' for word in some]


_SCORE = f"-bm25(passage_words, 1.0, {CONTEXT})"

# Read from the index alone, which is small: the passages themselves are a hundred times as large.
_ON_SHELF = "SELECT 1 FROM passage AS p INDEXED BY passage_of_shelf WHERE p.id = {} AND p.shelf IN ({})"

_PLACE = """
    m.id, p.start, p.stop, m.importance, m.pinned, m.date, m.speaker,
    ifnull((SELECT name FROM entity WHERE id = m.entity), ''), ifnull(m.conversation, 0), ifnull(m.turn, 0)
"""
"""What `Place` reads, of a passage `p` and its memory `m`."""
