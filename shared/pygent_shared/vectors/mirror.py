"""A memory mirror of the vectors in a database: an index that answers, while the rows stay the truth.

A trigger writes every change of a vector into a log beside them, so a mirror in any process sees from one
number whether it is stale and reads what changed, and no more. Until it is built, in a thread of its own, the
store it mirrors answers. Which index that is, `pygent_shared.vectors.INDEXES` tells.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence

from pygent_shared.database import Database
from pygent_shared.embeddings import Vector
from pygent_shared.errors import MissingExtra
from pygent_shared.vectors import EXACT, INDEXES, MEMORY, Index, VectorStore
from pygent_shared.vectors.sqlite_vec import SAMPLE, Items, SqliteVectors

log = logging.getLogger(__name__)

KEPT_CHANGES = 50_000
"""Changes the log keeps. A mirror that missed more is built anew, which then is cheaper too."""
LEAST = 2_000
"""Vectors below which there is no mirror: reading them all is exact, and as fast."""
READ_AT_ONCE = 10_000
"""Vectors read between two looks at whether the store was closed."""


def schema(items: Items) -> str:
    """The migration that makes the log of changes to the vectors of `items`."""
    table = f"{items.table}_vector"
    return f"""
    CREATE TABLE {table}_change (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        item INTEGER NOT NULL,
        model TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER {table}_comes AFTER INSERT ON {table} BEGIN
        INSERT INTO {table}_change (item, model) VALUES (new.item, new.model);
    END;
    CREATE TRIGGER {table}_goes AFTER DELETE ON {table} BEGIN
        INSERT INTO {table}_change (item, model) VALUES (old.item, old.model);
    END;
    """


class MirroredVectors:
    """A `VectorStore` whose questions are answered from memory.

    Args:
        database: holds the items, their vectors, and the log that `schema` makes.
        items: the table the vectors belong to.
        index: what the mirror is; a key of `INDEXES`.
        least: vectors of a model below which there is no mirror.
    """

    def __init__(self, database: Database, items: Items, index: str = MEMORY, *, least: int = LEAST) -> None:
        self._database = database
        self._of = items
        self._table = f"{items.table}_vector"
        self._stored = SqliteVectors(database, items)
        self._kind = INDEXES[index]
        self._least = least
        self._mirrors: dict[str, _Mirror] = {}
        self._lock = threading.Lock()

    def put(self, model: str, vectors: Sequence[tuple[int, Vector]]) -> None:
        self._stored.put(model, vectors)
        with self._database.write(durable=False) as connection:
            connection.execute(
                f"DELETE FROM {self._table}_change WHERE number <= "
                f"(SELECT max(number) FROM {self._table}_change) - ?",
                (KEPT_CHANGES,),
            )

    def claim(self, model: str) -> None:
        self._stored.claim(model)

    def turn(self, model: str, group: int) -> bool:
        return self._stored.turn(model, group)

    def missing(
        self, model: str, limit: int, after: int = 0, group: int | None = None
    ) -> list[tuple[int, str]]:
        return self._stored.missing(model, limit, after, group)

    def pending(self, model: str, groups: Sequence[int] | None = None) -> int:
        return self._stored.pending(model, groups)

    def read(self, model: str, items: Collection[int]) -> dict[int, Vector]:
        return self._stored.read(model, items)

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
            if not self._kind.is_installed or not self._pays(model):
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
        latest = self._latest()
        if latest != mirror.latest and not self._catch_up(model, mirror, latest):
            del self._mirrors[model]
            return None
        return mirror.index

    def _pays(self, model: str) -> bool:
        rows = self._database.query(
            f"SELECT 1 FROM {self._table} WHERE model = ? LIMIT 1 OFFSET ?", (model, max(0, self._least - 1))
        )
        return bool(rows)

    def _latest(self) -> int:
        """The number of the last change."""
        ((number,),) = self._database.query(f"SELECT coalesce(max(number), 0) FROM {self._table}_change")
        return int(str(number))

    def _catch_up(self, model: str, mirror: _Mirror, latest: int) -> bool:
        """Take over what changed since; False where the log no longer tells."""
        assert mirror.index is not None
        ((first,),) = self._database.query(f"SELECT min(number) FROM {self._table}_change")
        if int(str(first or 0)) > mirror.latest + 1 or latest < mirror.latest:
            return False
        changed = self._database.query(
            f"SELECT DISTINCT item FROM {self._table}_change WHERE number > ? AND model = ?",
            (mirror.latest, model),
        )
        items = [int(str(item)) for (item,) in changed]
        for start in range(0, len(items), READ_AT_ONCE):
            some = items[start : start + READ_AT_ONCE]
            marks = ",".join("?" * len(some))
            found = self._rows(f"AND v.item IN ({marks})", (model, *some))
            mirror.index.remove([item for item in some if item not in {row[0] for row in found}])
            _put(mirror.index, found)
        mirror.latest = latest
        return True

    def _build(self, model: str, mirror: _Mirror) -> None:
        try:
            latest, last = self._latest(), -1
            index: Index | None = None
            while rows := self._rows("AND v.item > ? ORDER BY v.item LIMIT ?", (model, last, READ_AT_ONCE)):
                index = index or self._kind.make(len(rows[0][2]) // 4)
                _put(index, rows)
                last = rows[-1][0]
            mirror.index, mirror.latest = index, latest
        except Exception:
            log.exception("The vectors could not be mirrored; they are read from the database instead")
        finally:
            mirror.built.set()

    def _rows(self, which: str, bindings: Sequence[str | int]) -> list[tuple[int, int, Vector]]:
        """(item, group, vector) of a model."""
        of = self._of
        found = self._database.query(
            f"SELECT v.item, o.{of.group}, v.vector FROM {self._table} AS v "
            f"JOIN {of.table} AS o ON o.{of.id} = v.item WHERE v.model = ? {which}",
            tuple(bindings),
        )
        return [(int(str(item)), int(str(group)), _bytes(vector)) for item, group, vector in found]


class _Mirror:
    """The index over one model's vectors, and the last change it holds."""

    def __init__(self) -> None:
        self.index: Index | None = None
        self.latest = 0
        self.built = threading.Event()


def open_vectors(database: Database, items: Items, index: str) -> VectorStore:
    """The vectors of `items`, with the index that the setting `vectors` names.

    Raises:
        MissingExtra: that index is not installed.
    """
    if index == EXACT:
        return SqliteVectors(database, items)
    kind = INDEXES[index]
    if kind.extra and not kind.is_installed:
        raise MissingExtra(f"PYGENT_VECTORS={index}", kind.extra)
    return MirroredVectors(database, items, index)


def _put(index: Index, rows: Sequence[tuple[int, int, Vector]]) -> None:
    if rows:
        items, groups, vectors = zip(*rows, strict=True)
        index.put(items, groups, vectors)


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
