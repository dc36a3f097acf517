"""Reading files into a collection: the edge that walks folders and opens files.

The one rule: a file that cannot be read costs only itself. What was stored of it stays, the report names it
with the reason, and the rest goes on. A document is taken out only when its file is proved to be gone.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pygent_rag.chunking import chunk
from pygent_rag.parsers import PARSERS, RECIPE, parse
from pygent_rag.store import Fingerprint, Store
from pygent_shared.errors import FileRefused, InvalidArgument

Outcome = Literal["added", "updated", "unchanged", "removed", "refused", "skipped"]

PASSED_OVER = frozenset(("CVS", "_darcs", "node_modules", "__pycache__"))
"""Folders of other programs; hidden ones (".git") are passed over, too."""

SETTLED_NS = 2_000_000_000
"""A file written later than this before it was read may change again without its time showing it."""


@dataclass(frozen=True, kw_only=True)
class FileReport:
    """What became of one file. "skipped" is one of a type that is not read."""

    path: str
    outcome: Outcome
    chunks: int = 0
    why: str = ""
    decoded: str = ""


class Watcher(Protocol):
    """Is told how far the ingestion is, between two files; may raise to end it there."""

    def __call__(self, done: int, total: int, path: str) -> None:
        """`total` is 0 while the files are still being looked for."""


def unwatched(done: int, total: int, path: str) -> None:
    """A watcher that does not look."""


def source(path: str) -> Path:
    """The existing file or folder a caller means, with links resolved.

    Raises:
        InvalidArgument: no path can look like this.
        FileRefused: there is nothing there, or it cannot be reached.
    """
    if not path.strip() or not _speakable(path):
        cure = "Name a file or folder, best with its full path."
        raise InvalidArgument("path", "is empty or holds characters that are no text", cure)
    named = Path(os.path.expanduser(path)).absolute()
    try:
        return Path(os.path.realpath(named, strict=True))
    except OSError as error:
        raise _refusal(named, error) from error


def ingest(
    store: Store, collection: str, source: Path, *, max_bytes: int, watch: Watcher = unwatched
) -> Iterator[FileReport]:
    """Make the collection hold what the file or folder `source` holds now; a report for each file.

    Args:
        max_bytes: size above which a file is refused without reading it.
        watch: see `Watcher`.

    Raises:
        FileRefused: `source` itself cannot be read. What is inside a folder is reported instead.
    """
    known = store.fingerprints(collection, str(source))
    found = list(_walk(source, watch)) if os.path.isdir(source) else [source]
    for number, entry in enumerate(found):
        watch(number, len(found), str(entry))
        if isinstance(entry, FileRefused):
            yield _refused(_kept(entry, known))
        elif entry != source and not _is_read(entry):
            yield FileReport(path=str(entry), outcome="skipped")
        else:
            try:
                yield _ingest_file(store, collection, entry, known.get(str(entry)), max_bytes)
            except FileRefused as error:
                refusal = _kept(error, known)
                if entry == source:
                    raise refusal from error
                yield _refused(refusal)
    watch(len(found), len(found), str(source))
    store.make(collection)  # there may have been nothing to put into it
    yield from _take_out_gone(store, collection, set(known) - {str(entry) for entry in found})


def _ingest_file(
    store: Store, collection: str, path: Path, known: Fingerprint | None, max_bytes: int
) -> FileReport:
    if known and _looks_unchanged(path, known):
        return FileReport(path=str(path), outcome="unchanged")
    data, now = _read(path, max_bytes)
    if known and known.same_content(now):
        store.touch(collection, str(path), now)
        return FileReport(path=str(path), outcome="unchanged")
    document = parse(path, data)
    chunks = chunk(document)
    store.put(collection, str(path), now, document, chunks)
    return FileReport(
        path=str(path),
        outcome="updated" if known else "added",
        chunks=len(chunks),
        why=document.note,
        decoded=document.decoded,
    )


def _looks_unchanged(path: Path, known: Fingerprint) -> bool:
    """Whether size and time are those noted, so that the file need not be read."""
    try:
        status = path.stat()
    except OSError:
        return False  # reading it will say why
    same = (status.st_size, status.st_mtime_ns) == (known.size, known.mtime_ns)
    return same and known.recipe == RECIPE and stat.S_ISREG(status.st_mode)


def _read(path: Path, max_bytes: int) -> tuple[bytes, Fingerprint]:
    """A regular file's content. Opened without blocking, so that a pipe or device cannot hold us up."""
    try:
        _check(path, path.stat(), max_bytes)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _check(path, status, max_bytes)
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise _refusal(path, error) from error
    if len(data) > max_bytes:
        raise _too_large(path, len(data), max_bytes)
    settled = status.st_mtime_ns < time.time_ns() - SETTLED_NS
    return data, Fingerprint(
        size=len(data),
        mtime_ns=status.st_mtime_ns if settled else 0,
        sha256=hashlib.sha256(data).hexdigest(),
        recipe=RECIPE,
    )


