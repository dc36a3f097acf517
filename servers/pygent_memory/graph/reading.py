"""What the graph of a space holds, read from its tables.

The one rule: what is forgotten, replaced, ended or expired is not there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import cast

from pygent_memory.filters import HOLDS
from pygent_memory.graph.entity import OBSERVATION, Edge, Node
from pygent_memory.rows import key_of
from pygent_shared.database import Database

BATCH = 500

Told = tuple[int, str]
"""An observation: its place among all (later ones have higher numbers), and its text."""

_HELD = f"m.kind = '{OBSERVATION}' AND m.forgotten_at IS NULL AND m.replaced_at IS NULL AND {HOLDS}"

# SQLite knows upper and lower case of ASCII only: a text with other characters is looked at again.
_MAY_HOLD = "(instr(lower({0}), ?) OR length({0}) <> octet_length({0}))"


class GraphReader:
    """The graph of one space as it is now.

    Args:
        database: with the tables of `schema.MIGRATIONS`.
        space: its full name. One that does not exist has an empty graph.
        now: what has ended or expired by then is not there.
        since: only what was recorded from then on; "" for all.

    Raises (every method): DatabaseUnusable.
    """

    def __init__(self, database: Database, space: str, now: str, since: str = "") -> None:
        self._database = database
        self._key = key_of(database, space)
        self._now = now
        self._since = since

    def nodes(self, after: int = 0, names: Collection[str] | None = None) -> Iterator[Node]:
        """The entities with an id above `after`, in the order they were made; only those of these names."""
        among = "" if names is None else "AND e.name IN (SELECT value FROM json_each(?)) "
        chosen = () if names is None else (json.dumps(list(names)),)
        new, times = self._new("e.id")
        while True:
            rows = self._database.query(
                "SELECT e.id, e.name, e.type FROM entity AS e WHERE e.space = ? AND e.forgotten_at IS NULL "
                f"AND e.id > ? {among}{new} ORDER BY e.id LIMIT {BATCH}",
                (self._key, after, *chosen, *times),
            )
            for id, name, type in cast("list[tuple[int, str, str]]", rows):
                yield Node(id=id, name=name, type=type)
                after = id
            if len(rows) < BATCH:
                return

    def names(self) -> list[str]:
        """The names of all entities, in the order they were made."""
        rows = self._database.query(
            "SELECT name FROM entity WHERE space = ? AND forgotten_at IS NULL ORDER BY id", (self._key,)
        )
        return [str(name) for (name,) in rows]

    def observations(self, node: Node) -> list[Told]:
        """What is known about an entity, in the order it was told."""
        rows = self._database.query(
            f"SELECT m.key, m.text FROM memory AS m JOIN entity AS e ON e.id = m.entity WHERE e.id = ? "
            f"AND {_HELD} AND (? OR max(m.recorded_at, e.recorded_at) >= ?) ORDER BY m.key",
            (node.id, self._now, self._now, not self._since, self._since),
        )
        return cast("list[Told]", rows)

    def containing(self, words: str) -> tuple[list[Node], dict[int, set[int]]]:
        """The entities that hold `words`, upper and lower case alike, in their name, their type or an
        observation; and which observations those are, by entity."""
        words = words.lower()
        hits: dict[int, set[int]] = {}
        rows = self._database.query(
            "SELECT m.entity, m.key, m.text FROM entity AS e CROSS JOIN memory AS m ON m.entity = e.id "
            f"WHERE e.space = ? AND e.forgotten_at IS NULL AND {_HELD} AND {_MAY_HOLD.format('m.text')}",
            (self._key, self._now, self._now, words),
        )
        for entity, key, text in cast("list[tuple[int, int, str]]", rows):
            if words in text.lower():
                hits.setdefault(entity, set()).add(key)
        new, times = self._new("e.id")
        rows = self._database.query(
            "SELECT e.id, e.name, e.type FROM entity AS e WHERE e.space = ? AND e.forgotten_at IS NULL "
            "AND (e.id IN (SELECT value FROM json_each(?)) "
            f"OR {_MAY_HOLD.format('e.name')} OR {_MAY_HOLD.format('e.type')}) {new} ORDER BY e.id",
            (self._key, json.dumps(list(hits)), words, words, *times),
        )
        found = [
            Node(id=id, name=name, type=type)
            for id, name, type in cast("list[tuple[int, str, str]]", rows)
            if id in hits or words in name.lower() or words in type.lower()
        ]
        return found, hits

    def edges(self, after: int = 0) -> Iterator[Edge]:
        """The relations with an id above `after`, in the order they were made."""
        new = "AND recorded_at >= ? " if self._since else ""
        while True:
            rows = self._database.query(
                "SELECT id, source, target, type FROM relation WHERE space = ? AND forgotten_at IS NULL "
                f"AND id > ? {new}ORDER BY id LIMIT {BATCH}",
                (self._key, after, *([self._since] if self._since else [])),
            )
            yield from (edges := _edges(rows))
            if len(rows) < BATCH:
                return
            after = edges[-1].id

    def touching(self, names: Collection[str], after: int = 0) -> list[Edge]:
        """The relations from or to any of these names, in the order they were made."""
        one = (
            "SELECT id, source, target, type FROM relation WHERE space = ?1 AND forgotten_at IS NULL "
            "AND id > ?3 AND recorded_at >= ?4 AND {} IN (SELECT value FROM json_each(?2))"
        )
        rows = self._database.query(
            f"{one.format('source')} UNION {one.format('target')} ORDER BY id",
            (self._key, json.dumps(list(names)), after, self._since),
        )
        return _edges(rows)

    def counts(self) -> tuple[int, int]:
        """How many entities and relations there are."""
        ((entities, relations),) = self._database.query(
            "SELECT (SELECT count(*) FROM entity WHERE space = ?1 AND forgotten_at IS NULL), "
            "(SELECT count(*) FROM relation WHERE space = ?1 AND forgotten_at IS NULL)",
            (self._key,),
        )
        return cast(int, entities), cast(int, relations)

    def all_observations(self) -> Iterator[tuple[int, list[Told]]]:
        """What is known about every entity that something is known about, by its id, in order."""
        rows = self._database.query(
            "SELECT m.entity, m.key, m.text FROM entity AS e CROSS JOIN memory AS m ON m.entity = e.id "
            f"WHERE e.space = ? AND e.forgotten_at IS NULL AND {_HELD} ORDER BY m.entity, m.key",
            (self._key, self._now, self._now),
        )
        for entity, told in groupby(cast("list[tuple[int, int, str]]", rows), key=lambda row: row[0]):
            yield entity, [(key, text) for _, key, text in told]

    def _new(self, entity: str) -> tuple[str, tuple[str, ...]]:
        """That an entity, or something about it, is new; and the bindings."""
        if not self._since:
            return "", ()
        return (
            f"AND (e.recorded_at >= ? OR EXISTS (SELECT 1 FROM memory AS m WHERE m.entity = {entity} "
            f"AND m.recorded_at >= ? AND {_HELD})) ",
            (self._since, self._since, self._now, self._now),
        )


def _edges(rows: Sequence[Sequence[object]]) -> list[Edge]:
    return [
        Edge(id=id, source=source, target=target, type=type)
        for id, source, target, type in cast("Sequence[tuple[int, str, str, str]]", rows)
    ]
