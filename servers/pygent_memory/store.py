"""Where memories are kept: the seam, and SQLite behind it.

The one rule: every statement names the space, so an id of another space is an unknown id. Passages exist
only for memories that are not forgotten: whatever searches them cannot find a forgotten one.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import apsw

from pygent_memory.memory import Draft, Filter, Kind, Memory
from pygent_memory.passages import Passage, passages
from pygent_memory.recall import Place
from pygent_shared.database import Database
from pygent_shared.embeddings import Vector
from pygent_shared.fulltext import match_query
from pygent_shared.vectors import MEMORY, VectorStore, mirror
from pygent_shared.vectors.mirror import open_vectors
from pygent_shared.vectors.sqlite_vec import Items

Status = Literal["created", "duplicate"]

State = Literal["live", "forgotten", "replaced"]
"""`replaced`: forgotten, and told again since, so that an equal memory lives under another id."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What became of a draft. `seen` is 1 for a new memory."""

    id: str
    status: Status
    seen: int


class MemoryStore(Protocol):
    """Memories by space. Times are UTC in ISO 8601; a space that does not exist yet holds nothing.

    Raises (every method): DatabaseUnusable.
    """

    @property
    def vectors(self) -> VectorStore:
        """The vectors of the passages, for whoever computes them."""

    def add(self, space: str, drafts: Sequence[Draft], now: str) -> list[Stored]:
        """Keep all of the drafts or, if anything fails, none. A repeat counts up and adds its tags."""

    def get(self, space: str, ids: Sequence[str]) -> list[Memory]:
        """The memories among `ids` that are not forgotten, in the order asked for."""

    def recent(self, space: str, limit: int) -> list[Memory]:
        """The memories recorded last, newest first."""

    def size(self, space: str) -> int:
        """How many memories are not forgotten."""

    def states(self, space: str, ids: Sequence[str]) -> dict[str, State]:
        """The state of each id this space has, forgotten ones included."""

    def forget(self, space: str, ids: Sequence[str], now: str) -> dict[str, State]:
        """Take live memories out of everything but this store. Returns the states met, as `states` does."""

    def restore(self, space: str, ids: Sequence[str], now: str) -> dict[str, State]:
        """Bring forgotten memories back, unless they were replaced. Returns the states met."""

    def matching(self, space: str, query: str, wanted: Filter, limit: int) -> dict[int, float]:
        """The passages with any word of the query and their BM25 score, best first."""

    def sharing(self, space: str, words: Sequence[tuple[str, ...]], limit: int) -> list[Memory]:
        """Memories of which a passage holds all the words of any of the tuples."""

    def nearest(self, space: str, model: str, query: Vector, wanted: Filter, limit: int) -> dict[int, float]:
        """The passages closest to `query` and their cosine, best first."""

    def pending(self, space: str, model: str) -> int:
        """How many passages have no vector of `model` yet."""

    def places(self, space: str, passages: Sequence[int]) -> dict[int, Place]:
        """Where these passages stand."""

    def spaces(self) -> list[str]:
        """The names of all spaces, sorted."""

    def close(self) -> None:
        """Let go of the database."""


_PASSAGES = Items(table="passage", group="space")

# A passage's id is never used twice (AUTOINCREMENT): a vector that was being computed for a forgotten passage
# must not land on a new one. The full-text index reads the passages' own table and keeps no second copy;
# secure-delete leaves no trace of a deleted word in it.
_SCHEMA = """
CREATE TABLE space (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL
);
CREATE TABLE memory (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    space INTEGER NOT NULL REFERENCES space(id),
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    speaker TEXT NOT NULL,
    occurred_at TEXT,
    recorded_at TEXT NOT NULL,
    date TEXT NOT NULL GENERATED ALWAYS AS (ifnull(occurred_at, recorded_at)) VIRTUAL,
    importance REAL NOT NULL CHECK (importance BETWEEN 0 AND 1),
    seen INTEGER NOT NULL DEFAULT 1,
    forgotten_at TEXT
);
CREATE UNIQUE INDEX memory_once ON memory(space, fingerprint) WHERE forgotten_at IS NULL;
CREATE TABLE memory_tag (
    memory INTEGER NOT NULL REFERENCES memory(key) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    PRIMARY KEY (memory, tag)
);
CREATE TABLE passage (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    memory INTEGER NOT NULL REFERENCES memory(key) ON DELETE CASCADE,
    space INTEGER NOT NULL REFERENCES space(id),
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX passage_of_memory ON passage(memory);
CREATE INDEX passage_of_space ON passage(space);
CREATE VIRTUAL TABLE passage_words USING fts5(
    text, content='passage', content_rowid='id', tokenize='porter unicode61 remove_diacritics 2'
);
INSERT INTO passage_words(passage_words, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER passage_comes AFTER INSERT ON passage BEGIN
    INSERT INTO passage_words(rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER passage_goes AFTER DELETE ON passage BEGIN
    INSERT INTO passage_words(passage_words, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    space INTEGER NOT NULL REFERENCES space(id),
    memory TEXT NOT NULL,
    what TEXT NOT NULL
);
"""

