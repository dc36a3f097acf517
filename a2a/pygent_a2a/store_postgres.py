"""What an A2A server keeps, in a PostgreSQL that several replicas share."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, LifoQueue
from typing import Any

import psycopg

from pygent_a2a.store import SCHEMA, Execute, Rows
from pygent_shared.errors import DatabaseUnusable
from pygent_shared.postgres import connected, line, shown

SETTING = "PYGENT_A2A_DATABASE"
INSTEAD = f"unset {SETTING}"
MOST_IDLE = 8
COMPARE_SECONDS = 30.0

_MAKE = SCHEMA.format(
    if_not_exists="IF NOT EXISTS", blob="BYTEA", serial="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
)
# Of the locks that only programs know: whoever makes the tables.
_LOCK = 0x61326173


class PostgresEngine:
    """A database that replicas on several machines may share.

    Raises:
        DatabaseUnusable: it cannot be reached, or this user may make no tables in it.
    """

    inline = False

    def __init__(self, url: str) -> None:
        self._url, self._name = url, shown(url, SETTING)
        self._idle: LifoQueue[psycopg.Connection] = LifoQueue(MOST_IDLE)
        self._closed = False
        self._ahead, self._compare_at = 0.0, 0.0
        with self._connection() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            for statement in filter(str.strip, _MAKE.split(";")):
                connection.execute(statement.encode())

    def query(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        with self._connection() as connection:
            return _rows(connection, sql, values)

    @contextmanager
    def writing(self) -> Iterator[Execute]:
        with self._connection() as connection, connection.transaction():
            yield lambda sql, values: _rows(connection, sql, values)

    def now(self) -> float:
        """By the database's clock, which is everyone's: how far it is from ours is looked up now and then."""
        if time.monotonic() > self._compare_at:
            ((theirs,),) = self.query("SELECT extract(epoch FROM clock_timestamp())::double precision")
            self._ahead, self._compare_at = float(theirs) - time.time(), time.monotonic() + COMPARE_SECONDS
        return time.time() + self._ahead

    def enter(self, replica: str) -> None:
        """Its beat is all that others see."""

    def is_gone(self, replica: str) -> bool:
        return False

    def flush(self) -> None:
        """It is on the disk already."""

    def close(self) -> None:
        self._closed = True
        self._forget()

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        """One that nobody else uses until the end of the block."""
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = connected(self._url, SETTING, INSTEAD)
        try:
            yield connection
        except psycopg.Error as error:
            if connection.broken:  # so are those that were opened before
                self._forget()
            raise DatabaseUnusable(
                self._name, f"refused a statement ({line(error)})", "Try again in a moment."
            ) from error
        finally:
            if connection.closed or self._closed or self._idle.full():
                connection.close()
            else:
                self._idle.put_nowait(connection)

    def _forget(self) -> None:
        while not self._idle.empty():
            self._idle.get_nowait().close()


def _rows(connection: psycopg.Connection, sql: str, values: Sequence[Any]) -> Rows:
    cursor = connection.execute(sql.replace("?", "%s").encode(), values)
    return cursor.fetchall() if cursor.description else []
