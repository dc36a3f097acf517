"""The writes on one space, inside one transaction."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import apsw

from pygent_memory.deriving import followers, made_of
from pygent_memory.expiry import expiry
from pygent_memory.indexing import Indexer
from pygent_memory.memory import Draft
from pygent_memory.passages import Passage, passages
from pygent_memory.rows import SPACE, Row, marks, space_key
from pygent_memory.turns import refresh
from pygent_shared.errors import InvalidArgument

Status = Literal["created", "duplicate"]

State = Literal["live", "forgotten", "replaced"]
"""`replaced`: forgotten, and told again since, so that an equal memory lives under another id."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What became of a draft. `seen` is 1 for a new memory; `replaced` are the ids that no longer hold."""

    id: str
    status: Status
    seen: int
    replaced: tuple[str, ...] = ()


STATES = """
    SELECT m.id, CASE WHEN m.forgotten_at IS NULL THEN 'live' WHEN EXISTS (
        SELECT 1 FROM memory AS o WHERE o.space = m.space AND o.fingerprint = m.fingerprint
        AND o.forgotten_at IS NULL AND o.replaced_at IS NULL
    ) THEN 'replaced' ELSE 'forgotten' END
    FROM memory AS m WHERE +m.space = ? AND m.id IN ({})
"""


