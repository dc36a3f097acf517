"""A run taken back, inside one transaction, last step first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import apsw

from pygent_memory.writing import Writer


@dataclass(frozen=True, kw_only=True)
class Undone:
    """What taking a run back did: the ids it took out, those that hold again, and those that do not because
    the same was told again since, or because something else has replaced them."""

    forgotten: tuple[str, ...]
    restored: tuple[str, ...]
    left: tuple[str, ...]


class Undoing:
    """Takes back the steps of a run.

    Args:
        connection: in a write transaction.
        writer: of the same transaction.
        run: the number of the run.
    """

    def __init__(self, connection: apsw.Connection, writer: Writer, run: int) -> None:
        self._connection = connection
        self._writer = writer
        self._run = run

    def all(self, now: str) -> Undone:
        """Take all steps back, and hand the run's pages out again."""
        steps = self._connection.execute(
            "SELECT c.memory, m.id, c.what, c.other, c.expires_at FROM consolidated AS c "
            "JOIN memory AS m ON m.key = c.memory WHERE c.run = ? ORDER BY c.id DESC",
            (self._run,),
        ).fetchall()
        met: dict[str, list[str]] = {"forgotten": [], "restored": [], "left": []}
        for key, id, what, other, expires_at in cast(
            "list[tuple[int, str, str, int | None, str | None]]", steps
        ):
            if what == "repeated":
                self._tell_less(key, other)
            elif what == "replaced":
                met["restored" if self._restore(key, id, other) else "left"].append(id)
            elif what == "kept":
                self._connection.execute("UPDATE memory SET expires_at = ? WHERE key = ?", (expires_at, key))
            elif self._writer.forget(id) == "live":
                met["forgotten"].append(id)
        self._hand_out_again(now)
        return Undone(**{name: tuple(ids) for name, ids in met.items()})

    def _tell_less(self, key: int, source: int | None) -> None:
        if source is None:
            self._connection.execute("UPDATE memory SET seen = max(seen - 1, 1) WHERE key = ?", (key,))
        else:
            self._connection.execute(
                "DELETE FROM derived_from WHERE memory = ? AND source = ?", (key, source)
            )

    def _restore(self, key: int, id: str, by: int | None) -> bool:
        """Let a memory hold again as it did, unless its equal does."""
        rows = self._connection.execute(
            "UPDATE memory AS m SET replaced_at = NULL, replaced_by = NULL "
            "WHERE key = ? AND replaced_by = ? AND NOT EXISTS (SELECT 1 FROM memory AS o "
            "WHERE o.space = m.space AND o.fingerprint = m.fingerprint AND o.key <> m.key "
            "AND o.forgotten_at IS NULL AND o.replaced_at IS NULL AND m.forgotten_at IS NULL) RETURNING id",
            (key, by),
        ).fetchall()
        if rows:
            self._writer.shelve(key, past=False)
            self._writer.record(id, "restored")
        return bool(rows)

    def _hand_out_again(self, now: str) -> None:
        """Pairs that were found are open again; those that only the judge named are no more."""
        for sql in (
            "DELETE FROM memory_pair WHERE run = ? AND likeness = 0",
            "UPDATE memory_pair SET verdict = NULL, run = NULL WHERE run = ?",
            "UPDATE memory SET read_by = NULL WHERE read_by = ?",
        ):
            self._connection.execute(sql, (self._run,))
        self._connection.execute(
            "UPDATE relation SET forgotten_at = ? WHERE forgotten_at IS NULL "
            "AND id IN (SELECT relation FROM entity_pair WHERE run = ?)",
            (now, self._run),
        )
        self._connection.execute("DELETE FROM entity_pair WHERE run = ?", (self._run,))
        self._connection.execute("UPDATE consolidation SET undone_at = ? WHERE id = ?", (now, self._run))
