"""The file of audit records: appended to by several processes, one line at a time, each under a lock.

A line is written by one call of the system, so that the end of a process leaves it whole or unfinished; an
unfinished one is closed by the next writer and stays in the file as what it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from pygent_registry import chain
from pygent_shared.locks import try_lock, unlock

NAME = "audit.jsonl"
LOCK_SECONDS = 5.0
# More than any record has: what is read of the file's end to find the last one.
TAIL = 1 << 16
_BINARY = getattr(os, "O_BINARY", 0)


class Journal:
    """Appends to the file at `path`, which is made on first use, for its owner's eyes only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._end = -1
        self._last = chain.START

    async def append(self, record: Mapping[str, Any]) -> None:
        """Write the record behind the last one, whoever wrote that.

        Raises:
            OSError: it cannot be written; TimeoutError among them, where another process keeps the lock.
        """
        if self._file < 0 or not os.fstat(self._file).st_nlink:  # deleted: begin a new one
            self.close()
            self._open()
        if not try_lock(self._file):
            await self._wait_for_lock()
        try:
            self._write(self._file, record)
        finally:
            unlock(self._file)

    def close(self) -> None:
        """Close the file; the next record opens it again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _BINARY, 0o600)

    async def _wait_for_lock(self) -> None:
        with anyio.fail_after(LOCK_SECONDS):
            while not try_lock(self._file):
                await anyio.sleep(0.002)

    def _write(self, file: int, record: Mapping[str, Any]) -> None:
        end = os.lseek(file, 0, os.SEEK_END)
        torn = b""
        if end != self._end:  # another process has written, or this one begins
            self._last, torn = _last_of(file, end)
        line, own = chain.line(record, self._last)
        data = torn + line.encode()
        self._end = -1  # looked up again, should this fail half way
        if os.write(file, data) == len(data):
            self._last, self._end = own, end + len(data)


def _last_of(file: int, end: int) -> tuple[str, bytes]:
    """The hash of the last record, and what closes an unfinished line behind it."""
    reach = min(TAIL, end)
    while True:
        os.lseek(file, end - reach, os.SEEK_SET)
        tail = os.read(file, reach)
        lines = tail.decode("utf-8", "replace").split("\n")
        # The first may begin before what was read.
        for text in reversed(lines if reach == end else lines[1:]):
            if record := chain.parsed(text):
                return record["hash"], b"" if tail.endswith(b"\n") else b"\n"
        if reach == end:
            return chain.START, b"" if tail.endswith(b"\n") or not tail else b"\n"
        reach = min(reach * 4, end)