MIGRATIONS = (_SCHEMA + _PASSAGES.schema, mirror.schema(_PASSAGES))

_COLUMNS = """
    m.id, m.kind, m.text, m.speaker, ifnull(m.occurred_at, ''), m.recorded_at, m.importance, m.seen,
    (SELECT group_concat(tag, char(10) ORDER BY rowid) FROM memory_tag WHERE memory = m.key)
"""


class SqliteStore:
    """A `MemoryStore` in one SQLite file, safe for several threads and processes.

    Raises:
        DatabaseUnusable: the file cannot be used; it is left as it was.
    """

    def __init__(self, path: Path, index: str = MEMORY) -> None:
        self._database = Database(path, MIGRATIONS)
        self._vectors = open_vectors(self._database, _PASSAGES, index)

    @property
    def vectors(self) -> VectorStore:
        return self._vectors

    def add(self, space: str, drafts: Sequence[Draft], now: str) -> list[Stored]:
        split = [passages(draft.text) for draft in drafts]
        with self._database.write() as connection:
            connection.execute("INSERT OR IGNORE INTO space (name, created_at) VALUES (?, ?)", (space, now))
            writer = _Writer(connection, space, now)
            return [writer.add(draft, parts) for draft, parts in zip(drafts, split, strict=True)]

    def get(self, space: str, ids: Sequence[str]) -> list[Memory]:
        rows = self._database.query(
            f"SELECT {_COLUMNS} FROM memory AS m WHERE m.space = ? AND m.forgotten_at IS NULL "
            f"AND m.id IN ({_marks(ids)})",
            (self._key(space), *ids),
        )
        found = {memory.id: memory for memory in map(_memory, rows)}
        return [found[id] for id in dict.fromkeys(ids) if id in found]

    def recent(self, space: str, limit: int) -> list[Memory]:
        rows = self._database.query(
            f"SELECT {_COLUMNS} FROM memory AS m WHERE m.space = ? AND m.forgotten_at IS NULL "
            "ORDER BY m.key DESC LIMIT ?",
            (self._key(space), limit),
        )
        return [_memory(row) for row in rows]

    def size(self, space: str) -> int:
        ((count,),) = self._database.query(
            "SELECT count(*) FROM memory WHERE space = ? AND forgotten_at IS NULL", (self._key(space),)
        )
        return cast(int, count)

    def states(self, space: str, ids: Sequence[str]) -> dict[str, State]:
        key = self._key(space)
        return _states(self._database.query(_STATES.format(_marks(ids)), (key, *ids)))

    def forget(self, space: str, ids: Sequence[str], now: str) -> dict[str, State]:
        with self._database.write() as connection:
            writer = _Writer(connection, space, now)
            return {id: state for id in ids if (state := writer.forget(id))}

    def restore(self, space: str, ids: Sequence[str], now: str) -> dict[str, State]:
        with self._database.write() as connection:
            writer = _Writer(connection, space, now)
            return {id: state for id in ids if (state := writer.restore(id))}

    def matching(self, space: str, query: str, wanted: Filter, limit: int) -> dict[int, float]:
        if not (match := match_query(query)):
            return {}
        condition, bindings = _condition(wanted)
        memory = "JOIN memory AS m ON m.key = p.memory" if condition else ""
        rows = self._database.query(
            "SELECT p.id, -bm25(passage_words) AS score FROM passage_words "
            f"JOIN passage AS p ON p.id = passage_words.rowid {memory} "
            f"WHERE passage_words MATCH ? AND p.space = ? {condition} ORDER BY score DESC, p.id LIMIT ?",
            (match, self._key(space), *bindings, limit),
        )
        return dict(cast("list[tuple[int, float]]", rows))

    def sharing(self, space: str, words: Sequence[tuple[str, ...]], limit: int) -> list[Memory]:
        if not words:
            return []
        match = " OR ".join("(" + " AND ".join(f'"{word}"' for word in some) + ")" for some in words)
        rows = self._database.query(
            f"SELECT {_COLUMNS} FROM memory AS m WHERE m.space = ? AND m.key IN ("
            "SELECT p.memory FROM passage_words JOIN passage AS p ON p.id = passage_words.rowid "
            "WHERE passage_words MATCH ? AND p.space = ? ORDER BY bm25(passage_words) LIMIT ?)",
            (key := self._key(space), match, key, limit),
        )
        return [_memory(row) for row in rows]

    def nearest(self, space: str, model: str, query: Vector, wanted: Filter, limit: int) -> dict[int, float]:
        groups = [key for key in (self._key(space),) if key is not None]
        among = None if wanted == Filter() else self._passages(space, wanted)
        return self._vectors.nearest(model, query, groups, limit, among)

    def pending(self, space: str, model: str) -> int:
        key = self._key(space)
        return 0 if key is None else self._vectors.pending(model, [key])

    def places(self, space: str, passages: Sequence[int]) -> dict[int, Place]:
        rows = self._database.query(
            "SELECT p.id, m.id, p.start, p.stop, m.importance FROM passage AS p "
            f"JOIN memory AS m ON m.key = p.memory WHERE p.space = ? AND p.id IN ({_marks(passages)})",
            (self._key(space), *passages),
        )
        return {
            id: Place(memory=memory, start=start, stop=stop, importance=importance)
            for id, memory, start, stop, importance in cast(list[tuple[int, str, int, int, float]], rows)
        }

    def spaces(self) -> list[str]:
        return [str(name) for (name,) in self._database.query("SELECT name FROM space ORDER BY name")]

    def close(self) -> None:
        self._database.close()

    def _key(self, space: str) -> int | None:
        """The space's number; None, which equals nothing in SQL, where there is no such space."""
        return _space_key(self._database.query("SELECT id FROM space WHERE name = ?", (space,)))

    def _passages(self, space: str, wanted: Filter) -> set[int]:
        condition, bindings = _condition(wanted)
        rows = self._database.query(
            "SELECT p.id FROM passage AS p JOIN memory AS m ON m.key = p.memory "
            f"WHERE p.space = ? {condition}",
            (self._key(space), *bindings),
        )
        return {cast(int, id) for (id,) in rows}


