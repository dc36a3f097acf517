"""SQLite, opened in one place: through apsw, which carries a recent SQLite and loads extensions anywhere.

Many Pythons cannot load extensions through the standard library's `sqlite3`, and the SQLite they carry has
the WAL-reset bug (3.7.0 to 3.51.2). The one rule: writes happen inside `Database.write()`, which is a
`BEGIN IMMEDIATE` transaction, and nothing slow (a model, the network) runs inside it.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote
from weakref import WeakSet

import apsw

from pygent_shared.backups import Backup, back_up
from pygent_shared.errors import DatabaseUnusable

BUSY_TIMEOUT_MS = 30_000
# Of SQLite's virtual machine, between two looks at the clock: about a millisecond.
_STEPS = 10_000

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
        functions: SQL functions of one argument that scripts and triggers call, by name.
        backup: copy a file that is to be migrated first; see `pygent_shared.backups`.

    Raises:
        DatabaseUnusable: the file cannot be opened, is no SQLite database, is damaged, or was written by a
            newer version. The file is left exactly as it was.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        functions: Mapping[str, Callable[..., str]] | None = None,
        *,
        backup: bool = False,
    ) -> None:
        self.path = path
        self._migrations = migrations
        self._functions = functions or {}
        self._backup = backup
        self._local = threading.local()
        self._opened: WeakSet[apsw.Connection] = WeakSet()  # a connection ends with its thread
        self._lock = threading.Lock()
        self._closed = False
        self._loose = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable(path, error) from error
        try:
            with self._mapped_errors():
                self._migrate()
        except DatabaseUnusable:
            self.close()
            raise

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
    def snapshot(self) -> Iterator[apsw.Connection]:
        """Several reads of the same state, whatever others write meanwhile."""
        with self._mapped_errors():
            connection = self.read()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    def state(self) -> tuple[int, int]:
        """A value that differs from the one before, in this thread, if anything was written since."""
        with self._mapped_errors():
            connection = self.read()
            ((version,),) = connection.execute("PRAGMA data_version").fetchall()
            return int(str(version)), connection.total_changes()

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[apsw.Connection]:
        """One short write transaction: committed at the end of the block, rolled back if it raises.

        Waits up to 30 s for another writer.

        Args:
            durable: have it on the disk at the end of the block. If not, it is safe from the end of this
                process at once, and from that of the machine after the next durable one or `flush`.
        """
        with self._mapped_errors():
            connection = self.read()
            if not durable:
                connection.execute("PRAGMA synchronous = NORMAL")
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if not durable:
                    self._loose = True
                    connection.execute("PRAGMA synchronous = FULL")

    def flush(self) -> None:
        """Have all that this object wrote so far on the disk."""
        if self._loose:
            self._loose = False
            with self.write() as connection:
                connection.pragma("user_version", self._version())  # the least that makes a commit

    def check(self) -> list[str]:
        """What SQLite's `integrity_check` finds wrong; empty when the file is sound."""
        findings: list[str] = []
        with self._mapped_errors():
            try:
                findings += [str(row[0]) for row in self.read().execute("PRAGMA integrity_check")]
            except apsw.CorruptError as error:  # too much so to look further
                findings.append(str(error))
        return [] if findings == ["ok"] else findings

    def back_up(self) -> Backup:
        """Copy the database as it is now; see `pygent_shared.backups`."""
        try:
            with self._mapped_errors():
                return back_up(self.path)
        except OSError as error:
            raise unusable(self.path, error) from error

    def close(self) -> None:
        """Close every thread's connection; one that is in a statement ends with its thread.

        The object cannot be used afterwards.
        """
        with self._lock:
            self._closed = True
            for connection in list(self._opened):
                with suppress(apsw.ThreadingViolationError):
                    connection.close()

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path))
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.enable_load_extension(True)
        connection.load_extension(_sqlite_vec())
        connection.enable_load_extension(False)
        for name, function in self._functions.items():
            connection.create_scalar_function(name, function, 1, deterministic=True)
        _configure(connection)
        with self._lock:
            if self._closed:
                raise apsw.ConnectionClosedError("it was closed")
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
            if self._backup and 0 < self._version() < known:
                self.back_up()
            for number in range(self._version(), known):
                connection.execute(self._migrations[number]).fetchall()
            connection.pragma("user_version", known)

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        """The one border where apsw's errors become ours."""
        try:
            yield
        except apsw.Error as error:
            raise unusable(self.path, error) from error


@cache
def _sqlite_vec() -> str:
    """The extension's path, without importing its package: that imports numpy, a tenth of a second."""
    spec = find_spec("sqlite_vec")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).with_name("vec0"))


def _configure(connection: apsw.Connection) -> None:
    """Set the pragmas. SQLite waits for no lock when it turns a new file to WAL, so this does: two processes
    may make the same file at once."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            # Fetched to the end: apsw stops at a statement that gives a row, and the others would never run.
            connection.execute(_PRAGMAS).fetchall()
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def damage(path: Path, *, within: float | None = None) -> list[str]:
    """What is wrong with a database file; empty when it is sound. No file is made or changed for it.

    Given seconds, it looks for that long at most, not into the indexes, and says what it has found by then.

    SQLite keeps what other processes may still be writing in `-wal`, whose index is `-shm`. Without the first
    the file is read as it lies; without the second, which SQLite would make, a copy of both is read.
    """
    wal, index = path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")
    if not wal.exists():
        found = _damage(path, "immutable=1", within)
        return found if not wal.exists() else _damage(path, "mode=ro", within)  # somebody opened it meanwhile
    if index.exists():
        return _damage(path, "mode=ro", within)
    with TemporaryDirectory() as folder:
        copied = shutil.copy(path, folder)
        shutil.copy(wal, folder)
        return _damage(Path(copied), "mode=ro", within)


def _damage(path: Path, how: str, within: float | None) -> list[str]:
    until = time.monotonic() + (float("inf") if within is None else within)
    check = "integrity_check" if within is None else "quick_check"
    found: list[str] = []
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        connection = apsw.Connection(f"file:{quote(str(path))}?{how}", flags=flags)
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS if within is None else int(within * 1000))
            connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
            found += [str(row[0]) for row in connection.execute(f"PRAGMA {check}")]
        except apsw.InterruptError:  # its time is over
            pass
        finally:
            connection.close()
    except apsw.Error as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def unusable(path: Path, error: apsw.Error | OSError) -> DatabaseUnusable:
    """What an apsw or operating system error means to a person: what, why, and what to do."""
    why = error.strerror if isinstance(error, OSError) else str(error)
    aside = f'It was left untouched. Set it aside and start afresh: mv "{path}" "{path}.damaged"'
    match error:
        case apsw.NotADBError() | apsw.CorruptError():
            return DatabaseUnusable(path, f"is damaged ({why})", aside)
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
            return DatabaseUnusable(path, f"cannot be opened for writing ({why})", cure)
        case apsw.BusyError() | apsw.LockedError():
            seconds = BUSY_TIMEOUT_MS // 1000
            return DatabaseUnusable(
                path, f"stayed locked by another process for {seconds} s", "Try again in a moment."
            )
        case apsw.FullError() | apsw.IOError():
            return DatabaseUnusable(path, f"could not be written ({why})", "Free space on that disk.")
        case _:
            return DatabaseUnusable(path, f"refused a statement ({why})", "Please report this as a defect.")
