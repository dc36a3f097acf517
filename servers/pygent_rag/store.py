"""Where documents and their chunks are kept: the seam, and SQLite.

A document is one transaction: whatever happens, a file is in a collection as a whole or not at all. Sources
stay where they are; the text kept here is what the citations were made from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

import apsw

from pygent_rag.decoding import one_line
from pygent_rag.document import LONGEST_HEADING, Unit
from pygent_rag.filters import Filters
from pygent_rag.passage import Passage
from pygent_rag.place import Place
from pygent_rag.reading import Reading
from pygent_shared.database import Database
from pygent_shared.vectors import VectorStore, mirror
from pygent_shared.vectors.mirror import MirroredVectors
from pygent_shared.vectors.sqlite_vec import Items

TITLE_WEIGHT = HEADING_WEIGHT = 1.2
"""Of a term in the title or heading, where one in the text weighs 1; above 1.5 some sets lose."""

POLL_EVERY = 1000
"""Chunks that are stored between two looks whether to go on."""

Poll = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What tells whether a file changed. `mtime_ns` is 0 where the time cannot be relied on."""

    size: int
    mtime_ns: int
    sha256: str
    recipe: int

    def same_content(self, other: Fingerprint) -> bool:
        return (self.sha256, self.recipe) == (other.sha256, other.recipe)


@dataclass(frozen=True, kw_only=True)
class DocumentRow:
    """A document as lists show it."""

    path: str
    title: str
    chunks: int
    size: int
    ingested: str


@dataclass(frozen=True, kw_only=True)
class CollectionRow:
    """A collection as lists show it."""

    id: int
    name: str
    documents: int
    chunks: int


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What was, or would be, taken out."""

    paths: tuple[str, ...] = ()
    chunks: int = 0


class Store(Protocol):
    """Collections of documents, told apart by name; a document is told apart in them by its file's path."""

    @property
    def vectors(self) -> VectorStore:
        """The chunks' vectors; their groups are collection ids."""

    def collections(self) -> list[CollectionRow]:
        """All collections, by name."""

    def make(self, collection: str) -> None:
        """Make an empty collection, unless there is one of that name."""

    def fingerprints(self, collection: str, under: str) -> dict[str, Fingerprint]:
        """Path -> fingerprint of the documents at the path `under` or below it."""

    def put(self, collection: str, path: str, found: Fingerprint, reading: Reading, poll: Poll) -> None:
        """Keep a document in place of what was at its path. Nothing is done if that is the same content, and
        nothing is kept if `poll`, which is called now and then, raises."""

    def touch(self, collection: str, path: str, found: Fingerprint) -> None:
        """Note a new size and time of a document whose content is the same."""

    def remove(self, collection: str, paths: Iterable[str]) -> None:
        """Take out the documents with exactly these paths."""

    def removable(self, collection: str, under: str) -> Removed:
        """The documents at the path `under` or below it ("" for all)."""

    def drop(self, collection: str) -> None:
        """Take out a collection with all that is in it."""

    def documents(self, collection: str, offset: int, limit: int) -> list[DocumentRow]:
        """Some documents of a collection, by path."""

    def text(self, collection: str, path: str) -> str | None:
        """The stored text of a document."""

    def lexical(
        self, match: str, groups: Sequence[int], limit: int, among: Collection[int] | None = None
    ) -> dict[int, float]:
        """Chunk -> BM25 (higher is better) of the best matches of an FTS5 expression, best first; of `among`
        only, where that is given."""

    def wholes(self, match: str, groups: Sequence[int], limit: int) -> dict[int, float]:
        """Document -> BM25 of its whole text, as `lexical`."""

    def documents_of(self, ids: Collection[int]) -> dict[int, int]:
        """Chunk -> its document."""

    def passages(self, ids: Sequence[int]) -> list[Passage]:
        """These chunks in this order; those deleted in the meantime are left out."""

    def stretch(self, collection: str, path: str, start: int, end: int) -> str:
        """The stored text of a document from `start` to `end`."""

    def homes(self, path: str) -> list[str]:
        """The collections that hold a document at this path, by name."""

    def covering(self, collection: str, place: Place) -> tuple[int, int] | None:
        """The positions of the first and last chunk of a place in a document; where no text is (a
        heading, a blank line), of the chunk that follows. None for a document without text."""

    def run(self, collection: str, path: str, first: int, last: int) -> list[Passage]:
        """The chunks of a document from one position to another."""

    def chosen(self, groups: Sequence[int], filters: Filters) -> list[int]:
        """The chunks of the documents that pass."""

    def close(self) -> None: ...


_CHUNKS = Items(
    table="chunk", text="o.title || char(10) || o.heading || char(10) || o.text", group="collection"
)

