"""Erasing: taking memories out so that no byte of them is left in the database.

The one rule: what a memory said is also in its earlier versions and in what was derived from it, so they go
with it. The log of changed vectors stays: it holds numbers only, and tells the mirrors of other processes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

from pygent_memory.writing import Writer
from pygent_shared.database import Database

CHECKPOINT_MS = 5_000
"""How long the log of writes may be waited for when it is to be emptied."""

# Their earlier versions, and what was derived from them: all of that, or what is forgotten already.
_REACHED = """
WITH RECURSIVE gone(key) AS (
    SELECT key FROM memory WHERE +space = ?1 AND id IN (SELECT value FROM json_each(?2))
    UNION SELECT m.key FROM gone JOIN memory AS m ON m.replaced_by = gone.key
        WHERE ?3 OR m.forgotten_at IS NOT NULL
    UNION SELECT d.memory FROM gone JOIN derived_from AS d ON d.source = gone.key
        JOIN memory AS m ON m.key = d.memory WHERE ?3 OR m.forgotten_at IS NOT NULL
)
SELECT m.key, m.id, m.conversation FROM gone JOIN memory AS m ON m.key = gone.key ORDER BY m.key
"""


def reached(database: Database, space: int | None, ids: Sequence[str]) -> list[str]:
    """The ids of all that would be erased with these."""
    return [str(id) for _, id, _ in database.query(_REACHED, (space, json.dumps(list(ids)), True))]


class Eraser(Writer):
    """A `Writer` that erases."""

    def erase(self, ids: Sequence[str], *, living: bool = True) -> list[str]:
        """Delete memories, forgotten ones too, with their versions, passages, vectors, events and tags, and
        what was derived from them. Returns the ids of all that is gone.

        Args:
            living: also those of the latter that are not forgotten.
        """
        rows = cast(
            "list[tuple[int, str, int | None]]",
            self._connection.execute(_REACHED, (self.space, json.dumps(list(ids)), living)).fetchall(),
        )
        for _, id, _ in rows:
            self.forget(id)  # what stands around it no longer quotes it
        every = [(key,) for key, _, _ in rows]
        self._connection.executemany("DELETE FROM passage WHERE memory = ?", every)
        self._connection.executemany("DELETE FROM memory WHERE key = ?", every)
        self._connection.executemany(
            "DELETE FROM event WHERE memory = ? AND space = ?", [(id, self.space) for _, id, _ in rows]
        )
        self._connection.executemany(
            "DELETE FROM conversation WHERE id = ?1 "
            "AND NOT EXISTS (SELECT 1 FROM memory WHERE conversation = ?1)",
            [(conversation,) for conversation in {row[2] for row in rows} if conversation is not None],
        )
        return [id for _, id, _ in rows]


def empty_log(database: Database) -> bool:
    """Move the log of writes into the database file and empty it, so that what was erased is in neither.
    False where another process was reading all the while."""
    connection = database.read()
    ((waited,),) = connection.execute("PRAGMA busy_timeout").fetchall()
    connection.set_busy_timeout(CHECKPOINT_MS)
    try:
        ((busy, _, _),) = database.query("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.set_busy_timeout(cast(int, waited))
    return not busy


def copies(database: Database) -> list[str]:
    """The names of the copies that were made of the database, which may hold what is erased in it."""
    path = database.path
    folders = (path.parent / "backups", path.parent)
    return sorted(
        file.name
        for folder in folders
        if folder.is_dir()
        for file in folder.iterdir()
        if file.name.startswith(path.stem) and file.name not in _own(path.name)
    )


def _own(name: str) -> tuple[str, ...]:
    return (name, f"{name}-wal", f"{name}-shm", f"{name}-journal")
