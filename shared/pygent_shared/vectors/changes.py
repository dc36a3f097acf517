"""What every index over the vectors of a database follows: the log of their changes, beside the rows.

A trigger writes each change of a vector into the log, so that an index in any process, or in another program,
sees from one number whether it is stale, and reads what changed and no more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from pygent_shared.database import Database
from pygent_shared.embeddings import Vector
from pygent_shared.vectors.sqlite_vec import Items, SqliteVectors

KEPT_CHANGES = 50_000
"""Changes the log keeps. An index that missed more is built anew, which then is cheaper too."""
LEAST = 2_000
"""Vectors below which there is no index: reading them all is exact, and as fast."""
FEW_NEW = 1_000
"""Items that are looked up one by one for whether they have a vector; where more may lack one, all are."""
READ_AT_ONCE = 10_000
"""Vectors read in one query."""

Row = tuple[int, int, Vector]
"""An item, its group, and its vector."""


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


class Changes:
    """The log, and the rows it is about.

    Args:
        database: holds the items, their vectors, and the log that `schema` makes.
        items: the table the vectors belong to.
    """

    def __init__(self, database: Database, items: Items) -> None:
        self._database = database
        self._of = items
        self._table = f"{items.table}_vector"

    def latest(self) -> int:
        """The number of the last change; 0 before the first."""
        ((number,),) = self._database.query(f"SELECT coalesce(max(number), 0) FROM {self._table}_change")
        return int(str(number))

    def at(self, number: int) -> tuple[int, str] | None:
        """The item and model that a change was of; None where the log no longer, or never, told."""
        rows = self._database.query(
            f"SELECT item, model FROM {self._table}_change WHERE number = ?", (number,)
        )
        return (int(str(rows[0][0])), str(rows[0][1])) if rows else None

    def since(self, number: int, model: str) -> list[int] | None:
        """The items whose vectors of a model changed after that number; None where the log does not tell."""
        ((first, last),) = self._database.query(f"SELECT min(number), max(number) FROM {self._table}_change")
        if int(str(first or 0)) > number + 1 or int(str(last or 0)) < number:
            return None
        changed = self._database.query(
            f"SELECT DISTINCT item FROM {self._table}_change WHERE number > ? AND model = ?", (number, model)
        )
        return [int(str(item)) for (item,) in changed]

    def forget(self) -> None:
        """Keep the log short."""
        with self._database.write(durable=False) as connection:
            connection.execute(
                f"DELETE FROM {self._table}_change WHERE number <= "
                f"(SELECT max(number) FROM {self._table}_change) - ?",
                (KEPT_CHANGES,),
            )

    def pays(self, model: str, least: int) -> bool:
        """Whether a model has at least so many vectors."""
        rows = self._database.query(
            f"SELECT 1 FROM {self._table} WHERE model = ? LIMIT 1 OFFSET ?", (model, max(0, least - 1))
        )
        return bool(rows)

    def rows(self, model: str) -> Iterator[list[Row]]:
        """All vectors of a model, some at a time."""
        last = -1
        while found := self._rows("AND v.item > ? ORDER BY v.item LIMIT ?", (model, last, READ_AT_ONCE)):
            yield found
            last = found[-1][0]

    def rows_of(self, model: str, items: Sequence[int]) -> Iterator[tuple[Sequence[int], list[Row]]]:
        """Some of these items at a time, with the vectors of a model that they have."""
        for start in range(0, len(items), READ_AT_ONCE):
            some = items[start : start + READ_AT_ONCE]
            yield some, self._rows(f"AND v.item IN ({','.join('?' * len(some))})", (model, *some))

    def _rows(self, which: str, bindings: Sequence[str | int]) -> list[Row]:
        of = self._of
        found = self._database.query(
            f"SELECT v.item, o.{of.group}, v.vector FROM {self._table} AS v "
            f"JOIN {of.table} AS o ON o.{of.id} = v.item WHERE v.model = ? {which}",
            tuple(bindings),
        )
        return [(int(str(item)), int(str(group)), _bytes(vector)) for item, group, vector in found]


class FollowedVectors:
    """A `VectorStore` in a database, from which something else that answers questions is derived: `nearest`
    and `spread` are for that to give."""

    def __init__(self, database: Database, items: Items) -> None:
        self._stored = SqliteVectors(database, items)
        self._changes = Changes(database, items)
        self._may_turn = bool(items.owner)
        self._whole: dict[tuple[str, tuple[int, ...] | None], tuple[int, int]] = {}

    def put(self, model: str, vectors: Sequence[tuple[int, Vector]]) -> None:
        self._stored.put(model, vectors)
        self._changes.forget()

    def claim(self, model: str) -> None:
        self._stored.claim(model)

    def turn(self, model: str, group: int) -> bool:
        return self._stored.turn(model, group)

    def missing(
        self, model: str, limit: int, after: int = 0, group: int | None = None
    ) -> list[tuple[int, str]]:
        return self._stored.missing(model, limit, after, group)

    def pending(self, model: str, groups: Sequence[int] | None = None) -> int:
        """Counted among what came or changed since there were none, where that is little: to go through all
        items after each write takes a second for a million."""
        if self._may_turn:
            return self._stored.pending(model, groups)
        asked = model, None if groups is None else tuple(groups)
        upto = self._changes.latest(), self._stored.last()
        since = self._whole.get(asked)
        some = None if since is None else self._since(model, since, upto)
        count = self._stored.pending(model, groups) if some is None else self._stored.lacking(*asked, some)
        if not count:
            self._whole[asked] = upto
        return count

    def _since(self, model: str, since: tuple[int, int], upto: tuple[int, int]) -> list[int] | None:
        """The items that came or changed between a change and an item, and others; None for too many."""
        if since == upto:
            return []
        if (changed := self._changes.since(since[0], model)) is None:
            return None
        new = range(since[1] + 1, upto[1] + 1)
        return [*changed, *new] if len(changed) + len(new) <= FEW_NEW else None

    def read(self, model: str, items: Collection[int]) -> dict[int, Vector]:
        return self._stored.read(model, items)


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
