"""Backups of a database: whole copies in a folder `backups` beside it, dated, and named with their version.

They are made by SQLite's own backup, while others read and write. The one rule: a backup has its name only
once it is whole, and what may be the last of its version is never deleted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import apsw

KEPT = 7
FOLDER = "backups"

_AT = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(?P<at>\d{8}T\d{6}Z)(?:-(?P<number>\d+))?-v(?P<version>\d+)")


@dataclass(frozen=True, kw_only=True)
class Backup:
    """One backup: the file, when it was made (UTC), the version of its tables, and its bytes."""

    path: Path
    at: datetime
    number: int
    version: int
    size: int


def backups_of(path: Path) -> list[Backup]:
    """The backups of the database at `path`, newest first.

    Raises:
        OSError: their folder cannot be read.
    """
    folder = path.parent / FOLDER
    if not folder.is_dir():
        return []
    found = [backup for file in folder.iterdir() if (backup := _backup(path, file)) is not None]
    return sorted(found, key=lambda backup: (backup.at, backup.number), reverse=True)


def back_up(path: Path, now: datetime | None = None) -> Backup:
    """Copy the database at `path` as it is now, and let go of the oldest copies but `KEPT`.

    Raises:
        apsw.Error: the database cannot be read, or the copy not be written.
        OSError: the folder cannot be written.
    """
    folder = path.parent / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    partial = folder / f".{path.name}.{os.getpid()}.partial"
    partial.unlink(missing_ok=True)
    try:
        version = _copy(path, partial)
        partial.chmod(path.stat().st_mode & 0o777)
        target = _free_name(path, now or datetime.now(UTC), version)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    made = _backup(path, target)
    assert made is not None
    for old in surplus(backups_of(path)):
        old.path.unlink(missing_ok=True)
    return made


def surplus(backups: Sequence[Backup], kept: int = KEPT) -> list[Backup]:
    """Those of some backups, newest first, that need not be kept."""
    versions = {backup.version for backup in backups[:kept]}
    found = []
    for backup in backups[kept:]:
        if backup.version in versions:
            found.append(backup)
        versions.add(backup.version)
    return found


def _copy(path: Path, target: Path) -> int:
    """Copy a database into one file, with no log beside it. Returns its version."""
    source = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        copy = apsw.Connection(str(target))
        try:
            with copy.backup("main", source, "main") as backup:
                backup.step()
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()
            return int(copy.pragma("user_version"))
        finally:
            copy.close()
    finally:
        source.close()


def _free_name(path: Path, now: datetime, version: int) -> Path:
    at, number = now.astimezone(UTC).strftime(_AT), 1
    while True:
        again = f"-{number}" if number > 1 else ""
        target = path.parent / FOLDER / f"{path.stem}-{at}{again}-v{version}{path.suffix}"
        if not target.exists():
            return target
        number += 1


def _backup(path: Path, file: Path) -> Backup | None:
    """The backup of a database that a file is; None where it is something else."""
    prefix = f"{path.stem}-"
    if file.suffix != path.suffix or not file.stem.startswith(prefix):
        return None
    if (name := _NAME.fullmatch(file.stem.removeprefix(prefix))) is None:
        return None
    return Backup(
        path=file,
        at=datetime.strptime(name["at"], _AT).replace(tzinfo=UTC),
        number=int(name["number"] or 1),
        version=int(name["version"]),
        size=file.stat().st_size,
    )