class Writer:
    """The writes on one space, inside one transaction. The first memory makes a space that is missing.

    Args:
        connection: in a write transaction.
        space: its full name.
        now: the time of the writes.
        actor: who asked for them, and will own the space if it is made.

    Attributes:
        followed: what was forgotten or restored because what it was derived from was.
        bereft: what lost one of several sources, and may say what was to be forgotten.
    """

    def __init__(self, connection: apsw.Connection, space: str, now: str, actor: str = "") -> None:
        self._connection = connection
        self._now = now
        self._actor = actor
        self._name = space
        self._indexer = Indexer(connection)
        self.followed: list[str] = []
        self.bereft: list[str] = []
        self.space = space_key(connection.execute(SPACE, (space,)).fetchall())

    def add_all(self, drafts: Sequence[tuple[Draft, Sequence[Passage]]]) -> list[Stored]:
        """Keep memories as `add` does, faster where many are turns of one conversation."""
        with self._indexer.at_once():
            return [self.add(draft, parts) for draft, parts in drafts]

    def add(self, draft: Draft, parts: Sequence[Passage]) -> Stored:
        """Keep a memory, unless exactly this is known; then it counts up and gets the new tags."""
        self.make()
        conversation, turn = self._turn(draft.conversation)
        fingerprint = draft.fingerprint(turn)
        if (row := self.known(fingerprint)) is not None:
            key, id, seen = row
            self._repeat(key, id, draft)
            return Stored(id=id, status="duplicate", seen=seen + 1, replaced=self._replace(draft, key))
        key, id = self._create(draft, parts, fingerprint, conversation, turn)
        return Stored(id=id, status="created", seen=1, replaced=self._replace(draft, key))

    def _create(
        self, draft: Draft, parts: Sequence[Passage], fingerprint: bytes, conversation: int | None, turn: int
    ) -> tuple[int, str]:
        """Keep a memory that is not known. Returns its number and its id."""
        id, past = new_id(), bool(draft.valid_to) and draft.valid_to <= self._now
        self._connection.execute(
            _INSERT,
            (
                id,
                self.space,
                draft.kind,
                draft.text,
                fingerprint,
                draft.speaker,
                draft.occurred_at or None,
                self._now,
                draft.importance,
                conversation,
                turn or None,
                self._entity(draft.entity),
                draft.valid_from or None,
                draft.valid_to or None,
                expiry(draft, self._now) or None,
                draft.pinned,
                draft.trust,
                draft.source,
                past,
            ),
        )
        key = self._connection.last_insert_rowid()
        self._tag(key, draft.tags)
        self._derive(key, draft.derived_from)
        self._indexer.put(key, draft.speaker or draft.entity, parts, past=past)
        self.record(id, "added")
        return key, id

    def known(self, fingerprint: bytes) -> tuple[int, str, int] | None:
        """Key, id and count of the memory that says exactly this, if one does that has not expired."""
        row = self._one(
            "SELECT key, id, seen, ifnull(expires_at <= ?, 0) FROM memory "
            "WHERE space = ? AND fingerprint = ? AND forgotten_at IS NULL AND replaced_at IS NULL",
            (self._now, self.space, fingerprint),
        )
        if row is None:
            return None
        key, id, seen, expired = row
        if expired:
            self.forget(id, "expired")
            return None
        return key, id, seen

    def forget(
        self, id: str, what: str = "forgotten", before: Mapping[str, object] | None = None
    ) -> State | None:
        """Take a live memory out of everything but its own row, and with it what was derived from it alone.
        Returns the state met."""
        if (state := self._state(id)) == "live":
            row = self._one(
                "UPDATE memory SET forgotten_at = ? WHERE space = ? AND id = ? RETURNING key",
                (self._now, self.space, id),
            )
            self._connection.execute("DELETE FROM passage WHERE memory = ?", row)
            refresh(self._connection, row[0])
            self.record(id, what, before)
            self._bereave(row[0], id)
        return state

    def restore(self, id: str) -> State | None:
        """Bring a forgotten memory back, and what was forgotten with it, unless it was told again since.
        What had expired expires no more. Returns the state met."""
        if (state := self._state(id)) == "forgotten":
            (expires_at,) = self._one(
                "SELECT expires_at FROM memory WHERE space = ? AND id = ?", (self.space, id)
            )
            expired = expires_at is not None and expires_at <= self._now
            self._connection.execute(
                "UPDATE memory SET forgotten_at = NULL, version = version + ?, "
                "past = replaced_at IS NOT NULL OR ifnull(valid_to <= ?, 0), "
                "expires_at = CASE WHEN expires_at > ?2 THEN expires_at END WHERE space = ? AND id = ?",
                (expired, self._now, self.space, id),
            )
            self.index_again(id)
            self.record(id, "restored", {"expires_at": expires_at} if expired else None)
            self._console(id)
        return state

    def index_again(self, id: str) -> None:
        """Make the passages of a memory anew; none for a forgotten one."""
        row = self._one(
            "SELECT key, text, past OR replaced_at IS NOT NULL, forgotten_at IS NULL, "
            "ifnull(nullif(speaker, ''), (SELECT name FROM entity WHERE id = memory.entity)) "
            "FROM memory WHERE space = ? AND id = ?",
            (self.space, id),
        )
        key, text, past, lives, speaker = row
        self._connection.execute("DELETE FROM passage WHERE memory = ?", (key,))
        if lives:
            self._indexer.put(key, speaker or "", passages(text), past=bool(past))

    def shelve(self, key: int, *, past: bool) -> None:
        """Put the passages of a memory on the shelf of the past, or of what holds now."""
        self._connection.execute("UPDATE memory SET past = ? WHERE key = ?", (past, key))
        self._connection.execute("UPDATE passage SET past = ?1 WHERE memory = ?2 AND past <> ?1", (past, key))
        refresh(self._connection, key)

    def record(self, id: str, what: str, before: Mapping[str, object] | None = None) -> None:
        """Write an event down: what happened to a memory, and what it was before."""
        self._connection.execute(
            "INSERT INTO event (at, space, memory, what, actor, before) VALUES (?, ?, ?, ?, ?, ?)",
            (self._now, self.space, id, what, self._actor, json.dumps(before) if before else None),
        )

    def make(self) -> None:
        """Make the space, if it is missing."""
        if self.space is None:
            self._connection.execute(
                "INSERT INTO space (name, owner, created_at) VALUES (?, ?, ?)",
                (self._name, self._actor, self._now),
            )
            self.space = self._connection.last_insert_rowid()

    def _turn(self, conversation: str) -> tuple[int | None, int]:
        """The conversation's number and that of its next turn; none and 0 where there is no conversation."""
        if not conversation:
            return None, 0
        row = self._one(
            "INSERT INTO conversation (space, name, turns) VALUES (?, ?, 1) "
            "ON CONFLICT (space, name) DO UPDATE SET turns = turns + 1 RETURNING id, turns",
            (self.space, conversation),
        )
        return cast("tuple[int, int]", row)

    def _entity(self, name: str) -> int | None:
        if not name:
            return None
        row = self._one(
            "SELECT id FROM entity WHERE space = ? AND name = ? AND forgotten_at IS NULL", (self.space, name)
        )
        assert row is not None, name
        return cast(int, row[0])

    def _repeat(self, key: int, id: str, draft: Draft) -> None:
        """It is as important, and lasts as long, as any telling of it said."""
        expires_at = expiry(draft, self._now)
        self._connection.execute(
            "UPDATE memory SET seen = seen + 1, importance = max(importance, ?), pinned = max(pinned, ?), "
            "expires_at = CASE ? WHEN '' THEN NULL ELSE max(expires_at, ?) END WHERE space = ? AND key = ?",
            (draft.importance, draft.pinned, expires_at, expires_at, self.space, key),
        )
        self._tag(key, draft.tags)
        self._derive(key, draft.derived_from)
        self.record(id, "repeated")

    def _replace(self, draft: Draft, by: int) -> tuple[str, ...]:
        """Let the memories that a draft replaces hold no longer. Returns their ids."""
        return tuple(id for id in draft.replaces if self._end(id, by))

    def _end(self, id: str, by: int, what: str = "replaced") -> bool:
        """Let a memory be replaced; until when it was true in the world stays as it was told."""
        row = self._one(
            "UPDATE memory SET replaced_at = ?, replaced_by = ? "
            "WHERE space = ? AND id = ? AND key <> ? AND forgotten_at IS NULL AND replaced_at IS NULL "
            "RETURNING key",
            (self._now, by, self.space, id, by),
        )
        if row is not None:
            self.shelve(row[0], past=True)
            self.record(id, what)
        return row is not None

    def _bereave(self, key: int, id: str) -> None:
        """Forget what was derived from a forgotten memory, or note that it lost one of its sources."""
        for child, is_sourced in made_of(self._connection, key).items():
            if is_sourced:
                self.bereft.append(child)
                self.record(child, "source forgotten", {"source": id})
            else:
                self.followed.append(child)
                self.forget(child, "forgotten", {"source": id})

    def _console(self, id: str) -> None:
        """Restore what was forgotten because a memory was."""
        self.followed += [
            child
            for child in followers(self._connection, self.space, id)
            if self.restore(child) == "forgotten"
        ]

    def _tag(self, key: int, tags: Sequence[str]) -> None:
        self._connection.executemany(
            "INSERT OR IGNORE INTO memory_tag (memory, tag) VALUES (?, ?)", [(key, tag) for tag in tags]
        )

    def _derive(self, key: int, ids: Sequence[str]) -> None:
        """Name what a memory was made of.

        Raises:
            InvalidArgument: an id is unknown here, or forgotten.
        """
        known = self._connection.execute(
            f"SELECT id FROM memory WHERE space = ? AND forgotten_at IS NULL AND id IN ({marks(ids)})",
            (self.space, *ids),
        ).fetchall()
        if unknown := sorted(set(ids) - {cast(str, id) for (id,) in known}):
            why = f'space "{self._name}" has no memory {", ".join(unknown[:5])}'
            raise InvalidArgument("derived_from", why, "Take the ids from memory_search or memory_add.")
        self._connection.executemany(
            "INSERT OR IGNORE INTO derived_from (memory, source) "
            "SELECT ?1, key FROM memory WHERE space = ?2 AND id = ?3 AND key <> ?1",
            [(key, self.space, id) for id in ids],
        )

    def _state(self, id: str) -> State | None:
        rows = self._connection.execute(STATES.format("?"), (self.space, id)).fetchall()
        return states(rows).get(id)

    def _one(self, sql: str, bindings: Sequence[apsw.SQLiteValue]) -> Any:
        """The only row a statement gives, or None. The statement is run to its end."""
        rows = self._connection.execute(sql, bindings).fetchall()
        return rows[0] if rows else None


_INSERT = """
    INSERT INTO memory (
        id, space, kind, text, fingerprint, speaker, occurred_at, recorded_at, importance, conversation, turn,
        entity, valid_from, valid_to, expires_at, pinned, trust, source, past
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def new_id() -> str:
    """An id that a model can copy and never takes for a number: "m" and 12 characters, 60 random bits."""
    return "m" + base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]


def states(rows: Sequence[Row]) -> dict[str, State]:
    """The states that a `STATES` query gave, by id."""
    return dict(cast("Sequence[tuple[str, State]]", rows))
