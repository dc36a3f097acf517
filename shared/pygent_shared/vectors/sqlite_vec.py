"""Vectors as rows in SQLite, compared by sqlite-vec's `vec_distance_cosine`: exact, nothing to rebuild.

The one rule: unless a few are named, the vectors are read from end to end, and their items told by a set of
ids. Looked up one by one, as a join would, they take four times as long to compare and seventeen to count.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import pstdev

from pygent_shared.database import Database
from pygent_shared.embeddings import Vector

FEW = 1000
"""Items up to which looking each up is faster than reading all from end to end."""
SAMPLE = 256
"""About how many items tell the spread of a group's cosines; more changed no ranking measurably."""


@dataclass(frozen=True, kw_only=True)
class Items:
    """The table the vectors belong to, as SQL names: its key, the text to embed and the grouping column.

    Attributes:
        digest: the column that tells texts apart, indexed; items alike in it share a text's vector. "": none.
        owner: the table of groups, whose column `model` names the model that a group keeps to. "": none.
    """

    table: str
    id: str = "id"
    text: str = "text"
    group: str
    digest: str = ""
    owner: str = ""

    @property
    def schema(self) -> str:
        """The migration that makes the vector table; a vector dies with its item."""
        return f"""
        CREATE TABLE {self.table}_vector (
            item INTEGER NOT NULL REFERENCES {self.table}({self.id}) ON DELETE CASCADE,
            model TEXT NOT NULL,
            vector BLOB NOT NULL,
            PRIMARY KEY (item, model)
        ) WITHOUT ROWID;
        """