_STATES = """
    SELECT m.id, CASE WHEN m.forgotten_at IS NULL THEN 'live' WHEN EXISTS (
        SELECT 1 FROM memory AS o
        WHERE o.space = m.space AND o.fingerprint = m.fingerprint AND o.forgotten_at IS NULL
    ) THEN 'replaced' ELSE 'forgotten' END
    FROM memory AS m WHERE m.space = ? AND m.id IN ({})
"""


class _Writer:
    """The writes on one memory, inside one transaction and one space."""

    def __init__(self, connection: apsw.Connection, space: str, now: str) -> None:
        self._connection = connection
        self._now = now
        self._space = _space_key(
            connection.execute("SELECT id FROM space WHERE name = ?", (space,)).fetchall()
        )

    def add(self, draft: Draft, parts: Sequence[Passage]) -> Stored:
        row = self._one(
            "SELECT key, id, seen FROM memory WHERE space = ? AND fingerprint = ? AND forgotten_at IS NULL",
            (self._space, draft.fingerprint),
        )
        if row is not None:
            key, id, seen = row
            self._repeat(key, id, draft)
            return Stored(id=id, status="duplicate", seen=seen + 1)
        return self._create(draft, parts)

    def forget(self, id: str) -> State | None:
        if (state := self._state(id)) == "live":
            self._connection.execute(
                "UPDATE memory SET forgotten_at = ? WHERE space = ? AND id = ?", (self._now, self._space, id)
            )
            self._connection.execute(
                "DELETE FROM passage WHERE memory = (SELECT key FROM memory WHERE space = ? AND id = ?)",
                (self._space, id),
            )
            self._record(id, "forgotten")
        return state

    def restore(self, id: str) -> State | None:
        if (state := self._state(id)) == "forgotten":
            row = self._one(
                "UPDATE memory SET forgotten_at = NULL WHERE space = ? AND id = ? "
                "RETURNING key, text, speaker",
                (self._space, id),
            )
            assert row is not None
            key, text, speaker = row
            self._index(key, speaker, passages(text))
            self._record(id, "restored")
        return state

    def _create(self, draft: Draft, parts: Sequence[Passage]) -> Stored:
        id = new_id()
        self._connection.execute(
            "INSERT INTO memory (id, space, kind, text, fingerprint, speaker, occurred_at, recorded_at, "
            "importance) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                id,
                self._space,
                draft.kind,
                draft.text,
                draft.fingerprint,
                draft.speaker,
                draft.occurred_at or None,
                self._now,
                draft.importance,
            ),
        )
        key = self._connection.last_insert_rowid()
        self._tag(key, draft.tags)
        self._index(key, draft.speaker, parts)
        self._record(id, "added")
        return Stored(id=id, status="created", seen=1)

    def _repeat(self, key: int, id: str, draft: Draft) -> None:
        self._connection.execute(
            "UPDATE memory SET seen = seen + 1, importance = max(importance, ?) WHERE space = ? AND key = ?",
            (draft.importance, self._space, key),
        )
        self._tag(key, draft.tags)
        self._record(id, "repeated")

    def _tag(self, key: int, tags: Sequence[str]) -> None:
        self._connection.executemany(
            "INSERT OR IGNORE INTO memory_tag (memory, tag) VALUES (?, ?)", [(key, tag) for tag in tags]
        )

    def _index(self, key: int, speaker: str, parts: Sequence[Passage]) -> None:
        """The speaker is searched with every passage: measured, BM25 +3 and vectors +14 points on LoCoMo."""
        said_by = f"{speaker}: " if speaker else ""
        self._connection.executemany(
            "INSERT INTO passage (memory, space, start, stop, text) VALUES (?, ?, ?, ?, ?)",
            [(key, self._space, part.start, part.stop, said_by + part.text) for part in parts],
        )

    def _record(self, id: str, what: str) -> None:
        self._connection.execute(
            "INSERT INTO event (at, space, memory, what) VALUES (?, ?, ?, ?)",
            (self._now, self._space, id, what),
        )

    def _state(self, id: str) -> State | None:
        rows = self._connection.execute(_STATES.format("?"), (self._space, id)).fetchall()
        return _states(rows).get(id)

    def _one(self, sql: str, bindings: Sequence[apsw.SQLiteValue]) -> Any:
        """The only row a statement gives, or None. The statement is run to its end."""
        rows = self._connection.execute(sql, bindings).fetchall()
        return rows[0] if rows else None