# The index keeps no copy of the text. It needs detail = full (the default): without content and with less
# detail, bm25() is 0 for every row.
# AUTOINCREMENT: an id never comes back, so a vector computed for a deleted chunk cannot meet another one.
_FIRST = f"""
CREATE TABLE collection (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE document (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL REFERENCES collection(id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    title TEXT NOT NULL,
    unit TEXT NOT NULL CHECK (unit IN ('line', 'page')),
    verbatim INTEGER NOT NULL,
    text TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    recipe INTEGER NOT NULL,
    ingested TEXT NOT NULL,
    UNIQUE (collection, path)
) STRICT;

CREATE TABLE chunk (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES document(id) ON DELETE CASCADE,
    collection INTEGER NOT NULL,
    char_start INTEGER NOT NULL,
    char_end INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    title TEXT NOT NULL,
    heading TEXT NOT NULL, -- one heading a line, outermost first; without the title
    text TEXT NOT NULL
) STRICT;
CREATE INDEX chunk_document ON chunk (document);
CREATE INDEX chunk_collection ON chunk (collection);

CREATE VIRTUAL TABLE chunk_fts USING fts5 (
    text, title, heading,
    tokenize = 'porter unicode61', content = '', contentless_delete = 1
);
CREATE TRIGGER chunk_comes AFTER INSERT ON chunk BEGIN
    INSERT INTO chunk_fts (rowid, text, title, heading) VALUES (new.id, new.text, new.title, new.heading);
END;
CREATE TRIGGER chunk_goes AFTER DELETE ON chunk BEGIN
    DELETE FROM chunk_fts WHERE rowid = old.id;
END;
{_CHUNKS.schema}
"""

# `position` counts a document's chunks from 0, so that a chunk's neighbours are known. The bytes are those of
# the file that hold the text; NULL where the text was made from something else. `part` is the sheet. A unit
# may be any now; the column comes anew, because SQLite changes no CHECK.
_PLACES = """
ALTER TABLE document ADD COLUMN counted TEXT NOT NULL DEFAULT 'line';
UPDATE document SET counted = unit;
ALTER TABLE document DROP COLUMN unit;
ALTER TABLE document RENAME COLUMN counted TO unit;
ALTER TABLE chunk ADD COLUMN position INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chunk ADD COLUMN byte_start INTEGER;
ALTER TABLE chunk ADD COLUMN byte_end INTEGER;
ALTER TABLE chunk ADD COLUMN part TEXT NOT NULL DEFAULT '';
UPDATE chunk SET position = (
    SELECT count(*) FROM chunk AS o WHERE o.document = chunk.document AND o.id < chunk.id
);
"""

# The words of whole documents: a chunk says little about what the document around it is about.
_WHOLES = """
CREATE VIRTUAL TABLE document_fts USING fts5 (
    text, title, tokenize = 'porter unicode61', content = '', contentless_delete = 1
);
CREATE TRIGGER document_comes AFTER INSERT ON document BEGIN
    INSERT INTO document_fts (rowid, text, title) VALUES (new.id, new.text, new.title);
END;
CREATE TRIGGER document_goes AFTER DELETE ON document BEGIN
    DELETE FROM document_fts WHERE rowid = old.id;
END;
CREATE TRIGGER document_changes AFTER UPDATE OF text, title ON document BEGIN
    DELETE FROM document_fts WHERE rowid = old.id;
    INSERT INTO document_fts (rowid, text, title) VALUES (new.id, new.text, new.title);
END;
INSERT INTO document_fts (rowid, text, title) SELECT id, text, title FROM document;
"""

MIGRATIONS = (_FIRST, _PLACES, mirror.schema(_CHUNKS), _WHOLES)

_PASSAGES = (
    "SELECT c.id, l.name, d.path, c.title, c.heading, d.unit, c.part, c.first, c.last, d.verbatim, c.text, "
    "c.position, c.char_start, c.char_end FROM chunk AS c JOIN document AS d ON d.id = c.document "
    "JOIN collection AS l ON l.id = c.collection"
)

# A folder's documents: its own path, or one that begins with it and a separator.
_UNDER = "(:under = '' OR path = :under OR substr(path, 1, length(:under) + 1) = :under || :separator)"


