"""What an A2A server keeps: tasks, the log of their events, who works on them, messages that were taken,
and what is to be pushed where.

The one rule: a change of a task, its event and what is to be pushed of it are one transaction, and a change
is made only of the version it was made from. So whoever reads a task at a version and the log after it has
every event exactly once, and of two replicas that take a task for theirs, one is refused.

The statements are the same for both engines (`store_sqlite`, `store_postgres`); `?` stands for a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, Protocol, TypeVar

import anyio.to_thread

P = ParamSpec("P")
T = TypeVar("T")

Rows = list[tuple[Any, ...]]
Execute = Callable[[str, Sequence[Any]], Rows]
"""Runs one statement within a transaction and gives its rows."""

TERMINAL = (3, 4, 5, 7)
"""The states that no task leaves: completed, failed, canceled and rejected."""

WORKING = (1, 2)
"""Those in which somebody works on it: submitted and working."""

SCHEMA = """
CREATE TABLE {if_not_exists} a2a_task (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, context TEXT NOT NULL, state INTEGER NOT NULL,
    updated BIGINT NOT NULL, version BIGINT NOT NULL, folded BIGINT NOT NULL, body {blob} NOT NULL,
    holder TEXT, since DOUBLE PRECISION NOT NULL
);
CREATE INDEX {if_not_exists} a2a_task_of_owner ON a2a_task (owner, updated DESC, id DESC);
CREATE INDEX {if_not_exists} a2a_task_held ON a2a_task (state, since);
CREATE TABLE {if_not_exists} a2a_event (
    task TEXT NOT NULL, version BIGINT NOT NULL, body {blob} NOT NULL, PRIMARY KEY (task, version)
);
CREATE TABLE {if_not_exists} a2a_message (
    owner TEXT NOT NULL, id TEXT NOT NULL, digest TEXT NOT NULL, task TEXT NOT NULL, answer {blob},
    since DOUBLE PRECISION NOT NULL, PRIMARY KEY (owner, id, digest)
);
CREATE INDEX {if_not_exists} a2a_message_of_task ON a2a_message (task);
CREATE TABLE {if_not_exists} a2a_target (
    task TEXT NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL, body {blob} NOT NULL, old INTEGER NOT NULL,
    PRIMARY KEY (task, id)
);
CREATE TABLE {if_not_exists} a2a_delivery (
    id {serial}, task TEXT NOT NULL, target TEXT NOT NULL, version BIGINT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, since DOUBLE PRECISION NOT NULL, due DOUBLE PRECISION NOT NULL
);
CREATE INDEX {if_not_exists} a2a_delivery_due ON a2a_delivery (due);
CREATE INDEX {if_not_exists} a2a_delivery_of_target ON a2a_delivery (task, target, id);
CREATE TABLE {if_not_exists} a2a_replica (id TEXT PRIMARY KEY, beat DOUBLE PRECISION NOT NULL);
"""


class Stale(Exception):
    """A change of a task that somebody else has changed meanwhile, or works on."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A task as it is to be kept. `body` None leaves what is there: the event is added when it is read."""

    id: str
    owner: str
    context: str
    state: int
    updated: int
    body: bytes | None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A task as it is kept: its body, and the events that are to be added to it."""

    id: str
    owner: str
    updated: int
    version: int
    body: bytes
    later: tuple[bytes, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sought:
    """Which tasks of an owner are listed; what is None does not matter. `before` is where a page goes on."""

    context: str | None = None
    state: int | None = None
    since: int | None = None
    before: tuple[int, str] | None = None
    most: int = 50


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of a message that was sent before: its task, or the message that answered it."""

    task: str
    answer: bytes | None


