"""Which memory each passage is of, kept in memory: 8 bytes a passage, where a table a hundred times as wide
would be looked into.

The one rule: a passage stays that of its memory and its number is never used twice, so what was read once
needs no second look. One that is gone is still told of: whoever asks looks into what is there now.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Collection, Sequence
from typing import cast

from pygent_shared.database import Database

AT_ONCE = 2_000
"""Passages read in one query."""


class Owners:
    """The memories that the passages in a database are of, by number. Safe for several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys = array("q", [0])
        self._lock = threading.Lock()

    def last(self) -> int:
        """The highest number of a passage, about how many there are."""
        with self._lock:
            return self._read_on()

    def of(self, passages: Collection[int]) -> dict[int, int]:
        """The numbers of their memories, by those of the passages; without what never was."""
        keys = self._keys
        if max(passages, default=0) >= len(keys):
            self.last()
        return {passage: keys[passage] for passage in passages if passage < len(keys) and keys[passage]}

    def _read_on(self) -> int:
        last = len(self._keys) - 1
        if self._database.read().in_transaction:  # what it wrote may never have been
            return last
        rows = self._query("SELECT id, memory FROM passage WHERE id > ? ORDER BY id LIMIT ?", last, AT_ONCE)
        if len(rows) == AT_ONCE:
            ((last,),) = cast("list[tuple[int]]", self._database.query("SELECT max(id) FROM passage"))
            self._extend(last)
            self._read_all()
        elif rows:
            self._extend(rows[-1][0])
            self._take(rows)
        return len(self._keys) - 1

    def _read_all(self) -> None:
        """By the index over memories, which is read in a hundredth of the time."""
        after = 0, 0
        while rows := self._query(
            "SELECT id, memory FROM passage INDEXED BY passage_of_memory WHERE (memory, id) > (?, ?) "
            "ORDER BY memory, id LIMIT ?",
            *after,
            AT_ONCE,
        ):
            self._take(rows)
            after = rows[-1][1], rows[-1][0]

    def _extend(self, last: int) -> None:
        self._keys.frombytes(bytes(self._keys.itemsize * (last + 1 - len(self._keys))))

    def _take(self, rows: Sequence[tuple[int, int]]) -> None:
        for passage, key in rows:
            if passage < len(self._keys):  # else it came meanwhile, and is read another time
                self._keys[passage] = key

    def _query(self, sql: str, *bindings: int) -> list[tuple[int, int]]:
        return cast("list[tuple[int, int]]", self._database.query(sql, bindings))
