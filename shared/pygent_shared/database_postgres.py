"""A PostgreSQL in the place of a SQLite file, for what several machines share.

It takes the statements of `Database`, where they are such as both know; `?` and `?1` stand for values. The
one rule is that of `Database`: writes happen inside `write()`, one at a time, and nothing slow runs there.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, LiteralString, Protocol

from pygent_shared.errors import DatabaseUnusable, MissingExtra

if TYPE_CHECKING:
    import psycopg

_VALUE = re.compile(r"\?(\d+)?")


class Rows(Protocol):
    """What `Database` and `PostgresDatabase` have in common."""

    def query(self, sql: str, bindings: Any = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement that only reads."""

    def snapshot(self) -> AbstractContextManager[Any]:
        """Several reads of the same state, whatever others write meanwhile."""

    def write(self, *, durable: bool = True) -> AbstractContextManager[Any]:
        """One short write transaction, which waits for others."""

    def close(self) -> None:
        """It cannot be used afterwards."""


class PostgresDatabase:
    """The tables of one schema. Its connection is made anew after one was lost.

    Args:
        url: as libpq reads it.
        setting: the variable that the URL stands in.
        schema: made if it is missing.
        migrations: SQL scripts in order, as for `Database`.

    Raises:
        MissingExtra: the driver is not installed.
        DatabaseUnusable: it cannot be reached, or was written by a newer version.
    """

    def __init__(self, url: str, setting: str, schema: LiteralString, migrations: Sequence[str]) -> None:
        try:
            import pygent_shared.postgres  # noqa: F401
        except ImportError as error:
            raise MissingExtra(setting, "postgres") from error
        self._url, self._setting, self._schema = url, setting, schema
        self._migrations = migrations
        self._lock = threading.RLock()
        self._connection: psycopg.Connection | None = None
        with self._used():
            pass

    def query(self, sql: str, bindings: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._used() as connection:
            return _Statements(connection).execute(sql, bindings).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[_Statements]:
        with self._used() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield _Statements(connection)

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[_Statements]:
        with self._used() as connection, connection.transaction():
            self._alone(connection)
            if not durable:
                connection.execute("SET LOCAL synchronous_commit = off")
            yield _Statements(connection)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _used(self) -> Iterator[psycopg.Connection]:
        """The connection, for one thread at a time."""
        import psycopg

        from pygent_shared.postgres import line, shown

        with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._opened()
                yield self._connection
            except psycopg.OperationalError as error:
                name = shown(self._url, self._setting)
                raise DatabaseUnusable(
                    name, f"was lost ({line(error)})", "Start it, and try again."
                ) from error

    def _opened(self) -> psycopg.Connection:
        import psycopg

        from pygent_shared.postgres import connected, make

        connection = connected(self._url, self._setting, f'export {self._setting}=""')
        try:
            connection.cursor_factory = psycopg.ClientCursor
            make(connection, f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
            connection.execute(f"SET search_path TO {self._schema}")
            make(connection, "CREATE TABLE IF NOT EXISTS schema_version (number integer NOT NULL)")
            with connection.transaction():
                self._alone(connection)
                self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _alone(self, connection: psycopg.Connection) -> None:
        """Wait until nobody else writes, until the end of the transaction."""
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('pygent'), hashtext(%s))", (self._schema,))

    def _migrate(self, connection: psycopg.Connection) -> None:
        known = len(self._migrations)
        row = connection.execute("SELECT max(number) FROM schema_version").fetchone()
        version = (row[0] if row else None) or 0
        if version > known:
            why = f"is of a newer version of this program ({self._schema} has version {version})"
            raise DatabaseUnusable(self._setting, why, "Use that version here too.")
        for number in range(version, known):
            connection.execute(self._migrations[number])
            connection.execute("INSERT INTO schema_version VALUES (%s)", (number + 1,))


class _Statements:
    """Takes statements as SQLite does."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, bindings: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
        values = {f"v{number}": value for number, value in enumerate(bindings, start=1)}
        return self._connection.execute(_translated(sql), values)


@cache
def _translated(sql: str) -> str:
    """A statement with psycopg's names for its values."""
    count = 0

    def named(found: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"%(v{found[1] or count})s"

    return _VALUE.sub(named, sql.replace("%", "%%"))
