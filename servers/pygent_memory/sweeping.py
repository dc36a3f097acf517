"""Sweeping: what has expired is forgotten, and erased a month later; what has ended goes to the past's shelf.

It happens in the transaction of a write and when a server starts, some at a time, and never in a read: no
answer waits for it, for what expired or ended is in none from its second on.
"""

from __future__ import annotations

from typing import cast

import apsw

from pygent_memory.erasing import Eraser
from pygent_memory.expiry import after
from pygent_shared.database import Database

AT_ONCE = 50
"""Most memories of each sort that one write sweeps."""

UNDO_DAYS = 30
"""How long what expired can be brought back."""

ACTOR = "expiry"

_DUE = f"""
    SELECT s.name, m.id FROM memory AS m JOIN space AS s ON s.id = m.space
    WHERE m.expires_at <= ? AND m.expires_at IS NOT NULL AND m.forgotten_at IS NULL
    LIMIT {AT_ONCE}
"""
_OVER = f"""
    SELECT s.name, m.id FROM memory AS m JOIN space AS s ON s.id = m.space
    WHERE m.forgotten_at <= ? AND m.forgotten_at IS NOT NULL AND m.expires_at <= m.forgotten_at
    LIMIT {AT_ONCE}
"""
_ENDED = f"""
    SELECT s.name, m.key FROM memory AS m JOIN space AS s ON s.id = m.space
    WHERE m.valid_to <= ? AND m.valid_to IS NOT NULL AND m.forgotten_at IS NULL AND m.past = 0
    LIMIT {AT_ONCE}
"""


def is_due(database: Database, now: str) -> bool:
    """Whether there is anything to sweep."""
    moments = ((_DUE, now), (_OVER, after(-UNDO_DAYS, now)), (_ENDED, now))
    return any(database.query(sql, (moment,)) for sql, moment in moments)


def sweep(connection: apsw.Connection, now: str) -> None:
    """Sweep all spaces, inside a write transaction. Three looks into an index where nothing is due."""
    for space, id in connection.execute(_DUE, (now,)).fetchall():
        Eraser(connection, cast(str, space), now, ACTOR).forget(cast(str, id), "expired")
    for space, id in connection.execute(_OVER, (after(-UNDO_DAYS, now),)).fetchall():
        Eraser(connection, cast(str, space), now, ACTOR).erase([cast(str, id)], living=False)
    for space, key in connection.execute(_ENDED, (now,)).fetchall():
        Eraser(connection, cast(str, space), now, ACTOR).shelve(cast(int, key), past=True)
