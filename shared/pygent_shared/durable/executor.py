"""Which processes are at work on one store, and which have died: each holds a lock for as long as it lives.

No heartbeat and no clock: the system, or PostgreSQL, lets go of a dead process's lock at once.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from pygent_shared.locks import try_lock, unlock

_SUFFIX = ".lock"


class Executor(Protocol):
    """This process as one that executes workflows: its id is held for as long as it lives."""

    id: str

    def is_dead(self, id: str) -> bool:
        """Whether the process of another id has ended. Its lock is not kept."""

    def close(self) -> None:
        """Let go of this process's id."""


class FileExecutor:
    """On one machine: a locked file in a folder that all processes on the store share.

    Args:
        folder: made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.id = uuid4().hex
        self._file = os.open(self._path(self.id), os.O_RDWR | os.O_CREAT, 0o600)
        assert try_lock(self._file)

    def is_dead(self, id: str) -> bool:
        if id == self.id:
            return False
        try:
            file = os.open(self._path(id), os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            if not try_lock(file):
                return False
            unlock(file)
            return True
        finally:
            os.close(file)

    def close(self) -> None:
        self._path(self.id).unlink(missing_ok=True)
        os.close(self._file)

    def tidy(self) -> None:
        """Take away the files of those that died."""
        for path in self._folder.glob("*" + _SUFFIX):
            if self.is_dead(path.stem):
                path.unlink(missing_ok=True)

    def _path(self, id: str) -> Path:
        return self._folder / (id + _SUFFIX)


class PostgresExecutor:
    """On several machines: an advisory lock of a session with the database that all share.

    Args:
        url: of the database, as libpq reads it.
    """

    def __init__(self, url: str) -> None:
        import psycopg

        self.id = uuid4().hex
        self._session: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True)
        self._session.execute("SELECT pg_advisory_lock(%s, %s)", _key(self.id))

    def is_dead(self, id: str) -> bool:
        if id == self.id:
            return False
        (free,) = self._session.execute("SELECT pg_try_advisory_lock(%s, %s)", _key(id)).fetchone() or (
            False,
        )
        if free:
            self._session.execute("SELECT pg_advisory_unlock(%s, %s)", _key(id))
        return bool(free)

    def close(self) -> None:
        self._session.close()


def _key(id: str) -> tuple[int, int]:
    """Two numbers of 32 bits, as PostgreSQL names locks."""
    return zlib.crc32(b"pygent") - 2**31, zlib.crc32(id.encode()) - 2**31
