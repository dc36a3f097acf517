"""Writing a document's rows, within a transaction that the store began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import apsw

from pygent_rag.decoding import one_line
from pygent_rag.document import LONGEST_HEADING
from pygent_rag.reading import Reading

if TYPE_CHECKING:
    from pygent_rag.store import Fingerprint, Poll

POLL_EVERY = 1000
"""Chunks that are stored between two looks whether to go on."""

_INSERT_CHUNK = (
    "INSERT INTO chunk (document, collection, position, char_start, char_end, byte_start, byte_end, "
    "part, first, last, title, heading, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def write_document(
    connection: apsw.Connection, collection: str, path: str, found: Fingerprint, reading: Reading, poll: Poll
) -> None:
    """See `Store.put`."""
    group = collection_id(connection, collection)
    held = connection.execute(
        "SELECT id, sha256, recipe FROM document WHERE collection = ? AND path = ?", (group, path)
    ).fetchone()
    if held and held[1:] == (found.sha256, found.recipe):
        return  # another process was faster
    if held:
        connection.execute("DELETE FROM document WHERE id = ?", held[:1])
    id = _insert_document(connection, group, path, found, reading)
    connection.executemany(_INSERT_CHUNK, _chunk_rows(id, group, path, reading, poll))


def collection_id(connection: apsw.Connection, name: str) -> int:
    """That of the collection of this name, made if there was none."""
    connection.execute("INSERT OR IGNORE INTO collection (name) VALUES (?)", (name,))
    (id,) = connection.execute("SELECT id FROM collection WHERE name = ?", (name,)).fetchone() or (0,)
    return int(str(id))


def _insert_document(
    connection: apsw.Connection, group: int, path: str, found: Fingerprint, reading: Reading
) -> int:
    values: Mapping[str, apsw.SQLiteValue] = {
        "collection": group,
        "path": path,
        "title": _title(reading, path),
        "unit": reading.unit,
        "verbatim": int(reading.verbatim),
        "text": reading.text,
        "size": found.size,
        "mtime_ns": found.mtime_ns,
        "sha256": found.sha256,
        "recipe": found.recipe,
        "ingested": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(f"INSERT INTO document ({', '.join(values)}) VALUES ({marks})", values)
    return connection.last_insert_rowid()


def _chunk_rows(
    document_id: int, group: int, path: str, reading: Reading, poll: Poll
) -> Iterator[tuple[apsw.SQLiteValue, ...]]:
    title = _title(reading, path)
    for position, chunk in enumerate(reading.chunks):
        if position % POLL_EVERY == 0:
            poll()
        heading = chunk.heading[1:] if chunk.heading[:1] == (title,) else chunk.heading
        text = reading.text[chunk.start : chunk.end]
        source = chunk.source or (None, None)
        place = (position, chunk.start, chunk.end, *source, chunk.part, chunk.first, chunk.last)
        yield (document_id, group, *place, title, "\n".join(heading), text)


def _title(reading: Reading, path: str) -> str:
    return one_line(reading.title or Path(path).stem)[:LONGEST_HEADING]
