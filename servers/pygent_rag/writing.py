"""Writing a document's rows, within a transaction that the store began."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import apsw

from pygent_rag.chunking import Chunk
from pygent_rag.decoding import one_line
from pygent_rag.document import LONGEST_HEADING
from pygent_rag.reading import Reading

if TYPE_CHECKING:
    from pygent_rag.store import Fingerprint, Poll

POLL_EVERY = 1000
"""Chunks that are stored between two looks whether to go on."""

_PLACE = "position, char_start, char_end, byte_start, byte_end, part, first, last"
_INSERT = (
    f"INSERT INTO chunk (document, collection, title, heading, text, digest, {_PLACE}) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_MOVE = f"UPDATE chunk SET {' = ?, '.join(_PLACE.split(', '))} = ?, digest = ? WHERE id = ?"

# Of chunks with one digest all have the same vectors: whoever gives one to any gives it to all. So it is
# enough to ask the first of them.
_ADOPT = """
INSERT OR IGNORE INTO chunk_vector (item, model, vector)
SELECT c.id, v.model, v.vector FROM chunk AS c
JOIN chunk_vector AS v ON v.item = (SELECT min(id) FROM chunk WHERE digest = c.digest)
WHERE c.document = ? AND c.id > ?
"""

Place = tuple[str | int | None, ...]
Words = tuple[str, str, str]
"""A chunk's title, heading and text: what is embedded of it."""


def write_document(
    connection: apsw.Connection, collection: str, path: str, found: Fingerprint, reading: Reading, poll: Poll
) -> None:
    """See `Store.put`. Chunks whose words are still in the document keep their rows, and so their vectors."""
    group = collection_id(connection, collection)
    held = connection.execute(
        "SELECT id, sha256, recipe FROM document WHERE collection = ? AND path = ?", (group, path)
    ).fetchone()
    if held and held[1:] == (found.sha256, found.recipe):
        return  # another process was faster
    id = _write_row(connection, group, path, found, reading)
    kept = _Kept(connection, id) if held else None
    ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM chunk")
    new = []
    for position, chunk in enumerate(reading.chunks):
        if position % POLL_EVERY == 0:
            poll()
        words = _words(_title(reading, path), reading, chunk)
        place = (position, chunk.start, chunk.end, *(chunk.source or (None, None)))
        place = (*place, chunk.part, chunk.first, chunk.last)
        if kept is None or not kept.take(words, place):
            new.append((id, group, *words, _digest(words), *place))
    if kept is not None:
        kept.close()
    connection.executemany(_INSERT, new)
    connection.execute(_ADOPT, (id, last))


class _Kept:
    """The chunks that a document has, while it is told which of them it still has."""

    def __init__(self, connection: apsw.Connection, document: int) -> None:
        self._connection = connection
        self._ids: dict[Words, deque[tuple[Place, int]]] = defaultdict(deque)
        rows = connection.execute(
            f"SELECT id, title, heading, text, {_PLACE} FROM chunk WHERE document = ? ORDER BY position",
            (document,),
        )
        for id, title, heading, text, *place in rows:
            self._ids[str(title), str(heading), str(text)].append((tuple(place), int(str(id))))

    def take(self, words: Words, place: Place) -> bool:
        """Whether there is one with these words; it is at this place from now on."""
        if not self._ids.get(words):
            return False
        before, id = self._ids[words].popleft()
        if before != place:
            self._connection.execute(_MOVE, (*place, _digest(words), id))
        return True

    def close(self) -> None:
        """Take out the chunks that were not taken."""
        gone = [(id,) for left in self._ids.values() for _, id in left]
        self._connection.executemany("DELETE FROM chunk WHERE id = ?", gone)


def collection_id(connection: apsw.Connection, name: str) -> int:
    """That of the collection of this name, made if there was none."""
    connection.execute("INSERT OR IGNORE INTO collection (name) VALUES (?)", (name,))
    (id,) = connection.execute("SELECT id FROM collection WHERE name = ?", (name,)).fetchone() or (0,)
    return int(str(id))


def _write_row(
    connection: apsw.Connection, group: int, path: str, found: Fingerprint, reading: Reading
) -> int:
    """Write a document's own row, in place of the one it has; its id."""
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
    news = ", ".join(f"{name} = excluded.{name}" for name in values)
    ((id,),) = connection.execute(
        f"INSERT INTO document ({', '.join(values)}) VALUES ({marks}) "
        f"ON CONFLICT (collection, path) DO UPDATE SET {news} RETURNING id",
        values,
    ).fetchall()
    return int(str(id))


def _words(title: str, reading: Reading, chunk: Chunk) -> Words:
    heading = chunk.heading[1:] if chunk.heading[:1] == (title,) else chunk.heading
    return title, "\n".join(heading), reading.text[chunk.start : chunk.end]


def _digest(words: Words) -> bytes:
    return blake2b("\n".join(words).encode(), digest_size=16).digest()


def _title(reading: Reading, path: str) -> str:
    return one_line(reading.title or Path(path).stem)[:LONGEST_HEADING]
