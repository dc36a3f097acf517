"""Reading documents into a collection.

The one rule: a file that cannot be read costs only itself. What was stored of it stays, the report names it
with the reason, and the rest goes on. A document is taken out only when its file is proved to be gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from pygent_rag import files
from pygent_rag.items import Item, LocalFile
from pygent_rag.reader import Reader
from pygent_rag.sources import Source, is_file_name
from pygent_rag.store import Fingerprint, Store
from pygent_shared.errors import FileRefused

Outcome = Literal["added", "updated", "unchanged", "removed", "refused", "skipped"]


@dataclass(frozen=True, kw_only=True)
class FileReport:
    """What became of one file. "skipped" is one of a type that is not read."""

    path: str
    outcome: Outcome
    chunks: int = 0
    why: str = ""
    decoded: str = ""


class Watcher(Protocol):
    """Is told how far the ingestion is; may raise to end it there."""

    def __call__(self, done: int, total: int, path: str) -> None:
        """`total` is 0 while the files are still being looked for, and in the middle of one."""


def unwatched(done: int, total: int, path: str) -> None:
    """A watcher that does not look."""


def ingest(
    store: Store,
    collection: str,
    source: Source,
    reader: Reader,
    *,
    max_bytes: int,
    watch: Watcher = unwatched,
) -> Iterator[FileReport]:
    """Make the collection hold what `source` holds now; a report for each file.

    Args:
        max_bytes: size above which a file is refused without reading it.
        watch: see `Watcher`.

    Raises:
        FileRefused: `source` itself cannot be read. What is inside a folder is reported instead.
    """
    every = store.fingerprints(collection, source.name)
    known = {name: found for name, found in every.items() if source.covers(name)}
    poll = _Poll(watch, source.name)
    found = list(source.items(poll))
    if source.again and not source.single:
        store.remember(collection, source.again)  # first, so that a sync finishes what is broken off
    work = _Work(store, collection, reader, max_bytes, source.single, poll)
    try:
        for number, item in enumerate(found):
            name = str(item.path) if isinstance(item, FileRefused) else item.name
            watch(number, len(found), name)
            try:
                yield work.on(item, known)
            except FileRefused as error:
                refusal = _kept(error, name, known)
                if source.single:
                    raise refusal from error
                yield FileReport(path=name, outcome="refused", why=str(refusal))
    finally:
        reader.rest()
        store.flush()
    watch(len(found), len(found), source.name)
    if source.again:
        store.remember(collection, source.again)
    store.make(collection)  # there may have been nothing to put into it
    met = {item.name for item in found if not isinstance(item, FileRefused)}
    yield from _take_out_gone(store, collection, set(known) - met)


@dataclass(frozen=True)
class _Poll:
    """Lets the watcher end the work in the middle of a file."""

    watch: Watcher
    name: str

    def __call__(self) -> None:
        self.watch(0, 0, self.name)


@dataclass(frozen=True)
class _Work:
    """Reading one item after the other into a collection."""

    store: Store
    collection: str
    reader: Reader
    max_bytes: int
    single: bool
    poll: _Poll

    def on(self, item: Item | FileRefused, known: Mapping[str, Fingerprint]) -> FileReport:
        """What became of an item.

        Raises:
            FileRefused: it cannot be read.
        """
        if isinstance(item, FileRefused):
            raise item
        if isinstance(item, LocalFile) and not (self.single or files.is_read(item.path)):
            return FileReport(path=item.name, outcome="skipped")
        return self._read(item, known.get(item.name))

    def _read(self, item: Item, known: Fingerprint | None) -> FileReport:
        if known and item.unchanged(known):
            return FileReport(path=item.name, outcome="unchanged")
        loaded = item.load(self.max_bytes, self.poll)
        if known and known.same_content(loaded.found):
            self.store.touch(self.collection, item.name, loaded.found)
            return FileReport(path=item.name, outcome="unchanged")
        reading = self.reader.read(loaded.name, loaded.data, self.poll)
        reading = replace(reading, title=loaded.title or reading.title)
        self.store.put(self.collection, item.name, loaded.found, reading, self.poll)
        return FileReport(
            path=item.name,
            outcome="updated" if known else "added",
            chunks=len(reading.chunks),
            why=reading.note,
            decoded=reading.decoded,
        )


def _take_out_gone(store: Store, collection: str, missed: set[str]) -> Iterator[FileReport]:
    """Of documents whose files were not met: take out those that are gone for certain."""
    for path in sorted(missed):
        if is_file_name(path) and files.is_gone(path):
            store.remove(collection, [path])
            yield FileReport(path=path, outcome="removed", why="the file is gone")


def _kept(refusal: FileRefused, name: str, known: Mapping[str, Fingerprint]) -> FileRefused:
    """The refusal, saying so if something is stored of the file, or of files in the folder."""
    if not any(stored == name or stored.startswith(name + os.sep) for stored in known):
        return refusal
    return FileRefused(name, refusal.why, f"{refusal.cure} What was stored of it is kept.")
