"""Documents and their chunks in SQLite."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import apsw

from pygent_rag.document import Unit
from pygent_rag.filters import Filters
from pygent_rag.passage import Passage
from pygent_rag.place import Place
from pygent_rag.reading import Reading
from pygent_rag.schema import CHUNKS, FUNCTIONS, MIGRATIONS
from pygent_rag.store import CollectionRow, DocumentRow, Fingerprint, Poll, Removed
from pygent_rag.words import Words, marks
from pygent_rag.writing import collection_id, write_document
from pygent_shared.database import Database
from pygent_shared.vectors import MEMORY, VectorStore
from pygent_shared.vectors.mirror import open_vectors

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
        self.database = Database(path, MIGRATIONS, FUNCTIONS, backup=True)
        self._words = Words(self.database)
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

    def match(self, question: str) -> str:
        return self._words.match(question)

    def lexical(
        self, match: str, groups: Sequence[int], limit: int, among: Collection[int] | None = None
    ) -> dict[int, float]:
        return self._words.chunks(match, groups, limit, among)

    def wholes(self, match: str, groups: Sequence[int], limit: int) -> dict[int, float]:
        return self._words.documents(match, groups, limit)

    def members(self, group: int) -> list[int]:
        rows = self.database.query("SELECT id FROM chunk WHERE collection = ? ORDER BY id", (group,))
        return [_int(id) for (id,) in rows]

    def documents_of(self, ids: Collection[int]) -> dict[int, int]:
        rows = self.database.query(
            "SELECT id, document FROM chunk WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ids)),),
        )
        return {_int(id): _int(document) for id, document in rows}

    def neighbours(self, ids: Collection[int], reach: int) -> dict[int, list[int]]:
        rows = self.database.query(
            "SELECT c.id, group_concat(n.id) FROM chunk AS c JOIN chunk AS n ON n.document = c.document "
            "AND n.position BETWEEN c.position - ? AND c.position + ? "
            "WHERE c.id IN (SELECT value FROM json_each(?)) GROUP BY c.id",
            (reach, reach, json.dumps(list(ids))),
        )
        return {_int(id): [int(near) for near in str(nears).split(",")] for id, nears in rows}

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
            f"SELECT id, path, mtime_ns, ingested FROM document WHERE collection IN ({marks(groups)})",
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
