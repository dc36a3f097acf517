"""What became of a memory: its versions, from the first to the last, and all that happened to each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pygent_memory.memory import Memory
from pygent_memory.rows import COLUMNS, key_of, marks, memory
from pygent_shared.database import Database


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a memory: when, what, on whose behalf, and what was other before it."""

    at: str
    what: str
    actor: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Version:
    """A memory, since when it is forgotten ("": it is not), and its events, oldest first."""

    memory: Memory
    forgotten_at: str
    events: tuple[Event, ...]


_ALIKE = """
WITH RECURSIVE
    older(key) AS (SELECT key FROM memory WHERE space = ?1 AND id = ?2
                   UNION SELECT m.key FROM older JOIN memory AS m ON m.replaced_by = older.key),
    newer(key) AS (SELECT key FROM memory WHERE space = ?1 AND id = ?2
                   UNION SELECT m.replaced_by FROM newer JOIN memory AS m ON m.key = newer.key
                   WHERE m.replaced_by IS NOT NULL)
SELECT id FROM memory WHERE key IN (SELECT key FROM older UNION SELECT key FROM newer) ORDER BY key
"""


class History:
    """The past of memories.

    Args:
        database: with the tables of `schema.MIGRATIONS`.

    Raises (every method): DatabaseUnusable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, space: str, id: str, now: str = "") -> list[Version]:
        """All versions of a memory, oldest first: itself, what it took the place of, and what took its place;
        forgotten ones too. None where the space does not have it, or it was erased."""
        rows = self._database.query(_ALIKE, (key_of(self._database, space), id))
        return self.versions(space, [str(one) for (one,) in rows], now)

    def versions(self, space: str, ids: Sequence[str], now: str = "") -> list[Version]:
        """These memories with their events, oldest first; forgotten ones too, and as such what has expired by
        `now`."""
        key = key_of(self._database, space)
        # The plus keeps SQLite from going through all of the space.
        rows = self._database.query(
            f"SELECT {COLUMNS}, "
            "ifnull(m.forgotten_at, CASE WHEN m.expires_at <= ? THEN m.expires_at ELSE '' END) "
            f"FROM memory AS m WHERE +m.space = ? AND m.id IN ({marks(ids)}) ORDER BY m.key",
            (now, key, *ids),
        )
        events: dict[str, list[Event]] = {}
        for id, at, what, actor, before in self._database.query(
            "SELECT memory, at, what, actor, ifnull(before, '{}') FROM event "
            f"WHERE memory IN ({marks(ids)}) AND space = ? ORDER BY id",
            (*ids, key),
        ):
            event = Event(
                at=str(at), what=str(what), actor=str(actor), before=cast(Any, json.loads(str(before)))
            )
            events.setdefault(str(id), []).append(event)
        return [
            Version(
                memory=(one := memory(columns)),
                forgotten_at=cast(str, forgotten_at),
                events=tuple(events.get(one.id, ())),
            )
            for *columns, forgotten_at in rows
        ]