class Engine(Protocol):
    """A database."""

    inline: bool
    """Whether its statements are so short that they are run on the event loop itself."""

    def query(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        """The rows of a statement that only reads."""

    def writing(self) -> AbstractContextManager[Execute]:
        """One transaction."""

    def now(self) -> float:
        """Seconds since 1970 by a clock that all replicas share."""

    def enter(self, replica: str) -> None:
        """Let others see that a replica is alive."""

    def is_gone(self, replica: str) -> bool:
        """Whether a replica is known to have ended, before its lease is over."""

    def flush(self) -> None:
        """Have on the disk what was written so far."""

    def close(self) -> None:
        """Close every connection."""


def listed(states: Iterable[int]) -> str:
    """States as a statement lists them."""
    return ",".join(map(str, states))


async def run(engine: Engine, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of what asks an engine, without holding up the event loop."""
    if engine.inline:
        return work(*args, **kwargs)
    return await anyio.to_thread.run_sync(partial(work, *args, **kwargs))


class Store:
    """Tasks and messages that were taken. Every method is safe in any thread."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def save(self, row: Row, event: bytes | None, *, after: int, replica: str, force: bool = False) -> int:
        """Keep a task and its event, to be pushed to its targets; the version it has now.

        Args:
            after: the version it was made from; 0 for a new task.
            replica: who works on it. While it works, no other may change it.
            force: change it all the same; whoever works on it will see.

        Raises:
            Stale: it has another version, or another replica works on it.
        """
        holder = replica if row.state in WORKING else None
        with self.engine.writing() as execute:
            if after == 0:
                found = execute(
                    "INSERT INTO a2a_task"
                    " (id, owner, context, state, updated, version, folded, body, holder, since)"
                    " VALUES (?, ?, ?, ?, ?, 1, 1, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING version",
                    (
                        row.id,
                        row.owner,
                        row.context,
                        row.state,
                        row.updated,
                        row.body,
                        holder,
                        self.engine.now(),
                    ),
                )
            else:
                whole = "version + 1, body = ?" if row.body is not None else "folded"
                by = "CASE WHEN holder <> ? THEN holder ELSE ? END" if force else "?"
                found = execute(
                    f"UPDATE a2a_task SET state = ?, updated = ?, version = version + 1, since = ?,"
                    f" holder = {by}, folded = {whole} WHERE id = ? AND owner = ? AND version = ?"
                    + ("" if force else " AND (holder IS NULL OR holder = ?)")
                    + " RETURNING version",
                    (
                        *(row.state, row.updated, self.engine.now()),
                        *((replica, holder) if force else (holder,)),
                        *((row.body,) if row.body is not None else ()),
                        *(row.id, row.owner, after),
                        *(() if force else (replica,)),
                    ),
                )
            if not found:
                raise Stale(row.id)
            version = int(found[0][0])
            if event is not None:
                execute(
                    "INSERT INTO a2a_event (task, version, body) VALUES (?, ?, ?)", (row.id, version, event)
                )
                now = self.engine.now()
                execute(
                    "INSERT INTO a2a_delivery (task, target, version, since, due)"
                    " SELECT task, id, ?, ?, ? FROM a2a_target WHERE task = ?",
                    (version, now, now, row.id),
                )
        return version

    def read(self, owner: str, id: str) -> Kept | None:
        """A task of an owner."""
        rows = self.engine.query(
            "SELECT id, owner, updated, version, body, folded FROM a2a_task WHERE id = ? AND owner = ?",
            (id, owner),
        )
        return self._kept(rows[0]) if rows else None

    def page(self, owner: str, sought: Sought, *, whole: bool) -> tuple[list[Kept], int]:
        """Tasks of an owner, the one that changed last first, and how many there are on all pages.

        Args:
            whole: with the events that are to be added.
        """
        where = ["owner = ?"]
        values: list[Any] = [owner]
        given: Mapping[str, Any] = {
            "context = ?": sought.context,
            "state = ?": sought.state,
            "updated >= ?": sought.since,
        }
        for condition, value in given.items():
            if value is not None:
                where.append(condition)
                values.append(value)
        counted = f"SELECT count(*) FROM a2a_task WHERE {' AND '.join(where)}"
        ((total,),) = self.engine.query(counted, values)
        if sought.before:
            where.append("(updated, id) < (?, ?)")
            values += sought.before
        rows = self.engine.query(
            f"SELECT id, owner, updated, version, body, folded FROM a2a_task WHERE {' AND '.join(where)}"
            " ORDER BY updated DESC, id DESC LIMIT ?",
            [*values, sought.most],
        )
        return [self._kept(row, whole=whole) for row in rows], int(total)

    def _kept(self, row: tuple[Any, ...], *, whole: bool = True) -> Kept:
        id, owner, updated, version, body, folded = row
        later: tuple[bytes, ...] = ()
        if whole and folded < version:
            # Not what was written since: the version that is said is the version that is given.
            later = tuple(body for at, body in self.events(id, folded) if at <= version)
        return Kept(id=id, owner=owner, updated=updated, version=version, body=bytes(body), later=later)

    def remove(self, owner: str, id: str) -> None:
        """Take a task away, with all that belongs to it."""
        with self.engine.writing() as execute:
            if execute("DELETE FROM a2a_task WHERE id = ? AND owner = ? RETURNING id", (id, owner)):
                remove_all(execute, id)

    def events(self, task: str, after: int) -> list[tuple[int, bytes]]:
        """The events of a task after a version, with the version that each led to."""
        rows = self.engine.query(
            "SELECT version, body FROM a2a_event WHERE task = ? AND version > ? ORDER BY version",
            (task, after),
        )
        return [(int(version), bytes(body)) for version, body in rows]

    def is_open(self, task: str) -> bool:
        """Whether something may yet happen to a task."""
        sql = f"SELECT 1 FROM a2a_task WHERE id = ? AND state NOT IN ({listed(TERMINAL)})"
        return bool(self.engine.query(sql, (task,)))

    def holder_of(self, task: str) -> str | None:
        """Which replica works on a task."""
        rows = self.engine.query("SELECT holder FROM a2a_task WHERE id = ?", (task,))
        return rows[0][0] if rows else None

    def take(self, owner: str, message: str, digest: str, task: str, *, within: float) -> Taken | None:
        """Note that a message is taken, for a task; what became of it where it was taken before.

        Args:
            within: seconds; what was taken before that is forgotten.
        """
        now = self.engine.now()
        with self.engine.writing() as execute:
            if execute(
                "INSERT INTO a2a_message (owner, id, digest, task, since) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (owner, id, digest) DO UPDATE SET"
                " task = excluded.task, answer = NULL, since = excluded.since"
                " WHERE a2a_message.since <= ? RETURNING id",
                (owner, message, digest, task, now, now - within),
            ):
                return None
            ((first, answer),) = execute(
                "SELECT task, answer FROM a2a_message WHERE owner = ? AND id = ? AND digest = ?",
                (owner, message, digest),
            )
        return Taken(task=first, answer=None if answer is None else bytes(answer))

    def answered(self, owner: str, message: str, digest: str, answer: bytes) -> None:
        """Keep the message that answered one, where there is no task of it."""
        with self.engine.writing() as execute:
            execute(
                "UPDATE a2a_message SET answer = ? WHERE owner = ? AND id = ? AND digest = ?",
                (answer, owner, message, digest),
            )

    def untake(self, owner: str, message: str, digest: str) -> None:
        """Forget that a message was taken: nothing came of it."""
        with self.engine.writing() as execute:
            execute(
                "DELETE FROM a2a_message WHERE owner = ? AND id = ? AND digest = ?", (owner, message, digest)
            )


def remove_all(execute: Execute, task: str) -> None:
    """Take away all that belongs to a task."""
    for table in ("a2a_event", "a2a_message", "a2a_target", "a2a_delivery"):
        execute(f"DELETE FROM {table} WHERE task = ?", (task,))
