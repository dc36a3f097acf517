"""The writes on the graph of one space, inside one transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

import apsw

from pygent_memory.graph.entity import OBSERVATION, Entity, Observed, Relation, UnknownEntity, same
from pygent_memory.memory import Draft, Trust
from pygent_memory.passages import passages
from pygent_memory.writing import Writer


class GraphWriter:
    """Changes the graph of the space that `writer` writes on.

    Args:
        connection: in a write transaction.
        writer: what keeps and forgets the observations, of the same transaction.
        now: the time of the writes.
        trust: who vouches for what is told.
        source: where it comes from.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        writer: Writer,
        now: str,
        *,
        trust: Trust = "agent",
        source: str = "",
    ) -> None:
        self._connection = connection
        self._writer = writer
        self._now = now
        self._trust: Trust = trust
        self._source = source

    def create(self, entities: Sequence[Entity], *, merge: bool = False) -> list[Entity]:
        """Make the entities whose names are new, and return those. One that is named twice is made once, with
        what both say. `merge` also gives what is said of the others to the ones that are there."""
        self._writer.make()
        known = set() if merge else self._known(entity.name for entity in entities)
        made: dict[str, tuple[str, list[str]]] = {}
        for entity in entities:
            if entity.name in known:
                continue
            if self._insert(entity):
                made[entity.name] = (entity.type, [])
            told = self._observe(entity.name, entity.observations)
            if entity.name in made:
                made[entity.name][1].extend(told)
        return [Entity(name=name, type=type, observations=tuple(told)) for name, (type, told) in made.items()]

    def relate(self, relations: Iterable[Relation]) -> list[Relation]:
        """Make the relations that are new, each once, and return those."""
        self._writer.make()
        return [
            relation
            for relation in relations
            if self._rows(
                "INSERT INTO relation (space, source, target, type, recorded_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING RETURNING id",
                (self._space, relation.source, relation.target, relation.type, self._now),
            )
        ]

    def observe(self, told: Iterable[Observed]) -> list[Observed]:
        """Add observations to entities; returns for each what was new.

        Raises:
            UnknownEntity: a name that no entity has.
        """
        results = []
        for one in told:
            if not self._known([one.entity]):
                raise UnknownEntity(one.entity, self._names())
            results.append(Observed(entity=one.entity, texts=tuple(self._observe(one.entity, one.texts))))
        return results

    def delete_entities(self, names: Collection[str]) -> None:
        """Forget these entities, their observations, and all relations from or to these names."""
        wanted = json.dumps(list(names))
        for (id,) in self._rows(
            "SELECT m.id FROM entity AS e JOIN memory AS m ON m.entity = e.id AND m.forgotten_at IS NULL "
            "WHERE e.space = ? AND e.forgotten_at IS NULL AND e.name IN (SELECT value FROM json_each(?))",
            (self._space, wanted),
        ):
            self._writer.forget(str(id))
        for table, among in (("entity", ("name",)), ("relation", ("source", "target"))):
            for column in among:
                self._rows(
                    f"UPDATE {table} SET forgotten_at = ? WHERE space = ? AND forgotten_at IS NULL "
                    f"AND {column} IN (SELECT value FROM json_each(?))",
                    (self._now, self._space, wanted),
                )

    def delete_observations(self, told: Iterable[Observed]) -> None:
        """Forget observations; those that are not there are no matter."""
        for one in told:
            unwanted = {same(text) for text in one.texts}
            for id, text in self._rows(
                "SELECT m.id, m.text FROM entity AS e JOIN memory AS m ON m.entity = e.id "
                "AND m.forgotten_at IS NULL AND m.replaced_at IS NULL "
                "WHERE e.space = ? AND e.name = ? AND e.forgotten_at IS NULL",
                (self._space, one.entity),
            ):
                if same(str(text)) in unwanted:
                    self._writer.forget(str(id))

    def delete_relations(self, relations: Iterable[Relation]) -> None:
        """Forget relations; those that are not there are no matter."""
        for relation in relations:
            self._rows(
                "UPDATE relation SET forgotten_at = ? WHERE space = ? AND source = ? AND target = ? "
                "AND type = ? AND forgotten_at IS NULL",
                (self._now, self._space, relation.source, relation.target, relation.type),
            )

    def restore(self, name: str) -> bool:
        """Undo the last deletion of an entity: with the observations and relations that went with it. Those
        told again since stay as they are. Returns whether there was one."""
        rows = self._rows(
            "SELECT id, forgotten_at FROM entity WHERE space = ? AND name = ? AND forgotten_at IS NOT NULL "
            "ORDER BY forgotten_at DESC, id DESC LIMIT 1",
            (self._space, name),
        )
        if not rows or self._known([name]):
            return False
        ((entity, then),) = rows
        self._rows("UPDATE entity SET forgotten_at = NULL WHERE id = ?", (entity,))
        for (id,) in self._rows(
            "SELECT id FROM memory WHERE entity = ? AND forgotten_at = ? ORDER BY key", (entity, then)
        ):
            self._writer.restore(str(id))
        self._rows(
            "UPDATE OR IGNORE relation SET forgotten_at = NULL "
            "WHERE space = ?1 AND forgotten_at = ?2 AND (source = ?3 OR target = ?3)",
            (self._space, then, name),
        )
        return True

    @property
    def _space(self) -> int | None:
        return self._writer.space

    def _insert(self, entity: Entity) -> bool:
        return bool(
            self._rows(
                "INSERT INTO entity (space, name, type, recorded_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING RETURNING id",
                (self._space, entity.name, entity.type, self._now),
            )
        )

    def _observe(self, entity: str, texts: Iterable[str]) -> list[str]:
        return [text for text in texts if self._tell(entity, text)]

    def _tell(self, entity: str, text: str) -> bool:
        draft = Draft(text=text, kind=OBSERVATION, entity=entity, trust=self._trust, source=self._source)
        return self._writer.add(draft, passages(text)).status == "created"

    def _known(self, names: Iterable[str]) -> set[str]:
        rows = self._rows(
            "SELECT name FROM entity WHERE space = ? AND forgotten_at IS NULL "
            "AND name IN (SELECT value FROM json_each(?))",
            (self._space, json.dumps(list(names))),
        )
        return {str(name) for (name,) in rows}

    def _names(self) -> list[str]:
        rows = self._rows("SELECT name FROM entity WHERE space = ? AND forgotten_at IS NULL", (self._space,))
        return [str(name) for (name,) in rows]

    def _rows(self, sql: str, bindings: Sequence[apsw.SQLiteValue]) -> list[tuple[apsw.SQLiteValue, ...]]:
        """All rows of a statement, which is run to its end."""
        return self._connection.execute(sql, bindings).fetchall()
