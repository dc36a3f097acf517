"""The search legs: which passages of a space share words with a question, and which lie near it.

A leg looks at the shelf of what holds now, and at that of the past only where a filter looks back. What ended
or expired by the mere passing of time is left out by `places`, which both legs go through.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple, cast

from pygent_memory.filters import HOLDS, UNEXPIRED, Filter, condition
from pygent_memory.owners import Owners
from pygent_memory.recall import Part, Place
from pygent_memory.rows import COLUMNS, Keys, marks, memory
from pygent_memory.schema import PASSAGES, shelf
from pygent_memory.wordindex import WordIndex
from pygent_shared import segments
from pygent_shared.database import Database
from pygent_shared.embeddings import Vector
from pygent_shared.fulltext import MOST_TERMS, terms
from pygent_shared.vectors import MEMORY, VectorStore
from pygent_shared.vectors.mirror import open_vectors

CONTEXT = 0.4
"""What a word in a neighbouring turn weighs beside one in the passage itself."""

FEW = 24
"""Passages that share words with a new memory up to which all are compared with it."""


class Sharing(NamedTuple):
    """A memory that shares words with another."""

    id: str
    text: str
    date: str


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
        self._words = WordIndex(database, (1.0, CONTEXT))

    @property
    def words(self) -> WordIndex:
        """The words of the passages, as they are kept in memory."""
        return self._words

    @property
    def vectors(self) -> VectorStore:
        """The vectors of the passages, for whoever computes them."""
        return self._vectors

    def among(self, space: str, wanted: Filter) -> set[int] | None:
        """The passages that a filter lets pass; None for all that are to be looked at."""
        asked, bindings = condition(wanted)
        if not asked:
            return None
        shelves = self._shelves(space, wanted)
        rows = self._database.query(
            "SELECT p.id FROM passage AS p JOIN memory AS m ON m.key = p.memory "
            f"WHERE p.shelf IN ({marks(shelves)}) {asked}",
            (*shelves, *bindings),
        )
        return {cast(int, id) for (id,) in rows}

    def matching(
        self, space: str, query: str, wanted: Filter, limit: int, among: Collection[int] | None = None
    ) -> dict[int, float]:
        """The passages with any word of the query and their BM25 score, best first.

        Args:
            among: what `among` gives for the filter, where it has been asked.
        """
        asked = _terms(query)
        if not asked or not (shelves := self._shelves(space, wanted)):
            return {}
        look = partial(self._scored, shelves=shelves, wanted=wanted)
        among = self.among(space, wanted) if among is None else among
        found = self._words.best(asked, shelves, limit, among, partial(look, limit=-1))
        return look(asked, limit=limit) if found is None else found

    def _scored(
        self, terms: Sequence[str], *, shelves: Sequence[int], wanted: Filter, limit: int
    ) -> dict[int, float]:
        """By the full-text index in the database; a negative `limit` is none."""
        asked, bindings = condition(wanted)
        is_wanted = _on(shelves)
        if asked:
            is_wanted += (
                " AND EXISTS (SELECT 1 FROM passage AS p JOIN memory AS m ON m.key = p.memory "
                f"WHERE p.id = f.rowid {asked})"
            )
        rows = self._database.query(
            f"SELECT f.rowid, {_SCORE} AS score FROM passage_words AS f WHERE passage_words MATCH ? "
            f"AND {is_wanted} ORDER BY score DESC, f.rowid LIMIT ?",
            (" OR ".join(terms), *shelves, *bindings, limit),
        )
        return dict(cast("list[tuple[int, float]]", rows))

    def sharing(self, space: str, words: Sequence[tuple[str, ...]]) -> list[Sharing]:
        """Memories that hold now and of which a passage holds all the words of any of the tuples; where there
        are many, some of them, and first of those that hold two tuples.

        They are not ranked: FTS5 would count all passages that hold any of the words.
        """
        if not words or not (shelves := self._shelves(space, Filter())):
            return []
        every = ["(" + " AND ".join(f'"{word}"' for word in some) + ")" for some in words]
        found = self._some(every, shelves)
        if len(found) > FEW:
            both = [f"({one} AND {other})" for one, other in combinations(every, 2)]
            found = [*self._some(both, shelves), *found] if both else found
        rows = self._database.query(
            "SELECT m.id, m.text, m.date FROM memory AS m WHERE m.key IN (SELECT memory FROM passage "
            "WHERE id IN (SELECT value FROM json_each(?)))",
            (json.dumps(found[: FEW + 1]),),
        )
        return [Sharing(*row) for row in cast("list[tuple[str, str, str]]", rows)]

    def _some(self, texts: Sequence[str], shelves: Sequence[int]) -> list[int]:
        """Passages on the shelves whose text matches any of these; at most one more than few."""
        rows = self._database.query(
            f"SELECT f.rowid FROM passage_words AS f WHERE passage_words MATCH ? AND {_on(shelves)} LIMIT ?",
            (f"text : ({' OR '.join(texts)})", *shelves, FEW + 1),
        )
        return [passage for (passage,) in cast("list[tuple[int]]", rows)]

    def nearest(
        self,
        space: str,
        model: str,
        query: Vector,
        wanted: Filter,
        limit: int,
        among: Collection[int] | None = None,
    ) -> dict[int, float]:
        """The passages closest to `query` and their cosine, best first; `among` as of `matching`."""
        among = self.among(space, wanted) if among is None else among
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

    def parts(self, space: str, passages: Sequence[int]) -> dict[int, Part]:
        """These passages as parts of their memories, whole; without those that are gone."""
        rows = self._database.query(
            f"SELECT p.id, p.start, p.stop, {COLUMNS} FROM passage AS p CROSS JOIN memory AS m "
            f"WHERE p.id IN ({marks(passages)}) AND m.key = p.memory AND +m.space = ? "
            "AND m.forgotten_at IS NULL",
            (*passages, self._keys.of(space)),
        )
        return {id: Part(memory(row), start, stop) for id, start, stop, *row in cast("list[Any]", rows)}

    def _shelves(self, space: str, wanted: Filter) -> list[int]:
        """The shelves to look at; none where there is no such space."""
        if (key := self._keys.of(space)) is None:
            return []
        return [shelf(key), shelf(key, past=True)] if wanted.looks_back else [shelf(key)]


def _on(shelves: Sequence[int]) -> str:
    """That the row `f` of full-text search is on one of these shelves, which are bound. Read from the index
    alone, which is small: the passages themselves are a hundred times as large."""
    return (
        "EXISTS (SELECT 1 FROM passage AS p INDEXED BY passage_of_shelf "
        f"WHERE p.id = f.rowid AND p.shelf IN ({marks(shelves)}))"
    )


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
