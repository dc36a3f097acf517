"""Where documents and their chunks are kept: the seam, and SQLite.

A document is one transaction: whatever happens, a file is in a collection as a whole or not at all. Sources
stay where they are; the text kept here is what the citations were made from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

import apsw

from pygent_rag.document import Unit
from pygent_rag.filters import Filters
from pygent_rag.passage import Passage
from pygent_rag.place import Place
from pygent_rag.reading import Reading
from pygent_rag.schema import CHUNKS, MIGRATIONS
from pygent_rag.writing import collection_id, write_document
from pygent_shared.database import Database
from pygent_shared.vectors import MEMORY, VectorStore
from pygent_shared.vectors.mirror import open_vectors

TITLE_WEIGHT = HEADING_WEIGHT = 1.2
"""Of a term in the title or heading, where one in the text weighs 1; above 1.5 some sets lose."""

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
    model: str = ""
    """The embedder whose vectors it has; "" while it has none."""


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

    def sources(self, collection: str) -> list[str]:
        """What was named to be read into a collection, in the order of names."""

    def remember(self, collection: str, source: str) -> None:
        """Keep the name of a source; the collection is made if new."""

    def forget(self, collection: str, under: str) -> int:
        """Forget the source of this name and those below that path ("" for all); how many there were."""

    def fingerprints(self, collection: str, under: str) -> dict[str, Fingerprint]:
        """Path -> fingerprint of the documents at the path `under` or below it."""

    def put(self, collection: str, path: str, found: Fingerprint, reading: Reading, poll: Poll) -> None:
        """Keep a document in place of what was at its path. Nothing is done if that is the same content, and
        nothing is kept if `poll`, which is called now and then, raises. On the disk for certain after the
        next `flush`."""

    def flush(self) -> None:
        """Have what was put so far on the disk for certain."""

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

    def members(self, group: int) -> list[int]:
        """The chunks of a collection, by number."""

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


# What is in a folder: its own path, or one that begins with it and a separator.
_UNDER = (
    "(:under = '' OR {column} = :under OR substr({column}, 1, length(:under) + 1) = :under || :separator)"
)

_PASSAGES = (
    "SELECT c.id, l.name, d.path, c.title, c.heading, d.unit, c.part, c.first, c.last, d.verbatim, c.text, "
    "c.position, c.char_start, c.char_end FROM chunk AS c JOIN document AS d ON d.id = c.document "
    "JOIN collection AS l ON l.id = c.collection"
)


class SqliteStore:
    """A `Store` in one SQLite file."""

    def __init__(self, path: Path, index: str = MEMORY) -> None:
        self.database = Database(path, MIGRATIONS, backup=True)
        self._vectors = open_vectors(self.database, CHUNKS, index)

    @property
    def vectors(self) -> VectorStore:
        return self._vectors

    def collections(self) -> list[CollectionRow]:
        rows = self.database.query(
            "SELECT id, name, (SELECT count(*) FROM document WHERE collection = c.id), "
            "(SELECT count(*) FROM chunk WHERE collection = c.id), coalesce(model, '') "
            "FROM collection AS c ORDER BY name"
        )
        return [
            CollectionRow(
                id=_int(id),
                name=str(name),
                documents=_int(documents),
                chunks=_int(chunks),
                model=str(model),
            )
            for id, name, documents, chunks, model in rows
        ]

    def make(self, collection: str) -> None:
        with self.database.write() as connection:
            collection_id(connection, collection)

    def sources(self, collection: str) -> list[str]:
        rows = self.database.query(
            "SELECT name FROM source WHERE collection = (SELECT id FROM collection WHERE name = ?) "
            "ORDER BY name",
            (collection,),
        )
        return [str(name) for (name,) in rows]

    def remember(self, collection: str, source: str) -> None:
        if source in self.sources(collection):
            return
        with self.database.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO source (collection, name) VALUES (?, ?)",
                (collection_id(connection, collection), source),
            )

    def forget(self, collection: str, under: str) -> int:
        with self.database.write() as connection:
            connection.execute(
                f"DELETE FROM source WHERE {_UNDER.format(column='name')} "
                "AND collection = (SELECT id FROM collection WHERE name = :collection)",
                _below(collection, under),
            )
            return connection.changes()

    def fingerprints(self, collection: str, under: str) -> dict[str, Fingerprint]:
        rows = self._of(collection, under, "path, size, mtime_ns, sha256, recipe")
        return {
            str(path): Fingerprint(
                size=_int(size), mtime_ns=_int(mtime_ns), sha256=str(sha256), recipe=_int(recipe)
            )
            for path, size, mtime_ns, sha256, recipe in rows
        }

    def put(self, collection: str, path: str, found: Fingerprint, reading: Reading, poll: Poll) -> None:
        with self.database.write(durable=False) as connection:
            write_document(connection, collection, path, found, reading, poll)

    def flush(self) -> None:
        self.database.flush()

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

    def members(self, group: int) -> list[int]:
        rows = self.database.query("SELECT id FROM chunk WHERE collection = ? ORDER BY id", (group,))
        return [_int(id) for (id,) in rows]

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
        return self.database.query(
            f"SELECT {columns} FROM document AS d WHERE {_UNDER.format(column='path')} "
            "AND collection = (SELECT id FROM collection WHERE name = :collection) ORDER BY path",
            _below(collection, under),
        )


def _below(collection: str, under: str) -> dict[str, str]:
    """The bindings of `_UNDER`, and the collection."""
    return {"collection": collection, "under": under.rstrip(os.sep) or under, "separator": os.sep}


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