class SqliteStore:
    """A `Store` in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path, MIGRATIONS)
        self._vectors = MirroredVectors(self.database, _CHUNKS)

    @property
    def vectors(self) -> VectorStore:
        return self._vectors

    def collections(self) -> list[CollectionRow]:
        rows = self.database.query(
            "SELECT id, name, (SELECT count(*) FROM document WHERE collection = c.id), "
            "(SELECT count(*) FROM chunk WHERE collection = c.id) FROM collection AS c ORDER BY name"
        )
        return [
            CollectionRow(id=_int(id), name=str(name), documents=_int(documents), chunks=_int(chunks))
            for id, name, documents, chunks in rows
        ]

    def make(self, collection: str) -> None:
        with self.database.write() as connection:
            _collection_id(connection, collection)

    def fingerprints(self, collection: str, under: str) -> dict[str, Fingerprint]:
        rows = self._of(collection, under, "path, size, mtime_ns, sha256, recipe")
        return {
            str(path): Fingerprint(
                size=_int(size), mtime_ns=_int(mtime_ns), sha256=str(sha256), recipe=_int(recipe)
            )
            for path, size, mtime_ns, sha256, recipe in rows
        }

    def put(self, collection: str, path: str, found: Fingerprint, reading: Reading, poll: Poll) -> None:
        with self.database.write() as connection:
            group = _collection_id(connection, collection)
            held = connection.execute(
                "SELECT id, sha256, recipe FROM document WHERE collection = ? AND path = ?", (group, path)
            ).fetchone()
            if held and held[1:] == (found.sha256, found.recipe):
                return  # another process was faster
            if held:
                connection.execute("DELETE FROM document WHERE id = ?", held[:1])
            id = _insert_document(connection, group, path, found, reading)
            connection.executemany(_INSERT_CHUNK, _chunk_rows(id, group, path, reading, poll))

    def touch(self, collection: str, path: str, found: Fingerprint) -> None:
        with self.database.write() as connection:
            connection.execute(
                "UPDATE document SET size = ?, mtime_ns = ? WHERE path = ? AND sha256 = ? "
                "AND collection = (SELECT id FROM collection WHERE name = ?)",
                (found.size, found.mtime_ns, path, found.sha256, collection),
            )

    def remove(self, collection: str, paths: Iterable[str]) -> None:
        with self.database.write() as connection:
            connection.executemany(
                "DELETE FROM document WHERE path = ? "
                "AND collection = (SELECT id FROM collection WHERE name = ?)",
                [(path, collection) for path in paths],
            )

    def removable(self, collection: str, under: str) -> Removed:
        chunks = "(SELECT count(*) FROM chunk WHERE document = d.id)"
        rows = self._of(collection, under, f"path, {chunks}")
        return Removed(
            paths=tuple(str(path) for path, _ in rows), chunks=sum(_int(count) for _, count in rows)
        )

    def drop(self, collection: str) -> None:
        with self.database.write() as connection:
            connection.execute("DELETE FROM collection WHERE name = ?", (collection,))

    def documents(self, collection: str, offset: int, limit: int) -> list[DocumentRow]:
        rows = self.database.query(
            "SELECT path, title, (SELECT count(*) FROM chunk WHERE document = d.id), size, ingested "
            "FROM document AS d WHERE collection = (SELECT id FROM collection WHERE name = ?) "
            "ORDER BY path LIMIT ? OFFSET ?",
            (collection, limit, offset),
        )
        return [
            DocumentRow(
                path=str(path),
                title=str(title),
                chunks=_int(chunks),
                size=_int(size),
                ingested=str(ingested),
            )
            for path, title, chunks, size, ingested in rows
        ]

    def text(self, collection: str, path: str) -> str | None:
        rows = self.database.query(
            "SELECT text FROM document WHERE path = ? "
            "AND collection = (SELECT id FROM collection WHERE name = ?)",
            (path, collection),
        )
        return str(rows[0][0]) if rows else None

    def lexical(
        self, match: str, groups: Sequence[int], limit: int, among: Collection[int] | None = None
    ) -> dict[int, float]:
        if not match or not groups:
            return {}
        wanted = "" if among is None else "AND c.id IN (SELECT value FROM json_each(?)) "
        rows = self.database.query(
            f"SELECT c.id, -bm25(chunk_fts, 1.0, {TITLE_WEIGHT}, {HEADING_WEIGHT}) AS score "
            "FROM chunk_fts JOIN chunk AS c ON c.id = chunk_fts.rowid "
            f"WHERE chunk_fts MATCH ? AND c.collection IN ({_marks(groups)}) {wanted}"
            "ORDER BY score DESC, c.id LIMIT ?",
            (match, *groups, *([] if among is None else [json.dumps(list(among))]), limit),
        )
        return {_int(id): float(str(score)) for id, score in rows}

    def wholes(self, match: str, groups: Sequence[int], limit: int) -> dict[int, float]:
        if not match or not groups:
            return {}
        rows = self.database.query(
            f"SELECT d.id, -bm25(document_fts, 1.0, {TITLE_WEIGHT}) AS score "
            "FROM document_fts JOIN document AS d ON d.id = document_fts.rowid "
            f"WHERE document_fts MATCH ? AND d.collection IN ({_marks(groups)}) "
            "ORDER BY score DESC, d.id LIMIT ?",
            (match, *groups, limit),
        )
        return {_int(id): float(str(score)) for id, score in rows}

    def documents_of(self, ids: Collection[int]) -> dict[int, int]:
        rows = self.database.query(
            "SELECT id, document FROM chunk WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ids)),),
        )
        return {_int(id): _int(document) for id, document in rows}

    def passages(self, ids: Sequence[int]) -> list[Passage]:
        rows = self.database.query(
            f"{_PASSAGES} WHERE c.id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
        )
        found = {_int(row[0]): _passage(row) for row in rows}
        return [found[id] for id in ids if id in found]

    def stretch(self, collection: str, path: str, start: int, end: int) -> str:
        rows = self.database.query(
            "SELECT substr(text, ?, ?) FROM document WHERE path = ? "
            "AND collection = (SELECT id FROM collection WHERE name = ?)",
            (start + 1, end - start, path, collection),
        )
        return str(rows[0][0]) if rows else ""

    def homes(self, path: str) -> list[str]:
        rows = self.database.query(
            "SELECT l.name FROM document AS d JOIN collection AS l ON l.id = d.collection "
            "WHERE d.path = ? ORDER BY l.name",
            (path,),
        )
        return [str(name) for (name,) in rows]

    def covering(self, collection: str, place: Place) -> tuple[int, int] | None:
        ((first, last, following, final),) = self.database.query(
            "SELECT min(position) FILTER (WHERE first <= :last AND last >= :first), "
            "max(position) FILTER (WHERE first <= :last AND last >= :first), "
            "min(position) FILTER (WHERE last >= :first), max(position) FROM chunk "
            "WHERE part = :part AND document = (SELECT id FROM document WHERE path = :path "
            "AND collection = (SELECT id FROM collection WHERE name = :collection))",
            {
                "first": place.first,
                "last": place.last,
                "part": place.part,
                "path": place.path,
                "collection": collection,
            },
        )
        if final is None:
            return None
        nearest = final if following is None else following
        return _int(nearest if first is None else first), _int(nearest if last is None else last)

    def run(self, collection: str, path: str, first: int, last: int) -> list[Passage]:
        rows = self.database.query(
            f"{_PASSAGES} WHERE d.path = ? AND l.name = ? AND c.position BETWEEN ? AND ? ORDER BY c.position",
            (path, collection, first, last),
        )
        return [_passage(row) for row in rows]

    def chosen(self, groups: Sequence[int], filters: Filters) -> list[int]:
        documents = self.database.query(
            f"SELECT id, path, mtime_ns, ingested FROM document WHERE collection IN ({_marks(groups)})",
            tuple(groups),
        )
        wanted = [id for id, path, *times in documents if filters.takes(str(path), _written(*times))]
        rows = self.database.query(
            "SELECT id FROM chunk WHERE document IN (SELECT value FROM json_each(?))", (json.dumps(wanted),)
        )
        return [_int(id) for (id,) in rows]

    def close(self) -> None:
        self.database.close()

    def _of(self, collection: str, under: str, columns: str) -> list[tuple[apsw.SQLiteValue, ...]]:
        """Columns of the documents of a collection at the path `under` or below it, by path."""
        bindings = {"collection": collection, "under": under.rstrip(os.sep) or under, "separator": os.sep}
        return self.database.query(
            f"SELECT {columns} FROM document AS d WHERE {_UNDER} "
            "AND collection = (SELECT id FROM collection WHERE name = :collection) ORDER BY path",
            bindings,
        )


_INSERT_CHUNK = (
    "INSERT INTO chunk (document, collection, position, char_start, char_end, byte_start, byte_end, "
    "part, first, last, title, heading, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _collection_id(connection: apsw.Connection, name: str) -> int:
    connection.execute("INSERT OR IGNORE INTO collection (name) VALUES (?)", (name,))
    (id,) = connection.execute("SELECT id FROM collection WHERE name = ?", (name,)).fetchone() or (0,)
    return _int(id)


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


def _passage(row: tuple[apsw.SQLiteValue, ...]) -> Passage:
    id, collection, path, title, heading, unit, part, first, last, verbatim, text, position, *span = row
    return Passage(
        id=_int(id),
        collection=str(collection),
        path=str(path),
        title=str(title),
        heading=tuple(str(heading).split("\n")) if heading else (),
        unit=cast(Unit, unit),
        part=str(part),
        first=_int(first),
        last=_int(last),
        verbatim=bool(verbatim),
        text=str(text),
        position=_int(position),
        start=_int(span[0]),
        end=_int(span[1]),
    )


def _written(mtime_ns: apsw.SQLiteValue, ingested: apsw.SQLiteValue) -> datetime:
    """When a document's file was last written; when it was read in, where that is not known."""
    if seconds := _int(mtime_ns) / 1e9:
        return datetime.fromtimestamp(seconds, UTC)
    return datetime.fromisoformat(str(ingested))


def _int(value: apsw.SQLiteValue) -> int:
    return int(str(value))


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
