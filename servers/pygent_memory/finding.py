"""The search legs: which passages of a space share words with a question, and which lie near it.

A leg looks at the shelf of what holds now, and at that of the past only where a filter looks back. What ended
or expired by the mere passing of time is left out by `places`, which both legs go through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pygent_memory.filters import HOLDS, UNEXPIRED, Filter, condition
from pygent_memory.memory import Memory
from pygent_memory.recall import Place
from pygent_memory.rows import COLUMNS, marks, memory, space_key
from pygent_memory.schema import PASSAGES, shelf
from pygent_shared.database import Database
from pygent_shared.embeddings import Vector
from pygent_shared.fulltext import match_query
from pygent_shared.vectors import MEMORY, VectorStore
from pygent_shared.vectors.mirror import open_vectors

CONTEXT = 0.4
"""What a word in a neighbouring turn weighs beside one in the passage itself."""


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

    @property
    def vectors(self) -> VectorStore:
        """The vectors of the passages, for whoever computes them."""
        return self._vectors

    def matching(self, space: str, query: str, wanted: Filter, limit: int) -> dict[int, float]:
        """The passages with any word of the query and their BM25 score, best first."""
        if not (match := match_query(query)) or not (shelves := self._shelves(space, wanted)):
            return {}
        asked, bindings = condition(wanted)
        memory = "JOIN memory AS m ON m.key = p.memory" if asked else ""
        rows = self._database.query(
            f"SELECT p.id, -bm25(passage_words, 1.0, {CONTEXT}) AS score FROM passage_words "
            f"JOIN passage AS p ON p.id = passage_words.rowid {memory} "
            f"WHERE passage_words MATCH ? AND p.shelf IN ({marks(shelves)}) {asked} "
            "ORDER BY score DESC, p.id LIMIT ?",
            (match, *shelves, *bindings, limit),
        )
        return dict(cast("list[tuple[int, float]]", rows))

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

    def nearest(self, space: str, model: str, query: Vector, wanted: Filter, limit: int) -> dict[int, float]:
        """The passages closest to `query` and their cosine, best first."""
        among = self._passages(space, wanted) if condition(wanted)[0] else None
        return self._vectors.nearest(model, query, self._shelves(space, wanted), limit, among)

    def pending(self, space: str, model: str) -> int:
        """How many passages that hold now have no vector of `model` yet."""
        shelves = self._shelves(space, Filter())
        return self._vectors.pending(model, shelves) if shelves else 0

    def places(self, space: str, passages: Sequence[int], wanted: Filter, now: str) -> dict[int, Place]:
        """Where these passages stand; without those that no longer hold, unless they are wanted."""
        holds, times = (UNEXPIRED, (now,)) if wanted.looks_back else (HOLDS, (now, now))
        rows = self._database.query(
            "SELECT p.id, m.id, p.start, p.stop, m.importance FROM passage AS p "
            "JOIN memory AS m ON m.key = p.memory "
            f"WHERE p.space = ? AND p.id IN ({marks(passages)}) AND {holds}",
            (self._key(space), *passages, *times),
        )
        return {
            id: Place(memory=memory, start=start, stop=stop, importance=importance)
            for id, memory, start, stop, importance in cast(list[tuple[int, str, int, int, float]], rows)
        }

    def _shelves(self, space: str, wanted: Filter) -> list[int]:
        """The shelves to look at; none where there is no such space."""
        if (key := self._key(space)) is None:
            return []
        return [shelf(key), shelf(key, past=True)] if wanted.looks_back else [shelf(key)]

    def _key(self, space: str) -> int | None:
        return space_key(self._database.query("SELECT id FROM space WHERE name = ?", (space,)))

    def _passages(self, space: str, wanted: Filter) -> set[int]:
        asked, bindings = condition(wanted)
        shelves = self._shelves(space, wanted)
        rows = self._database.query(
            "SELECT p.id FROM passage AS p JOIN memory AS m ON m.key = p.memory "
            f"WHERE p.shelf IN ({marks(shelves)}) {asked}",
            (*shelves, *bindings),
        )
        return {cast(int, id) for (id,) in rows}