def _check(path: Path, status: os.stat_result, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileRefused(path, "is not a regular file (a pipe, socket or device)", "Name one that is.")
    if status.st_size > max_bytes:
        raise _too_large(path, status.st_size, max_bytes)


def _too_large(path: Path, size: int, max_bytes: int) -> FileRefused:
    megabytes = -(-size // 1_000_000)
    cure = f"Split it, or allow more: export PYGENT_MAX_FILE_MB={megabytes}"
    return FileRefused(path, f"has {megabytes} MB; files up to {max_bytes // 1_000_000} MB are read", cure)


def _walk(folder: Path, watch: Watcher) -> Iterator[Path | FileRefused]:
    """The files below a folder, by name, and what cannot be looked at.

    Links are not followed: one could lead round in a circle, or out of the folder to files nobody meant.
    """
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        watch(0, 0, str(here))
        try:
            with os.scandir(here) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if here == folder:
                raise _refusal(here, error) from error
            yield _refusal(here, error)
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
    if not _speakable(entry.path):
        cure = "Rename it, and ingest again."
        yield FileRefused(ascii(entry.path)[1:-1], "has a name that holds characters that are no text", cure)
    elif entry.is_symlink() and (_is_read(Path(entry.path)) or os.path.isdir(entry.path)):
        cure = f"Ingest what it leads to: {os.path.realpath(entry.path)}"
        yield FileRefused(entry.path, "is a link, and links inside a folder are not followed", cure)
    else:
        yield Path(entry.path)


def _is_read(path: Path) -> bool:
    """Whether there is a parser for the file."""
    return path.suffix.lower() in PARSERS


def _speakable(path: str) -> bool:
    """Whether a path can be shown and stored: it is Unicode, in one line, without control characters."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in path)


def _take_out_gone(store: Store, collection: str, missed: set[str]) -> Iterator[FileReport]:
    """Of documents whose files were not met: take out those that are gone for certain."""
    for path in sorted(missed):
        if _is_gone(path):
            store.remove(collection, [path])
            yield FileReport(path=path, outcome="removed", why="the file is gone")


def _is_gone(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # cannot be looked at; the walk has said so of its folder


def _refused(refusal: FileRefused) -> FileReport:
    return FileReport(path=str(refusal.path), outcome="refused", why=str(refusal))


def _kept(refusal: FileRefused, known: Mapping[str, Fingerprint]) -> FileRefused:
    """The refusal, saying so if something is stored of the file, or of files in the folder."""
    path = str(refusal.path)
    if not any(stored == path or stored.startswith(path + os.sep) for stored in known):
        return refusal
    return FileRefused(path, refusal.why, f"{refusal.cure} What was stored of it is kept.")


def _refusal(path: Path, error: OSError) -> FileRefused:
    """What the operating system's refusal means to a person."""
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return FileRefused(path, "does not exist", "Check the spelling; a full path is best.")
        case PermissionError():
            cure = f'Allow it: chmod u+rX "{path}"'
            return FileRefused(path, "may not be read by the user this server runs as", cure)
        case _:
            return FileRefused(path, f"cannot be read ({error.strerror or error})", "Check the disk or link.")
