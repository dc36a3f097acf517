"""SQLite, opened in one place: through apsw, which carries a recent SQLite and loads extensions anywhere.

Many Pythons cannot load extensions through the standard library's `sqlite3`, and the SQLite they carry has
the WAL-reset bug (3.7.0 to 3.51.2). The one rule: writes happen inside `Database.write()`, which is a
`BEGIN IMMEDIATE` transaction, and nothing slow (a model, the network) runs inside it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakSet

import apsw
import sqlite_vec

from pygent_shared.errors import DatabaseUnusable

BUSY_TIMEOUT_MS = 30_000

_PRAGMAS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA secure_delete = ON;
"""


class Database:
    """One SQLite file, safe for several threads and several processes at once.

    Each thread gets a connection of its own; all are closed together by `close`.

    Args:
        path: the file; its folder is made if missing.
        migrations: SQL scripts in order; script N takes the file from version N to N + 1, kept in SQLite's
            `user_version`. Scripts already applied are never run again.

    Raises:
        DatabaseUnusable: the file cannot be opened, is no SQLite database, is damaged, or was written by a
            newer version. The file is left exactly as it was.
    """

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self.path = path
        self._migrations = migrations
        self._local = threading.local()
        self._opened: WeakSet[apsw.Connection] = WeakSet()  # a connection ends with its thread
        self._lock = threading.Lock()
        with self._mapped_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._migrate()

    def read(self) -> apsw.Connection:
        """This thread's connection, for statements that only read. Prefer `query`."""
        if (connection := getattr(self._local, "connection", None)) is None:
            connection = self._local.connection = self._connect()
        return connection

    def query(self, sql: str, bindings: apsw.Bindings = ()) -> list[tuple[apsw.SQLiteValue, ...]]:
        """All rows of a statement that only reads."""
        with self._mapped_errors():
            return list(self.read().execute(sql, bindings))

    @contextmanager
    def write(self) -> Iterator[apsw.Connection]:
        """One short write transaction: committed at the end of the block, rolled back if it raises.

        Waits up to 30 s for another writer.
        """
        with self._mapped_errors():
            connection = self.read()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def check(self) -> list[str]:
        """What SQLite's `integrity_check` finds wrong; empty when the file is sound."""
        findings = [str(row[0]) for row in self.query("PRAGMA integrity_check")]
        return [] if findings == ["ok"] else findings

    def close(self) -> None:
        """Close every thread's connection. The object cannot be used afterwards."""
        with self._lock:
            for connection in list(self._opened):
                connection.close()
            self._opened.clear()

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path))
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        connection.enable_load_extension(False)
        connection.execute(_PRAGMAS)
        with self._lock:
            self._opened.add(connection)
        return connection

    def _version(self) -> int:
        (version,) = self.read().execute("PRAGMA user_version").fetchone() or (0,)
        return int(str(version))

    def _migrate(self) -> None:
        known = len(self._migrations)
        if (version := self._version()) == known:
            return
        if version > known:
            raise DatabaseUnusable(
                self.path,
                f"was written by a newer version (its schema is {version}, this program knows {known})",
                "Upgrade: pip install -U pygent-factory",
            )
        with self.write() as connection:
            # Another process may have migrated while this one waited for the lock.
            for number in range(self._version(), known):
                connection.execute(self._migrations[number])
            connection.pragma("user_version", known)

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        """The one border where apsw's errors become ours."""
        try:
            yield
        except (apsw.Error, OSError) as error:
            raise unusable(self.path, error) from error


def unusable(path: Path, error: apsw.Error | OSError) -> DatabaseUnusable:
    """What an apsw or operating system error means to a person: what, why, and what to do."""
    aside = f'It was left untouched. Set it aside and start afresh: mv "{path}" "{path}.damaged"'
    match error:
        case apsw.NotADBError() | apsw.CorruptError():
            return DatabaseUnusable(path, f"is damaged ({error})", aside)
        case (
            apsw.CantOpenError()
            | apsw.ReadOnlyError()
            | apsw.PermissionsError()
            | apsw.AuthError()
            | OSError()
        ):
            cure = (
                "Check the folder's permissions, or choose another one: export PYGENT_DATA_DIR=~/pygent-data"
            )
            return DatabaseUnusable(path, f"cannot be opened for writing ({error})", cure)
        case apsw.BusyError() | apsw.LockedError():
            seconds = BUSY_TIMEOUT_MS // 1000
            return DatabaseUnusable(
                path, f"stayed locked by another process for {seconds} s", "Try again in a moment."
            )
        case apsw.FullError() | apsw.IOError():
            return DatabaseUnusable(path, f"could not be written ({error})", "Free space on that disk.")
        case _:
            return DatabaseUnusable(path, f"refused a statement ({error})", "Please report this as a defect.")
