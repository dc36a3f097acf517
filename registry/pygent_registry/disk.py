"""Forcing what was written to a file onto the disk, so that it outlives a crash of the machine.

The one rule: never on the event loop, which a slow disk would hold up.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from pathlib import Path

import anyio
from anyio import to_thread

log = logging.getLogger(__name__)

SECONDS = 1.0
_flush = getattr(os, "fdatasync", os.fsync)


class Disk:
    """Flushes one file at a time, either on request (`flushed`) or soon (`flush_soon`)."""

    def __init__(self) -> None:
        self._asked = 0
        self._done = 0
        self._turn: anyio.Lock | None = None
        self._dirty = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    async def flushed(self, file: int) -> None:
        """Return when everything written to the file before is on the disk: one flush for all who wait.

        Raises:
            OSError: it cannot be.
        """
        self._asked += 1
        mine = self._asked
        self._turn = self._turn or anyio.Lock()
        async with self._turn:
            if self._done < mine:
                covered = self._asked
                copy = os.dup(file)  # the journal may close the file meanwhile
                try:
                    await to_thread.run_sync(_flush, copy)
                finally:
                    os.close(copy)
                self._done = covered

    def flush_soon(self, file: int) -> None:
        """Flush the file within a second, once for all that is written until then."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._each_second, args=[os.dup(file)], daemon=True)
            self._thread.start()
        if not self._dirty.is_set():
            self._dirty.set()

    def close(self) -> None:
        """Flush what is left, and end. The next flush begins anew."""
        if self._thread is not None:
            self._ending.set()
            self._dirty.set()
            self._thread.join()
            self._thread = None
            self._ending.clear()
            self._dirty.clear()

    def _each_second(self, file: int) -> None:
        try:
            while not self._ending.is_set():
                self._dirty.wait()
                self._ending.wait(SECONDS)
                self._dirty.clear()
                _flush(file)
        except OSError as error:
            log.error("The audit cannot be forced onto the disk, so a crash may lose records: %s", error)
        finally:
            os.close(file)


def flush_folder(folder: Path) -> None:
    """Force a folder's entries onto the disk: a new file's name is one."""
    with suppress(OSError):  # not every system lets folders be flushed
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
