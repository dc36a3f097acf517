"""A memory mirror of the vectors in a database: an index that answers, while the rows stay the truth.

It follows the log of changes (`pygent_shared.vectors.changes`). Until it is built, in a thread of its own,
the store it mirrors answers. Which index that is, `pygent_shared.vectors.INDEXES` tells.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from functools import partial
from importlib.util import find_spec

from pygent_shared.database import Database
from pygent_shared.embeddings import Vector
from pygent_shared.errors import MissingExtra
from pygent_shared.mirrors import Mirror
from pygent_shared.settings import POSTGRES
from pygent_shared.vectors import EXACT, INDEXES, MEMORY, Index, VectorStore
from pygent_shared.vectors.changes import LEAST, FollowedVectors, Row
from pygent_shared.vectors.changes import schema as schema
from pygent_shared.vectors.sqlite_vec import SAMPLE, Items, SqliteVectors


class MirroredVectors(FollowedVectors):
    """A `VectorStore` whose questions are answered from memory.

    Args:
        database: holds the items, their vectors, and the log that `schema` makes.
        items: the table the vectors belong to.
        index: what the mirror is; a key of `INDEXES`.
        least: vectors of a model below which there is no mirror.
    """

    def __init__(self, database: Database, items: Items, index: str = MEMORY, *, least: int = LEAST) -> None:
        super().__init__(database, items)
        self._kind = INDEXES[index]
        self._least = least
        self._mirrors: dict[str, Mirror[Index, int]] = {}
        self._lock = threading.Lock()

    def nearest(
        self,
        model: str,
        query: Vector,
        groups: Sequence[int],
        limit: int,
        among: Collection[int] | None = None,
    ) -> dict[int, float]:
        with self._lock:
            if (index := self._current(model)) is not None:
                return index.nearest(query, groups, limit, among)
        return self._stored.nearest(model, query, groups, limit, among)

    def spread(self, model: str, query: Vector, groups: Sequence[int]) -> float:
        with self._lock:
            if (index := self._current(model)) is not None:
                return index.spread(query, groups, SAMPLE)
        return self._stored.spread(model, query, groups)

    @property
    def megabytes(self) -> float:
        """The memory that the mirrors take."""
        with self._lock:
            kept = [mirror.kept for mirror in self._mirrors.values()]
        return sum(index.megabytes for index in kept if index is not None)

    def wait(self, model: str, seconds: float) -> bool:
        """Wait at most so long until the mirror of a model is built; whether it is."""
        with self._lock:
            mirror = self._mirrors.get(model)
        return mirror is not None and mirror.wait(seconds)

    def _current(self, model: str) -> Index | None:
        """The index of a model as the database is now; None while there is none."""
        if (mirror := self._mirrors.get(model)) is not None and not mirror.is_lost:
            return mirror.current()
        if self._kind.is_installed and self._changes.pays(model, self._least):
            self._mirrors[model] = Mirror(
                "vectors", self._changes.latest, partial(self._made, model), partial(self._follow, model)
            )
        return None

    def _follow(self, model: str, index: Index, since: int) -> bool:
        """Take over what changed since; False where the log no longer tells."""
        if (changed := self._changes.since(since, model)) is None:
            return False
        for some, found in self._changes.rows_of(model, changed):
            index.remove([item for item in some if item not in {row[0] for row in found}])
            _put(index, found)
        return True

    def _made(self, model: str) -> Index | None:
        index: Index | None = None
        for rows in self._changes.rows(model):
            index = index or self._kind.make(len(rows[0][2]) // 4)
            _put(index, rows)
        return index


def open_vectors(database: Database, items: Items, index: str) -> VectorStore:
    """The vectors of `items`, with the index that `Settings.vector_index` names.

    Raises:
        MissingExtra: that index is not installed.
        DatabaseUnusable: it is one of a PostgreSQL, which cannot be used.
    """
    if index == EXACT:
        return SqliteVectors(database, items)
    if index.startswith(POSTGRES):
        if find_spec("psycopg") is None:
            raise MissingExtra("PYGENT_VECTORS=pgvector", "postgres")
        from pygent_shared.vectors.postgres import PostgresVectors

        return PostgresVectors(database, items, index.removeprefix(POSTGRES))
    kind = INDEXES[index]
    if kind.extra and not kind.is_installed:
        raise MissingExtra(f"PYGENT_VECTORS={index}", kind.extra)
    return MirroredVectors(database, items, index)


def _put(index: Index, rows: Sequence[Row]) -> None:
    if rows:
        items, groups, vectors = zip(*rows, strict=True)
        index.put(items, groups, vectors)
