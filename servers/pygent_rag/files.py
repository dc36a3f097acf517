"""Files on this machine: found below a folder, and opened so that none can hold us up.

Links are not followed: one could lead round in a circle, or out of the folder to files nobody meant.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from pygent_rag.parsers import PARSERS, RECIPE
from pygent_rag.store import Fingerprint
from pygent_shared.errors import FileRefused

PASSED_OVER = frozenset(("CVS", "_darcs", "node_modules", "__pycache__"))
"""Folders of other programs; hidden ones (".git") are passed over, too."""

SETTLED_NS = 2_000_000_000
"""A file written later than this before it was read may change again without its time showing it."""

Poll = Callable[[], None]
"""Called now and then; ends the work by raising."""


def looks_unchanged(path: Path, known: Fingerprint) -> bool:
    """Whether size and time are those noted, so that the file need not be read."""
    try:
        status = path.stat()
    except OSError:
        return False  # reading it will say why
    same = (status.st_size, status.st_mtime_ns) == (known.size, known.mtime_ns)
    return same and known.recipe == RECIPE and stat.S_ISREG(status.st_mode)


def read(path: Path, max_bytes: int) -> tuple[bytes, Fingerprint]:
    """A regular file's content. Opened without blocking, so that a pipe or device cannot hold us up, and
    only if it is no link, as it was not when it was found.

    Raises:
        FileRefused: it cannot be read.
    """
    try:
        _check(path, path.stat(), max_bytes)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _check(path, status, max_bytes)
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise refusal(path, error) from error
    if len(data) > max_bytes:
        raise _too_large(path, len(data), max_bytes)
    settled = status.st_mtime_ns < time.time_ns() - SETTLED_NS
    return data, fingerprint(data, status.st_mtime_ns if settled else 0)


def fingerprint(data: bytes, mtime_ns: int = 0) -> Fingerprint:
    """That of some content, read now."""
    sha256 = hashlib.sha256(data).hexdigest()
    return Fingerprint(size=len(data), mtime_ns=mtime_ns, sha256=sha256, recipe=RECIPE)


def _check(path: Path, status: os.stat_result, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileRefused(path, "is not a regular file (a pipe, socket or device)", "Name one that is.")
    if status.st_size > max_bytes:
        raise _too_large(path, status.st_size, max_bytes)


def _too_large(path: Path, size: int, max_bytes: int) -> FileRefused:
    megabytes = -(-size // 1_000_000)
    cure = f"Split it, or allow more: export PYGENT_MAX_FILE_MB={megabytes}"
    return FileRefused(path, f"has {megabytes} MB; files up to {max_bytes // 1_000_000} MB are read", cure)


def walk(folder: Path, poll: Poll) -> Iterator[Path | FileRefused]:
    """The files below a folder, by name, and what cannot be looked at.

    Raises:
        FileRefused: the folder itself cannot be looked at.
    """
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        poll()
        try:
            with os.scandir(here) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if here == folder:
                raise refusal(here, error) from error
            yield refusal(here, error)
            continue
        waiting += [Path(entry.path) for entry in reversed(entries) if _is_folder(entry)]
        for entry in entries:
            yield from _look(entry)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return (
        entry.is_dir(follow_symlinks=False)
        and not entry.name.startswith(".")
        and entry.name not in PASSED_OVER
    )


def _look(entry: os.DirEntry[str]) -> Iterator[Path | FileRefused]:
    """An entry that is no folder, as a file to read or the reason not to; nothing when it is hidden."""
    if entry.name.startswith(".") or entry.is_dir(follow_symlinks=False):
        return
    if not speakable(entry.path):
        cure = "Rename it, and ingest again."
        yield FileRefused(ascii(entry.path)[1:-1], "has a name that holds characters that are no text", cure)
    elif entry.is_symlink() and (is_read(Path(entry.path)) or os.path.isdir(entry.path)):
        cure = f"Ingest what it leads to: {os.path.realpath(entry.path)}"
        yield FileRefused(entry.path, "is a link, and links inside a folder are not followed", cure)
    else:
        yield Path(entry.path)


def is_read(path: Path) -> bool:
    """Whether there is a parser for the file."""
    return path.suffix.lower() in PARSERS


def speakable(path: str) -> bool:
    """Whether a path can be shown and stored: it is Unicode, in one line, without control characters."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in path)


def is_gone(path: str) -> bool:
    """Whether it is certain that there is no file at a path."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # cannot be looked at; the walk has said so of its folder


def refusal(path: Path, error: OSError) -> FileRefused:
    """What the operating system's refusal means to a person."""
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return FileRefused(path, "does not exist", "Check the spelling; a full path is best.")
        case PermissionError():
            cure = f'Allow it: chmod u+rX "{path}"'
            return FileRefused(path, "may not be read by the user this server runs as", cure)
        case _:
            return FileRefused(path, f"cannot be read ({error.strerror or error})", "Check the disk or link.")
