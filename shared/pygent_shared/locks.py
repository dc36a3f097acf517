"""Locks between processes on an open file. The system releases them when a process ends, however it ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path

PATIENCE_SECONDS = 5.0

if sys.platform == "win32":
    import msvcrt

    def try_lock(file: int) -> bool:
        """Take the lock of a file descriptor, unless another process has it."""
        os.lseek(file, 0, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(file: int) -> None:
        """Give the lock back."""
        os.lseek(file, 0, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(file: int) -> bool:
        """Take the lock of a file descriptor, unless another process has it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(file: int) -> None:
        """Give the lock back."""
        fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def locked(path: Path, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the lock of a file that serves for nothing else; it is made, and stays.

    Args:
        patience: seconds that it is waited for.

    Raises:
        OSError: it cannot be made; TimeoutError among them, where another process keeps the lock.
    """
    with _opened(path) as file:
        deadline = time.monotonic() + patience
        while not try_lock(file):
            if time.monotonic() > deadline:
                raise TimeoutError(f"another process keeps {path.name} locked")
            time.sleep(0.01)
        try:
            yield
        finally:
            unlock(file)


@asynccontextmanager
async def turn(path: Path, look: float) -> AsyncIterator[None]:
    """Hold the lock of such a file too, waited for without end and without holding anybody else up.

    Args:
        look: seconds between two looks whether it is free.

    Raises:
        OSError: it cannot be made.
    """
    import anyio  # commands that hold a lock for a moment do without

    with _opened(path) as file:
        while not try_lock(file):
            await anyio.sleep(look)
        try:
            yield
        finally:
            unlock(file)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield file
    finally:
        os.close(file)


WORKTREES_SECONDS = 120.0


def worktrees(kept: Path) -> AbstractContextManager[None]:
    """Have the worktrees of a git repository for oneself: to list, add or remove them. Git fails where two do
    that at once, and reads what the other has half written.

    Args:
        kept: the repository's common folder, such as `.git`.

    Raises:
        OSError: as `locked` does.
    """
    return locked(kept / "pygent" / "worktrees.lock", WORKTREES_SECONDS)
