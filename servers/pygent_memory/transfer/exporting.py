"""Exporting a space to a file: in our own format, which loses nothing, or in Markdown, for people.

The one rule: a file has its name once it is whole, and one that exists is never overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pygent_memory.transfer import markdown, own
from pygent_shared.database import Database
from pygent_shared.errors import FileRefused, UnknownName

OWN, MARKDOWN = "pygent", "markdown"
FORMATS = {OWN: "JSON lines, lossless", MARKDOWN: "to read; a name without .md becomes a folder"}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export wrote: where, how many memories, and how many bytes."""

    path: Path
    format: str
    memories: int
    size: int


def export_file(database: Database, space: str, path: Path, format: str = "") -> Exported:
    """Write a space to a file, or a folder.

    Args:
        format: one of `FORMATS`; "" is Markdown where the path ends in .md, else our own.

    Raises:
        UnknownName: there is no such format, or no such space.
        FileRefused: the path is taken, or cannot be written.
        DatabaseUnusable: the database cannot be read.
    """
    chosen = format or (MARKDOWN if path.suffix.lower() == ".md" else OWN)
    if chosen not in FORMATS:
        raise UnknownName("format", chosen, FORMATS)
    check_space(database, space)
    if path.exists():
        raise FileRefused(path, "exists already, and nothing is overwritten", "Choose another name.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if chosen == OWN:
            memories = _write(partial, own.exported(database, space), '{"row":"memory"')
        elif path.suffix.lower() == ".md":
            memories = _write(partial, _one_page(database, space), "**")
        else:
            memories = _pages(partial, database, space)
        size = sum(file.stat().st_size for file in (partial.iterdir() if partial.is_dir() else [partial]))
        partial.rename(path)
    except OSError as error:
        cure = "Name a file in a folder you may write, with room on its disk."
        raise FileRefused(path, f"cannot be written ({error.strerror or error})", cure) from error
    finally:
        _clear(partial)
    return Exported(path=path, format=chosen, memories=memories, size=size)


def check_space(database: Database, space: str) -> None:
    """See that there is a space of this name.

    Raises:
        UnknownName: there is none.
    """
    known = [str(name) for (name,) in database.query("SELECT name FROM space ORDER BY name")]
    if space not in known:
        raise UnknownName("space", space, known)


def _one_page(database: Database, space: str) -> Iterator[str]:
    yield f"# Memories of {space}\n"
    for title, paragraphs in markdown.sections(database, space):
        yield f"\n## {title}\n"
        yield from (f"\n{paragraph}" for paragraph in paragraphs)


def _pages(folder: Path, database: Database, space: str) -> int:
    folder.mkdir()
    taken: set[str] = set()
    count = 0
    for title, paragraphs in markdown.sections(database, space):
        page = (f"# {title}\n", *(f"\n{paragraph}" for paragraph in paragraphs))
        count += _write(folder / markdown.file_name(title, taken), page, "**")
    return count


def _write(file: Path, parts: Iterable[str], memory: str) -> int:
    """Write a file through to the disk. Returns how many of its parts are a `memory`."""
    count = 0
    with file.open("w", encoding="utf-8", newline="\n") as out:
        file.chmod(0o600)
        for part in parts:
            count += part.lstrip("\n").startswith(memory)
            out.write(part)
        out.flush()
        os.fsync(out.fileno())
    return count


def _clear(partial: Path) -> None:
    if partial.is_dir():
        for file in partial.iterdir():
            file.unlink()
        partial.rmdir()
    elif partial.exists():
        partial.unlink()
