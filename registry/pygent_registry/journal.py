"""The file of audit records: appended to by several processes, one line at a time, each under a lock.

A line is written by one call of the system, so that the end of a process leaves it whole or unfinished; an
unfinished one is closed by the next writer and stays in the file as what it is. What the end of the machine
leaves is the disk's: see `Sync`. A file that has grown large is put aside under a number, and the chain goes
on in the next; none is ever deleted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import anyio

from pygent_registry import chain
from pygent_registry.disk import Disk, flush_folder
from pygent_shared.locks import try_lock, unlock

NAME = "audit.jsonl"
LOCK_SECONDS = 5.0
# More than any record has: what is read of the file's end to find the last one.
TAIL = 1 << 16
_BINARY = getattr(os, "O_BINARY", 0)

Sync = Literal["second", "record", "never"]
"""When records are forced onto the disk: each second, before `append` returns, or when the system does."""


class Journal:
    """Appends to the file at `path`, which is made on first use, for its owner's eyes only.

    Args:
        sync: see `Sync`.
        most_bytes: the size from which on the next record goes into another file; 0 is no limit.
    """

    def __init__(self, path: Path, sync: Sync = "never", most_bytes: int = 0) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._sync = sync
        self._disk = Disk()
        self._file = -1
        self._end = -1
        self._last = chain.START

    async def append(self, record: Mapping[str, Any]) -> None:
        """Write the record behind the last one, whoever wrote that.

        Raises:
            OSError: it cannot be written; TimeoutError among them, where another process keeps the lock.
        """
        end = await self._locked()
        try:
            size = self._write(self._file, end, record)
            # Only after a write: so another process sees by the size alone that it has to look again.
            full = self._most_bytes and size >= self._most_bytes
            if full:
                self._put_aside()
        finally:
            unlock(self._file)
        if self._sync == "record":
            await self._disk.flushed(self._file)
        elif self._sync == "second":
            self._disk.flush_soon(self._file)
        if full:
            self.close()

    async def check(self) -> str:
        """The hash of the last record, found as the next writer would.

        Raises:
            OSError: the file cannot be written.
        """
        end = await self._locked()
        try:
            return self._last_hash(end)[0]
        finally:
            unlock(self._file)

    def close(self) -> None:
        """Close the file; the next record opens it again."""
        if self._file >= 0:
            self._disk.close()
            os.close(self._file)
            self._file = -1

    async def _locked(self) -> int:
        """Open the file that is at the path now, and hold its lock. Returns its size."""
        while True:
            if self._file < 0:
                self._open()
            if not try_lock(self._file):
                await self._wait_for_lock()
            found = os.fstat(self._file)
            if found.st_nlink and (found.st_size == self._end or self._is_at_path(found)):
                return found.st_size
            unlock(self._file)  # deleted, or put aside by another process: begin anew
            self.close()

    def _is_at_path(self, found: os.stat_result) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(found, os.stat(self._path))
        return False

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _BINARY, 0o600)
        self._end = -1
        if self._sync != "never":
            flush_folder(self._path.parent)

    async def _wait_for_lock(self) -> None:
        with anyio.fail_after(LOCK_SECONDS):
            while not try_lock(self._file):
                await anyio.sleep(0.002)

    def _put_aside(self) -> None:
        """Give the file its number. The next record goes into a new one."""
        number = max(map(number_of, put_aside(self._path)), default=0) + 1
        os.rename(self._path, self._path.with_suffix(f".{number:06}{self._path.suffix}"))

    def _last_hash(self, end: int) -> tuple[str, bytes]:
        """The hash of the last record, and what closes an unfinished line behind it."""
        if end == self._end:
            return self._last, b""
        if end == 0 and (before := put_aside(self._path)):
            return _last_in(before[-1]), b""
        return _last_of(self._file, end)

    def _write(self, file: int, end: int, record: Mapping[str, Any]) -> int:
        """Write at the end, and return what is the end then."""
        self._last, torn = self._last_hash(end)
        line, own = chain.line(record, self._last)
        data = torn + line.encode()
        self._end = -1  # looked up again, should this fail half way
        if (written := os.write(file, data)) == len(data):
            self._last, self._end = own, end + len(data)
        return end + written


def put_aside(path: Path) -> list[Path]:
    """The files of the journal at `path` that were put aside, the oldest first."""
    found = path.parent.glob(f"{path.stem}.*{path.suffix}")
    return sorted((other for other in found if number_of(other)), key=number_of)


def number_of(path: Path) -> int:
    """The number of a file that was put aside; 0 where it is none."""
    word = path.stem.rpartition(".")[2]
    return int(word) if word.isascii() and word.isdecimal() else 0


def _last_in(path: Path) -> str:
    file = os.open(path, os.O_RDONLY | _BINARY)
    try:
        return _last_of(file, os.lseek(file, 0, os.SEEK_END))[0]
    finally:
        os.close(file)


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
