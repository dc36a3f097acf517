"""The entities and relations of a name, as they are forgotten, brought back and erased with what is known."""

from __future__ import annotations

from pygent_memory.writing import Writer

WHAT = "names forgotten"

_NAMES = "(?2 = '' OR {} = ?2 COLLATE NOCASE)"
_ENTITY = _NAMES.format("name")
_RELATION = f"({_NAMES.format('source')} OR {_NAMES.format('target')})"


class NameWriter(Writer):
    """A `Writer` of names; "" stands for all names of the space."""

    def forget_name(self, name: str, receipt: str) -> None:
        """Forget the entity of a name, and the relations from and to it."""
        gone = 0
        for table, which in (("entity", _ENTITY), ("relation", _RELATION)):
            gone += len(
                self._connection.execute(
                    f"UPDATE {table} SET forgotten_at = ?3 "
                    f"WHERE space = ?1 AND forgotten_at IS NULL AND {which} RETURNING id",
                    (self.space, name, self._now),
                ).fetchall()
            )
        if gone:
            self.record("", WHAT, {"receipt": receipt, "name": name})

    def restore_names(self, receipt: str) -> None:
        """Bring back what was forgotten under a receipt; what was told again since stays as it is."""
        rows = self._connection.execute(
            "SELECT at, json_extract(before, '$.name') FROM event "
            "WHERE space = ? AND memory = '' AND what = ? AND json_extract(before, '$.receipt') = ?",
            (self.space, WHAT, receipt),
        ).fetchall()
        for at, name in rows:
            for table, which in (("entity", _ENTITY), ("relation", _RELATION)):
                self._connection.execute(
                    f"UPDATE OR IGNORE {table} SET forgotten_at = NULL "
                    f"WHERE space = ?1 AND forgotten_at = ?3 AND {which}",
                    (self.space, name, at),
                )

    def erase_name(self, name: str) -> None:
        """Delete the entity of a name, and the relations from and to it, forgotten ones too."""
        for table, which in (("entity", _ENTITY), ("relation", _RELATION)):
            self._connection.execute(f"DELETE FROM {table} WHERE space = ?1 AND {which}", (self.space, name))
        self._connection.execute(
            "DELETE FROM event WHERE space = ?1 AND memory = '' AND what = ?3 AND "
            + _NAMES.format("json_extract(before, '$.name')"),
            (self.space, name, WHAT),
        )
