"""Putting a backup in the place of a database.

The one rule: there is a whole database at the path at every moment, and the one that was there stays beside.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import apsw

from pygent_shared.database import damage, unusable
from pygent_shared.errors import DatabaseUnusable, FileRefused

_PATIENCE_MS = 2_000


def restore(path: Path, backup: Path, *, table: str, known: int) -> Path | None:
    """Let `backup` be the database at `path`. Returns where the database that was there lies now, if any.

    Args:
        table: one that a database of this kind has.
        known: the newest version of the tables that this program knows.

    Raises:
        FileRefused: the backup is none, is damaged, or was written by a newer version.
        DatabaseUnusable: another process uses the database, or the folder cannot be written.
    """
    _check(backup, table, known)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(backup, partial)
        _flush(partial)
        aside = _set_aside(path) if path.exists() else None
        if aside is not None:
            partial.chmod(aside.stat().st_mode & 0o777)
        partial.replace(path)
    except OSError as error:
        raise unusable(path, error) from error
    finally:
        partial.unlink(missing_ok=True)
    return aside


def _check(backup: Path, table: str, known: int) -> None:
    if not backup.is_file():
        raise FileRefused(backup, "is no file", "Name a backup, or leave it out to restore the newest.")
    if found := damage(backup):
        raise FileRefused(backup, f"is damaged ({found[0]}), so it is not restored", "Choose another backup.")
    connection = apsw.Connection(f"{backup.absolute().as_uri()}?immutable=1", flags=_READ)
    try:
        version = int(connection.pragma("user_version"))
        held = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchall()
    finally:
        connection.close()
    if not held or not version:
        raise FileRefused(backup, f'is another kind of database: it has no "{table}"', "Name a backup of it.")
    if version > known:
        why = f"was written by a newer version (its schema is {version}, this program knows {known})"
        raise FileRefused(backup, why, "Upgrade: pip install -U pygent-factory")


_READ = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


def _set_aside(path: Path) -> Path:
    """Give a database that nobody else uses a second name, with its log written into it.

    A damaged one is not touched: its log goes with it.
    """
    aside = _free_name(path)
    if damage(path):
        _move(path.with_name(path.name + "-wal"), aside.with_name(aside.name + "-wal"))
        path.with_name(path.name + "-shm").unlink(missing_ok=True)
    else:
        _finish(path)
    try:
        aside.hardlink_to(path)
    except OSError:  # a file system without hard links
        shutil.copy2(path, aside)
    return aside


def _finish(path: Path) -> None:
    """Write a database's log into it. Only whoever is alone with it can, which is how that is known."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(_PATIENCE_MS)
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        finally:
            connection.close()
    except (apsw.BusyError, apsw.LockedError) as error:
        cure = "End the servers that use it (pygent list shows them), then restore again."
        raise DatabaseUnusable(path, "is in use by another process", cure) from error
    except apsw.Error as error:
        raise unusable(path, error) from error


def _free_name(path: Path) -> Path:
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    number, aside = 1, path.with_name(f"{path.name}.replaced-{at}")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.replaced-{at}-{number}")
    return aside


def _move(path: Path, target: Path) -> None:
    if path.exists():
        path.rename(target)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
