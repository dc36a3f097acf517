"""The packed files that Office documents are: opened only if they are whole, open and of bearable size.

The one rule: what a part unpacks to is known before it is unpacked, and never exceeded (zipfile reads no more
than an entry's stated size).
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pygent_shared.errors import FileRefused

MOST_UNPACKED = 100_000_000
"""Bytes of markup that the parts of one file may unpack to; pictures and the like stay packed."""

MOST_PARTS = 20_000

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_MARKUP = (".xml", ".rels", ".bin")


@contextmanager
def unpacking(path: Path, data: bytes, kind: str) -> Iterator[zipfile.ZipFile]:
    """The archive in a file's bytes; `kind` is what it should be, for messages.

    Raises:
        FileRefused: it is locked, damaged, something else, or unpacks to too much.
    """
    check_not_locked(path, data, kind)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_size(path, archive)
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError) as error:
        raise damaged(path, kind) from error
    except RecursionError as error:
        raise damaged(path, kind) from error
    except RuntimeError as error:  # zipfile's way to say that an entry has a password
        raise locked(path, kind) from error


def check_not_locked(path: Path, data: bytes, kind: str) -> None:
    """Raise FileRefused if the file is one that a password protects."""
    if data.startswith(_OLE) and _ENCRYPTED in data:
        raise locked(path, kind)


def locked(path: Path, kind: str) -> FileRefused:
    return FileRefused(path, f"is {kind} locked with a password", "Save a copy without one.")


def damaged(path: Path, kind: str) -> FileRefused:
    why = f"is not {kind} that is whole (cut short, damaged, or another type)"
    return FileRefused(path, why, "Get it anew, or save it in today's format.")


def _check_size(path: Path, archive: zipfile.ZipFile) -> None:
    parts = archive.infolist()
    size = sum(part.file_size for part in parts if part.filename.lower().endswith(_MARKUP))
    if size > MOST_UNPACKED or len(parts) > MOST_PARTS:
        why = (
            f"unpacks to {size // 1_000_000} MB of markup in {len(parts)} parts, and "
            f"{MOST_UNPACKED // 1_000_000} MB in {MOST_PARTS} are read (a zip bomb?)"
        )
        raise FileRefused(path, why, "Split it, if it is meant to be so.")
