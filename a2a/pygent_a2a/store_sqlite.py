"""What an A2A server keeps, in one SQLite file."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pygent_a2a.store import SCHEMA, Execute, Rows
from pygent_shared.database import Database
from pygent_shared.locks import try_lock

NAME = "a2a.db"
MIGRATIONS = (SCHEMA.format(if_not_exists="", blob="BLOB", serial="INTEGER PRIMARY KEY AUTOINCREMENT"),)


class SqliteEngine:
    """A file that several processes of one machine may share.

    What is written is safe from the end of this process at once, and from that of the machine after `flush`.
    """

    inline = True  # A write takes a tenth of a millisecond, less than it takes to ask a thread.

    def __init__(self, path: Path) -> None:
        self._database = Database(path, MIGRATIONS, backup=True)
        self._marks = path.with_name(path.name + "-replicas")
        self._mark: int | None = None

    def query(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        return self._database.query(sql, values)

    @contextmanager
    def writing(self) -> Iterator[Execute]:
        with self._database.write(durable=False) as connection:
            yield lambda sql, values: connection.execute(sql, values).fetchall()

    def now(self) -> float:
        return time.time()

    def enter(self, replica: str) -> None:
        """Hold the lock of a file as long as this process lives; the system takes it back in any case."""
        if self._mark is not None:
            return
        self._marks.mkdir(exist_ok=True)
        self._mark = os.open(self._marks / replica, os.O_RDWR | os.O_CREAT, 0o600)
        assert try_lock(self._mark), "a replica's name is its own"

    def is_gone(self, replica: str) -> bool:
        mark = self._marks / replica
        try:
            file = os.open(mark, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            if not try_lock(file):
                return False
        finally:
            os.close(file)
        with suppress(OSError):  # another may take it away at the same moment
            mark.unlink()
        return True

    def flush(self) -> None:
        self._database.flush()

    def close(self) -> None:
        self._database.close()
        if self._mark is not None:
            os.close(self._mark)
            self._mark = None
