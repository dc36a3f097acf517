"""The steps of a run, inside one transaction: each one done, and written down to be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import apsw

from pygent_memory.consolidation.judge import Judged
from pygent_memory.memory import Draft, utc
from pygent_memory.passages import passages
from pygent_memory.rows import marks
from pygent_memory.writing import Writer
from pygent_shared.errors import InvalidArgument

SAME_AS = "is the same as"
"""The relation between two names of one thing."""

KEPT_FOR = timedelta(days=7)
"""How long a working memory that was kept stays at least; a little before, it is asked about again."""

FROM_WORKLIST = "Take the ids from memory_worklist or memory_search."


class Steps:
    """What the answers to a page do.

    Args:
        connection: in a write transaction.
        writer: of the same transaction.
        run: the number of the run.
        space: its full name, for errors.
        now: the time of the run's writes.
    """

    def __init__(self, connection: apsw.Connection, writer: Writer, run: int, space: str, now: str) -> None:
        self._connection = connection
        self._writer = writer
        self._run = run
        self._space = space
        self._now = now
        self.facts: list[str] = []
        self.added: list[str] = []
        self.replaced: list[str] = []

    def add(self, fact: Draft, place: str) -> None:
        """Keep a fact that was derived from memories, and end what it replaces.

        Raises:
            InvalidArgument: it names no source, or an id that is unknown here.
        """
        if not fact.derived_from:
            why = "is empty, so nobody could check the fact"
            raise InvalidArgument(place + "derived_from", why, "Name the ids it was made of.")
        sources = self._keys(fact.derived_from, place + "derived_from")
        ended = self._keys(fact.replaces, place + "replaces")
        stored = self._writer.add(replace(fact, replaces=(), derived_from=()), passages(fact.text))
        (key,) = self._keys([stored.id], place + "text")
        self.facts.append(stored.id)
        if stored.status == "created":
            self.added.append(stored.id)
            self._done("added", key)
        else:
            self._done("repeated", key)
        for source in sources:
            self._derive(key, source, is_new=stored.status == "created")
        for old in ended:
            self._end(old, key)

    def judge(self, judged: Judged, place: str) -> None:
        """Do what a verdict says.

        Raises:
            InvalidArgument: it is about something unknown here, or does not fit it.
        """
        about, name = judged.about, place + "ids"
        match len(about), judged.verdict:
            case 1 | 2, "done":
                self._read(self._keys(about, name), name)
            case 1, "keep":
                self._keep(self._keys(about, name), name)
            case 2, "same" | "unrelated" if self._entities(about):
                self._judge_names(self._entities(about), judged.verdict)
            case 2, "same" | "update" | "contradiction" | "unrelated":
                self._judge_pair(self._keys(about, name), judged.verdict, name)
            case _:
                why = f"holds {len(about)}, which does not fit the verdict {judged.verdict}"
                cure = "Send two of a pair or of names, the first and last of a stretch, or one to keep."
                raise InvalidArgument(name, why, cure)

    def _judge_pair(self, keys: Sequence[int], verdict: str, name: str) -> None:
        holds, ends = keys
        if holds == ends:
            raise InvalidArgument(name, "names one memory twice", "Name the two of a pair.")
        if verdict in ("same", "update"):
            self._prefer(holds, ends, name)
        self._connection.execute(
            "INSERT INTO memory_pair (newer, older, space, likeness, verdict, run) VALUES (?, ?, ?, 0, ?, ?) "
            "ON CONFLICT (newer, older) DO UPDATE SET verdict = excluded.verdict, run = excluded.run",
            (max(keys), min(keys), self._writer.space, verdict, self._run),
        )

    def _prefer(self, holds: int, ends: int, name: str) -> None:
        """Let one memory stand for two."""
        if (holding := self._standing_for(holds)) is None:
            why = "prefers a memory that was replaced by one that is forgotten"
            raise InvalidArgument(name, why, "Ask for the worklist again.")
        if holding != ends:  # else an earlier verdict preferred that one
            self._end(ends, holds)

    def _standing_for(self, key: int) -> int | None:
        """The memory that stands for this one now; None if it is forgotten."""
        rows = self._rows(
            """
            WITH RECURSIVE by(key) AS (
                VALUES (?1) UNION
                SELECT m.replaced_by FROM by JOIN memory AS m USING (key) WHERE m.replaced_by IS NOT NULL
            )
            SELECT m.key FROM by JOIN memory AS m USING (key)
            WHERE m.forgotten_at IS NULL AND m.replaced_at IS NULL
            """,
            (key,),
        )
        return cast(int, rows[0][0]) if rows else None

    def _end(self, key: int, by: int) -> None:
        """Let a memory hold no longer, because another one does."""
        rows = self._rows(
            "UPDATE memory SET replaced_at = ?1, replaced_by = ?2 "
            "WHERE key = ?3 AND key <> ?2 AND replaced_at IS NULL RETURNING id",
            (self._now, by, key),
        )
        for (id,) in rows:
            self._writer.shelve(key, past=True)
            self._writer.record(id, "replaced")
            self._done("replaced", key, by)
            self.replaced.append(id)

    def _derive(self, key: int, source: int, *, is_new: bool) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO derived_from (memory, source) SELECT ?1, ?2 WHERE ?1 <> ?2", (key, source)
        )
        if self._connection.changes() and not is_new:
            self._done("repeated", key, source)

    def _read(self, keys: Sequence[int], name: str) -> None:
        """Mark the turns from the first to the last as read."""
        rows = self._rows(
            "SELECT DISTINCT conversation, min(turn) OVER (), max(turn) OVER () FROM memory "
            f"WHERE key IN ({marks(keys)})",
            tuple(keys),
        )
        if len(rows) != 1 or rows[0][0] is None:
            raise InvalidArgument(name, "names no stretch of one conversation", FROM_WORKLIST)
        self._connection.execute(
            "UPDATE memory SET read_by = ? WHERE space = ? AND conversation = ? AND turn BETWEEN ? AND ? "
            "AND read_by IS NULL",
            (self._run, self._writer.space, *rows[0]),
        )

    def _keep(self, keys: Sequence[int], name: str) -> None:
        """Let a working memory stay: where it expires, for some days from now at least."""
        rows = self._rows("SELECT expires_at FROM memory WHERE key = ? AND kind = 'working'", tuple(keys))
        if not rows:
            raise InvalidArgument(name, "names no working memory", "Others are kept anyway.")
        until = utc(datetime.fromisoformat(self._now) + KEPT_FOR)
        self._connection.execute(
            "UPDATE memory SET read_by = ?, expires_at = max(expires_at, ?) WHERE key = ?",
            (self._run, until, *keys),
        )
        self._done("kept", keys[0], expires_at=rows[0][0])

    def _judge_names(self, keys: Sequence[int], verdict: str) -> None:
        one, other = keys
        relation = self._relate(one, other) if verdict == "same" else None
        self._connection.execute(
            "INSERT OR IGNORE INTO entity_pair (one, other, verdict, relation, run) VALUES (?, ?, ?, ?, ?)",
            (min(keys), max(keys), verdict, relation, self._run),
        )

    def _relate(self, one: int, other: int) -> int | None:
        self._connection.execute(
            "INSERT INTO relation (space, source, target, type, recorded_at) "
            "SELECT ?1, a.name, b.name, ?2, ?3 FROM entity AS a, entity AS b WHERE a.id = ?4 AND b.id = ?5 "
            "ON CONFLICT DO NOTHING",
            (self._writer.space, SAME_AS, self._now, one, other),
        )
        return self._connection.last_insert_rowid() if self._connection.changes() else None

    def _entities(self, names: Sequence[str]) -> list[int]:
        """The keys of two different entities, in the order asked for; none where either is unknown."""
        rows = self._rows(
            "SELECT name, id FROM entity WHERE space = ? AND forgotten_at IS NULL "
            f"AND name IN ({marks(names)})",
            (self._writer.space, *names),
        )
        known = dict(cast("list[tuple[str, int]]", rows))
        return [known[name] for name in names] if len(known) == len(names) else []

    def _keys(self, ids: Sequence[str], name: str) -> list[int]:
        """The keys of memories that are not forgotten, in the order asked for."""
        rows = self._rows(
            f"SELECT id, key FROM memory WHERE space = ? AND forgotten_at IS NULL AND id IN ({marks(ids)})",
            (self._writer.space, *ids),
        )
        known = dict(cast("list[tuple[str, int]]", rows))
        if unknown := [id for id in ids if id not in known]:
            why = f'space "{self._space}" has no memory {", ".join(unknown[:5])}'
            raise InvalidArgument(name, why, FROM_WORKLIST)
        return [known[id] for id in ids]

    def _done(self, what: str, key: int, other: int | None = None, expires_at: str | None = None) -> None:
        self._connection.execute(
            "INSERT INTO consolidated (run, memory, what, other, expires_at) VALUES (?, ?, ?, ?, ?)",
            (self._run, key, what, other, expires_at),
        )

    def _rows(self, sql: str, bindings: Sequence[apsw.SQLiteValue]) -> list[Any]:
        return self._connection.execute(sql, bindings).fetchall()
