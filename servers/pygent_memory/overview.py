"""What a space holds, seen from above: names to choose from, counts, one conversation, one entity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from pygent_memory.memories import Memories
from pygent_memory.memory import Memory
from pygent_memory.rows import COLUMNS, key_of, memory
from pygent_shared.errors import UnknownName

LAST = 100
"""The turns, observations and relations that are shown."""

Sort = Literal["conversation", "entity", "speaker", "tag"]

_NAMES: dict[Sort, str] = {
    "conversation": "SELECT name FROM conversation WHERE space = ?",
    "entity": "SELECT name FROM entity WHERE space = ? AND forgotten_at IS NULL",
    "speaker": "SELECT DISTINCT speaker FROM memory "
    "WHERE space = ? AND forgotten_at IS NULL AND speaker <> ''",
    "tag": "SELECT DISTINCT t.tag FROM memory_tag AS t JOIN memory AS m ON m.key = t.memory "
    "WHERE m.space = ? AND m.forgotten_at IS NULL",
}


@dataclass(frozen=True, kw_only=True)
class Entity:
    """What is known about an entity: the newest observations, oldest first, and relations as sentences."""

    name: str
    type: str
    observations: tuple[Memory, ...]
    relations: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Stats:
    """Counts of a space: memories by kind, what was replaced or forgotten, and what else there is."""

    kinds: dict[str, int]
    replaced: int
    forgotten: int
    conversations: int
    entities: int
    relations: int
    first: str
    last: str


class Overview:
    """Looks at the spaces of a database.

    Args:
        memories: the memories themselves.

    Raises (every method): DatabaseUnusable.
    """

    def __init__(self, memories: Memories) -> None:
        self._database = memories.database

    def names(self, space: str, sort: Sort) -> list[str]:
        """All names of a sort, sorted."""
        rows = cast("list[tuple[str]]", self._database.query(_NAMES[sort], (key_of(self._database, space),)))
        return sorted((name for (name,) in rows), key=str.casefold)

    def conversation(self, space: str, name: str) -> list[Memory]:
        """The last turns of a conversation, in order.

        Raises:
            UnknownName: there is no such conversation.
        """
        rows = self._database.query(
            f"SELECT {COLUMNS} FROM memory AS m JOIN conversation AS c ON c.id = m.conversation "
            "WHERE c.space = ? AND c.name = ? AND m.forgotten_at IS NULL ORDER BY m.turn DESC LIMIT ?",
            (key_of(self._database, space), name, LAST),
        )
        if not rows:
            raise UnknownName("conversation", name, self.names(space, "conversation"))
        return [memory(row) for row in reversed(rows)]

    def entity(self, space: str, name: str) -> Entity:
        """What is known about an entity.

        Raises:
            UnknownName: there is no such entity.
        """
        key = key_of(self._database, space)
        found = cast(
            "list[tuple[int, str]]",
            self._database.query(
                "SELECT id, type FROM entity WHERE space = ? AND name = ? AND forgotten_at IS NULL",
                (key, name),
            ),
        )
        if not found:
            raise UnknownName("entity", name, self.names(space, "entity"))
        ((id, type),) = found
        observations = self._database.query(
            f"SELECT {COLUMNS} FROM memory AS m WHERE m.entity = ? AND m.forgotten_at IS NULL "
            "AND m.replaced_at IS NULL ORDER BY m.key DESC LIMIT ?",
            (id, LAST),
        )
        relations = self._database.query(
            "SELECT source, type, target FROM relation WHERE space = ?1 AND ?2 IN (source, target) "
            "AND forgotten_at IS NULL ORDER BY id LIMIT ?3",
            (key, name, LAST),
        )
        return Entity(
            name=name,
            type=type,
            observations=tuple(memory(row) for row in reversed(observations)),
            relations=tuple(cast("list[tuple[str, str, str]]", relations)),
        )

    def stats(self, space: str) -> Stats:
        """How much there is."""
        key = key_of(self._database, space)
        kinds = self._database.query(
            "SELECT kind, count(*) FROM memory WHERE space = ? AND forgotten_at IS NULL "
            "AND replaced_at IS NULL GROUP BY kind ORDER BY kind",
            (key,),
        )
        ((replaced, forgotten, first, last),) = self._database.query(
            "SELECT count(*) FILTER (WHERE forgotten_at IS NULL AND replaced_at IS NOT NULL), "
            "count(forgotten_at), ifnull(min(recorded_at), ''), ifnull(max(recorded_at), '') "
            "FROM memory WHERE space = ?",
            (key,),
        )
        ((conversations, entities, relations),) = self._database.query(
            "SELECT (SELECT count(*) FROM conversation WHERE space = ?1), "
            "(SELECT count(*) FROM entity WHERE space = ?1 AND forgotten_at IS NULL), "
            "(SELECT count(*) FROM relation WHERE space = ?1 AND forgotten_at IS NULL)",
            (key,),
        )
        return Stats(
            kinds=dict(cast("list[tuple[str, int]]", kinds)),
            replaced=cast(int, replaced),
            forgotten=cast(int, forgotten),
            conversations=cast(int, conversations),
            entities=cast(int, entities),
            relations=cast(int, relations),
            first=cast(str, first),
            last=cast(str, last),
        )
