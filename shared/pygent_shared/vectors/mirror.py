"""A memory mirror of the vectors in a database: an index that answers, while the rows stay the truth.

It follows the log of changes (`pygent_shared.vectors.changes`). Until it is built, in a thread of its own,
the store it mirrors answers. Which index that is, `pygent_shared.vectors.INDEXES` tells.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from importlib.util import find_spec

from pygent_shared.arenas import give_back
from pygent_shared.database import Database
from pygent_shared.embeddings import Vector
from pygent_shared.errors import MissingExtra
from pygent_shared.settings import POSTGRES
from pygent_shared.vectors import EXACT, INDEXES, MEMORY, Index, VectorStore
from pygent_shared.vectors.changes import LEAST, FollowedVectors, Row
from pygent_shared.vectors.changes import schema as schema
from pygent_shared.vectors.sqlite_vec import SAMPLE, Items, SqliteVectors

log = logging.getLogger(__name__)


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
        self._mirrors: dict[str, _Mirror] = {}
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
            return sum(
                mirror.index.megabytes for mirror in self._mirrors.values() if mirror.index is not None
            )

    def wait(self, model: str, seconds: float) -> bool:
        """Wait at most so long until the mirror of a model is built; whether it is."""
        with self._lock:
            mirror = self._mirrors.get(model)
        return mirror is not None and mirror.built.wait(seconds) and mirror.index is not None

    def _current(self, model: str) -> Index | None:
        """The index of a model as the database is now; None while there are none."""
        mirror = self._mirrors.get(model)
        if mirror is None:
            mirror = self._mirrors[model] = _Mirror()
            if not self._kind.is_installed or not self._changes.pays(model, self._least):
                del self._mirrors[model]
                return None
            threading.Thread(
                target=self._build, args=[model, mirror], name="mirror vectors", daemon=True
            ).start()
            return None
        if mirror.index is None:
            if mirror.built.is_set():  # it failed, or was too far behind: once more
                del self._mirrors[model]
            return None
        latest = self._changes.latest()
        if latest != mirror.latest and not self._catch_up(model, mirror, latest):
            del self._mirrors[model]
            return None
        return mirror.index

    def _catch_up(self, model: str, mirror: _Mirror, latest: int) -> bool:
        """Take over what changed since; False where the log no longer tells."""
        assert mirror.index is not None
        if (changed := self._changes.since(mirror.latest, model)) is None:
            return False
        for some, found in self._changes.rows_of(model, changed):
            mirror.index.remove([item for item in some if item not in {row[0] for row in found}])
            _put(mirror.index, found)
        mirror.latest = latest
        return True

    def _build(self, model: str, mirror: _Mirror) -> None:
        try:
            latest = self._changes.latest()
            mirror.index, mirror.latest = self._made(model), latest
        except Exception:
            log.exception("The vectors could not be mirrored; they are read from the database instead")
        finally:
            mirror.built.set()
            give_back()

    def _made(self, model: str) -> Index | None:
        index: Index | None = None
        for rows in self._changes.rows(model):
            index = index or self._kind.make(len(rows[0][2]) // 4)
            _put(index, rows)
        return index


class _Mirror:
    """The index over one model's vectors, and the last change it holds."""

    def __init__(self) -> None:
        self.index: Index | None = None
        self.latest = 0
        self.built = threading.Event()


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
