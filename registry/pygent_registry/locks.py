"""Locks between processes, on files: held until they are given back or the process that holds them ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.005


@contextmanager
def held_beside(path: Path, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the lock of a file that is replaced as a whole: `.<name>.lock` in its folder, which stays there.

    Waits without an event loop: for what is held for milliseconds.

    Raises:
        OSError: the lock cannot be had; TimeoutError among them, where another process keeps it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + patience
        while not try_lock(file):
            if time.monotonic() > deadline:
                raise TimeoutError(None, "another process keeps it locked")
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            unlock(file)
    finally:
        os.close(file)


if sys.platform == "win32":
    import msvcrt

    def try_lock(file: int) -> bool:
        """Whether the lock on an open file could be had at once."""
        os.lseek(file, 0, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(file: int) -> None:
        """Give it back."""
        os.lseek(file, 0, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(file: int) -> bool:
        """Whether the lock on an open file could be had at once."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(file: int) -> None:
        """Give it back."""
        fcntl.flock(file, fcntl.LOCK_UN)
