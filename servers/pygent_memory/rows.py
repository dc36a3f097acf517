"""Memories as rows: the columns that are read, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from pygent_memory.memory import Memory
from pygent_shared.database import Database

if TYPE_CHECKING:  # a name that apsw has for type checkers only
    from apsw import SQLiteValue

Row: TypeAlias = "Sequence[SQLiteValue]"

COLUMNS = """
    m.id, m.kind, m.text, m.speaker, ifnull(m.occurred_at, ''), m.recorded_at, m.importance, m.seen,
    (SELECT group_concat(tag, char(10) ORDER BY rowid) FROM memory_tag WHERE memory = m.key),
    ifnull((SELECT name FROM conversation WHERE id = m.conversation), ''), ifnull(m.turn, 0),
    ifnull((SELECT name FROM entity WHERE id = m.entity), ''),
    ifnull(m.valid_from, ''), ifnull(m.valid_to, ''), ifnull(m.expires_at, ''),
    ifnull(m.replaced_at, ''), ifnull((SELECT id FROM memory WHERE key = m.replaced_by), ''),
    m.pinned, m.trust, m.source, m.version,
    (SELECT group_concat(s.id, char(10) ORDER BY s.key) FROM derived_from AS d
     JOIN memory AS s ON s.key = d.source WHERE d.memory = m.key)
"""
"""What `memory` reads, of a table `memory AS m`."""


def memory(row: Row) -> Memory:
    """The memory in a row of `COLUMNS`."""
    (
        id,
        kind,
        text,
        speaker,
        occurred_at,
        recorded_at,
        importance,
        seen,
        tags,
        conversation,
        turn,
        entity,
        valid_from,
        valid_to,
        expires_at,
        replaced_at,
        replaced_by,
        pinned,
        trust,
        source,
        version,
        sources,
    ) = cast(tuple[Any, ...], row)
    return Memory(
        id=id,
        kind=kind,
        text=text,
        speaker=speaker,
        occurred_at=occurred_at,
        recorded_at=recorded_at,
        importance=importance,
        seen=seen,
        tags=_lines(tags),
        conversation=conversation,
        turn=turn,
        entity=entity,
        valid_from=valid_from,
        valid_to=valid_to,
        expires_at=expires_at,
        replaced_at=replaced_at,
        replaced_by=replaced_by,
        pinned=bool(pinned),
        trust=trust,
        source=source,
        version=version,
        derived_from=_lines(sources),
    )


SPACE = "SELECT id FROM space WHERE name = ?"


def space_key(rows: Sequence[Row]) -> int | None:
    """The number that `SPACE` looked up; None, which equals nothing in SQL, where there is no such space."""
    return cast(int, rows[0][0]) if rows else None


def key_of(database: Database, space: str) -> int | None:
    """The number of a space; None as `space_key` gives it."""
    return space_key(database.query(SPACE, (space,)))


class Keys:
    """The numbers of the spaces of a database, each looked up once: a space stays."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, int] = {}

    def of(self, space: str) -> int | None:
        """The number of a space; None as `space_key` gives it."""
        if (key := self._known.get(space)) is None:
            key = key_of(self._database, space)
            if key is not None and not self._database.read().in_transaction:  # else it may never have been
                self._known[space] = key
        return key


def marks(values: Sequence[object]) -> str:
    """As many question marks as there are values, for `IN (…)`."""
    return ",".join("?" * len(values))


def _lines(joined: str | None) -> tuple[str, ...]:
    return tuple(joined.split("\n")) if joined else ()
