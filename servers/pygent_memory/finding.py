"""The search legs: which passages of a space share words with a question, and which lie near it.

A leg looks at the shelf of what holds now, and at that of the past only where a filter looks back. What ended
or expired by the mere passing of time is left out by `places`, which both legs go through.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from functools import partial
from itertools import islice
from typing import Any, cast

import apsw

from pygent_memory.filters import HOLDS, UNEXPIRED, Filter, condition
from pygent_memory.memory import Memory
from pygent_memory.owners import Owners
from pygent_memory.recall import Place
from pygent_memory.rows import COLUMNS, Keys, marks, memory
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
        self._keys = Keys(database)
        self._owners = Owners(database)
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
        look = partial(self._scored, shelves=shelves, wanted=wanted, limit=limit)
        if (total := self._owners.last()) <= FEW:  # about how many there are in all spaces
            return look(any_of([Word(term=term) for term in asked]))
        words = counted(asked, partial(self._passages_with, total))
        best = None if condition(wanted)[0] else self._best(words, total, shelves, limit)
        if best is None:
            best = found(words, total, look)
        return dict(islice(best.items(), limit))

    def _best(
        self, words: Sequence[Word], total: int, shelves: Sequence[int], limit: int
    ) -> dict[int, float] | None:
        """The best of all spaces, and of these the ones on the shelves; None where too few are there. Where
        most are, that is faster than to ask of each passage that matches where it stands."""
        if tuple(shelves) in self._crowded:
            return None
        most = limit + limit // 10
        best = dict(islice(found(words, total, partial(self._first, limit=most)).items(), most))
        if self._is_all_on(shelves):
            return best
        there = self._those_on(shelves, best)
        if len(there) * most >= len(best) * limit:
            return {passage: score for passage, score in best.items() if passage in there}
        if len(best) == most:
            self._crowded.add(tuple(shelves))
        return None

    def _first(self, match: str, *, limit: int) -> dict[int, float]:
        """The best of all spaces."""
        rows = self._database.query(
            f"SELECT rowid, {_SCORE} AS score FROM passage_words WHERE passage_words MATCH ? "
            "ORDER BY score DESC, rowid LIMIT ?",
            (match, limit),
        )
        return dict(cast("list[tuple[int, float]]", rows))

    def _is_all_on(self, shelves: Sequence[int]) -> bool:
        """Whether no passage stands on any other shelf; those of a space have numbers side by side."""
        ((first, last),) = self._database.query(
            "SELECT (SELECT min(shelf) FROM passage), (SELECT max(shelf) FROM passage)"
        )
        return first in shelves and last in shelves

    def _those_on(self, shelves: Sequence[int], passages: Collection[int]) -> set[int]:
        rows = self._database.query(
            "SELECT id FROM passage INDEXED BY passage_of_shelf "
            f"WHERE shelf IN ({marks(shelves)}) AND id IN (SELECT value FROM json_each(?))",
            (*shelves, json.dumps(list(passages))),
        )
        return {cast(int, id) for (id,) in rows}

    def _scored(self, match: str, *, shelves: Sequence[int], wanted: Filter, limit: int) -> dict[int, float]:
        asked, bindings = condition(wanted)
        # Read from the index alone, which is small: the passages themselves are a hundred times as large.
        is_wanted = (
            "EXISTS (SELECT 1 FROM passage AS p INDEXED BY passage_of_shelf "
            f"WHERE p.id = f.rowid AND p.shelf IN ({marks(shelves)}))"
        )
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

    def _passages_with(self, total: int, terms: Collection[str]) -> dict[str, int]:
        """About how many passages have a term, by the words that the index makes of it. Counting those of a
        common one takes a while, so they are counted again when there are many more of all."""
        counts = {term: count for term in terms if (count := self._remembered(term, total))}
        index: Any = self._database.read().fts5_tokenizer("porter", ["unicode61", "remove_diacritics", "2"])
        stems = {
            term: {str(stem) for _, _, stem in index(term.encode(), apsw.FTS5_TOKENIZE_QUERY, None)}
            for term in terms
            if term not in counts
        }
        every = list(set[str]().union(*stems.values()))
        rows = self._database.query(
            f"SELECT term, doc FROM passage_term WHERE term IN ({marks(every)})", every
        )
        with_stem = dict(cast("list[tuple[str, int]]", rows))
        for term, some in stems.items():
            counts[term] = min((with_stem.get(stem, 0) for stem in some), default=0)
            if counts[term] >= COMMON:
                self._common[term] = counts[term], total
        return counts

    def _remembered(self, term: str, total: int) -> int:
        count, then = self._common.get(term, (0, 0))
        return count if total <= 1.2 * then else 0

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
        keys = self._owners.of(passages)
        rows = self._database.query(
            # The plus keeps SQLite from going through all of the space.
            f"SELECT m.key, {_PLACE} FROM memory AS m WHERE m.key IN (SELECT value FROM json_each(?)) "
            f"AND +m.space = ? AND m.forgotten_at IS NULL AND {holds}",
            (json.dumps(list(set(keys.values()))), self._keys.of(space), *times),
        )
        of = {row[0]: row[1:] for row in cast("list[tuple[Any, ...]]", rows)}
        return {passage: Place(passage, *of[key]) for passage, key in keys.items() if key in of}

    def spans(self, passages: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Where in the texts of their memories these passages begin and end; without those that are gone."""
        rows = self._database.query(
            f"SELECT id, start, stop FROM passage WHERE id IN ({marks(passages)})", passages
        )
        return {id: (start, stop) for id, start, stop in cast("list[tuple[int, int, int]]", rows)}

    def _shelves(self, space: str, wanted: Filter) -> list[int]:
        """The shelves to look at; none where there is no such space."""
        if (key := self._keys.of(space)) is None:
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

_PLACE = """
    m.id, m.importance, m.pinned, m.date, m.speaker,
    ifnull((SELECT name FROM entity WHERE id = m.entity), ''), ifnull(m.conversation, 0), ifnull(m.turn, 0)
"""
"""What `Place` reads of a passage's memory `m`."""