class SqliteVectors:
    """A `VectorStore` beside the items themselves, in one database."""

    def __init__(self, database: Database, items: Items) -> None:
        self._database = database
        self._of = items
        self._counted = threading.local()

    def put(self, model: str, vectors: Sequence[tuple[int, Vector]]) -> None:
        of = self._of
        # SELECT … WHERE: an item may have been deleted while its vector was computed.
        which = f"{of.id} = ?1"
        if of.digest:
            which += (
                f" OR ({of.digest} = (SELECT {of.digest} FROM {of.table} WHERE {of.id} = ?1) AND NOT EXISTS "
                f"(SELECT 1 FROM {of.table}_vector AS v WHERE v.item = o.{of.id} AND v.model = ?2))"
            )
        # A vector that a failing machine loses is computed again, so none waits for the disk.
        with self._database.write(durable=False) as connection:
            connection.executemany(
                f"INSERT OR REPLACE INTO {of.table}_vector (item, model, vector) "
                f"SELECT {of.id}, ?2, ?3 FROM {of.table} AS o WHERE {which}",
                [(item, model, vector) for item, vector in vectors],
            )

    def claim(self, model: str) -> None:
        if not (owner := self._of.owner):
            return
        if self._database.query(f"SELECT 1 FROM {owner} WHERE model IS NULL LIMIT 1"):
            with self._database.write() as connection:
                connection.execute(f"UPDATE {owner} SET model = ? WHERE model IS NULL", (model,))

    def turn(self, model: str, group: int) -> bool:
        of = self._of
        with self._database.write() as connection:
            if self.pending(model, [group]):
                return False
            connection.execute(
                f"DELETE FROM {of.table}_vector WHERE model <> ? "
                f"AND item IN (SELECT {of.id} FROM {of.table} WHERE {of.group} = ?)",
                (model, group),
            )
            if of.owner:
                connection.execute(f"UPDATE {of.owner} SET model = ? WHERE id = ?", (model, group))
        return True

    def missing(
        self, model: str, limit: int, after: int = 0, group: int | None = None
    ) -> list[tuple[int, str]]:
        of = self._of
        among, bindings = self._kept_to(model, None if group is None else [group])
        # BETWEEN, not =: that would look into the wide rows of the vectors, thirty times as slow, where an
        # index over model and item is enough.
        rows = self._database.query(
            f"SELECT {of.id}, {of.text} FROM {of.table} AS o WHERE {of.id} > ? AND NOT EXISTS "
            f"(SELECT 1 FROM {of.table}_vector WHERE item BETWEEN o.{of.id} AND o.{of.id} AND model = ?) "
            f"{among} ORDER BY {of.id} LIMIT ?",
            (after, model, *bindings, limit),
        )
        return [(int(str(item)), str(text)) for item, text in rows]

    def pending(self, model: str, groups: Sequence[int] | None = None) -> int:
        # Counting goes through all items, and every search asks.
        asked, state = (model, None if groups is None else tuple(groups)), self._database.state()
        if getattr(self._counted, "state", None) != state:
            self._counted.state, self._counted.found = state, {}
        if asked not in self._counted.found:
            self._counted.found[asked] = self._count(model, groups)
        return int(self._counted.found[asked])

    def _count(self, model: str, groups: Sequence[int] | None) -> int:
        of = self._of
        among, bindings = self._kept_to(model, groups)
        ((count,),) = self._database.query(
            f"SELECT count(*) FROM {of.table} WHERE {of.id} NOT IN "
            f"(SELECT item FROM {of.table}_vector WHERE model = ?) {among}",
            (model, *bindings),
        )
        return int(str(count))

    def last(self) -> int:
        """The highest number of an item; 0 where there is none."""
        of = self._of
        ((last,),) = self._database.query(f"SELECT ifnull(max({of.id}), 0) FROM {of.table}")
        return int(str(last))

    def lacking(self, model: str, groups: Sequence[int] | None, items: Collection[int]) -> int:
        """How many of these items that there are (in these groups) have no vector of a model."""
        if not items:
            return 0
        of = self._of
        among, bindings = self._kept_to(model, groups)
        ((count,),) = self._database.query(
            f"SELECT count(*) FROM {of.table} AS o WHERE {of.id} IN (SELECT value FROM json_each(?)) {among} "
            f"AND NOT EXISTS (SELECT 1 FROM {of.table}_vector WHERE item = o.{of.id} AND model = ?)",
            (json.dumps(list(items)), *bindings, model),
        )
        return int(str(count))

    def read(self, model: str, items: Collection[int]) -> dict[int, Vector]:
        rows = self._database.query(
            f"SELECT item, vector FROM {self._of.table}_vector "
            "WHERE model = ? AND item IN (SELECT value FROM json_each(?))",
            (model, json.dumps(list(items))),
        )
        return {int(str(item)): vector for item, vector in rows if isinstance(vector, bytes)}

    def _kept_to(self, model: str, groups: Sequence[int] | None) -> tuple[str, tuple[str | int, ...]]:
        """The condition on items of these groups, or of those that keep to a model. The plus keeps SQLite
        from going through the groups' index, and sorting."""
        of = self._of
        if groups is not None:
            return f"AND +{of.group} IN ({_marks(groups)})", tuple(groups)
        if of.owner:
            return f"AND +{of.group} IN (SELECT id FROM {of.owner} WHERE model = ?)", (model,)
        return "", ()

    def nearest(
        self,
        model: str,
        query: Vector,
        groups: Sequence[int],
        limit: int,
        among: Collection[int] | None = None,
    ) -> dict[int, float]:
        where, bindings = self._where(model, groups, among)
        rows = self._database.query(
            f"SELECT item, 1 - vec_distance_cosine(vector, ?) AS cosine {where} "
            "ORDER BY cosine DESC, item LIMIT ?",
            (query, *bindings, limit),
        )
        return {int(str(item)): float(str(cosine)) for item, cosine in rows}

    def spread(self, model: str, query: Vector, groups: Sequence[int]) -> float:
        among = self._among(groups)
        ((count,),) = self._database.query(f"SELECT count(*) {among}", (model, *groups))
        every = max(1, int(str(count)) // SAMPLE)
        rows = self._database.query(
            f"SELECT vec_distance_cosine(vector, ?) {among} AND item % ? = 0", (query, model, *groups, every)
        )
        return pstdev(float(str(distance)) for (distance,) in rows) if rows else 0.0

    def _where(
        self, model: str, groups: Sequence[int], among: Collection[int] | None
    ) -> tuple[str, tuple[str | int, ...]]:
        if among is None:
            return self._among(groups), (model, *groups)
        ids = json.dumps(list(among))
        if len(among) > FEW:
            wanted = "AND +item IN (SELECT value FROM json_each(?))"
            return f"{self._among(groups)} {wanted}", (model, *groups, ids)
        of = self._of
        return (
            f"FROM {of.table}_vector WHERE model = ? AND item IN (SELECT value FROM json_each(?)) AND EXISTS "
            f"(SELECT 1 FROM {of.table} WHERE {of.id} = item AND {of.group} IN ({_marks(groups)}))",
            (model, ids, *groups),
        )

    def _among(self, groups: Sequence[int]) -> str:
        """The vectors of a model in these groups. The plus keeps SQLite from looking each item up."""
        of = self._of
        ids = f"SELECT {of.id} FROM {of.table} WHERE {of.group} IN ({_marks(groups)})"
        return f"FROM {of.table}_vector WHERE model = ? AND +item IN ({ids})"


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