def new_id() -> str:
    """An id that a model can copy and never takes for a number: "m" and 12 characters, 60 random bits."""
    return "m" + base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]


def _condition(wanted: Filter) -> tuple[str, list[str]]:
    """What a filter asks of the memory `m`, as SQL to be put after a WHERE, and its bindings."""
    parts: list[tuple[str, tuple[str, ...]]] = []
    if wanted.kinds:
        parts.append((f"m.kind IN ({_marks(wanted.kinds)})", wanted.kinds))
    for tag in wanted.tags:
        parts.append(("EXISTS (SELECT 1 FROM memory_tag WHERE memory = m.key AND tag = ?)", (tag,)))
    if wanted.since:
        parts.append(("m.date >= substr(?, 1, length(m.date))", (wanted.since,)))
    if wanted.until:
        parts.append(("substr(m.date, 1, length(?)) <= ?", (wanted.until, wanted.until)))
    return "".join(f" AND {sql}" for sql, _ in parts), [value for _, values in parts for value in values]


def _memory(row: Sequence[apsw.SQLiteValue]) -> Memory:
    id, kind, text, speaker, occurred_at, recorded_at, importance, seen, tags = cast(tuple[Any, ...], row)
    return Memory(
        id=id,
        kind=cast(Kind, kind),
        text=text,
        speaker=speaker,
        occurred_at=occurred_at,
        recorded_at=recorded_at,
        importance=importance,
        seen=seen,
        tags=tuple(tags.split("\n")) if tags else (),
    )


def _states(rows: Sequence[Sequence[apsw.SQLiteValue]]) -> dict[str, State]:
    return dict(cast("Sequence[tuple[str, State]]", rows))


def _space_key(rows: Sequence[Sequence[apsw.SQLiteValue]]) -> int | None:
    return cast(int, rows[0][0]) if rows else None


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
