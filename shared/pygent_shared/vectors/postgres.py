"""Vectors in PostgreSQL, found by pgvector's graph (HNSW): one index for all processes, outside of them.

It is a copy. The rows in SQLite stay the truth, and the copy follows their log of changes: little is taken
over when a question comes, much in a thread of its own, and until it is up to date, or while PostgreSQL
cannot be reached, the rows answer. Each database has a name of its own, so that many share one PostgreSQL.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Collection, Sequence
from itertools import chain
from typing import TypeVar
from uuid import uuid4

import psycopg
from psycopg import sql

from pygent_shared.database import Database
from pygent_shared.embeddings import Vector
from pygent_shared.errors import DatabaseUnusable
from pygent_shared.postgres import line
from pygent_shared.vectors.changes import LEAST, FollowedVectors
from pygent_shared.vectors.pgvector import Copy
from pygent_shared.vectors.postgres_connection import opened
from pygent_shared.vectors.sqlite_vec import Items

log = logging.getLogger(__name__)

FEW = 500
"""Changes up to which a question takes them over; more are taken over beside it."""
RETRY_SECONDS = 30.0
"""How long PostgreSQL is left alone after it could not be reached."""
WAIT_MS = 2_000
"""How long a question waits for another process that is taking over changes."""


Answer = TypeVar("Answer")


class PostgresVectors(FollowedVectors):
    """A `VectorStore` whose questions a PostgreSQL answers.

    Args:
        database: holds the items, their vectors, and the log of `changes.schema`.
        items: the table the vectors belong to.
        url: where PostgreSQL is; "" is where libpq's own variables say.
        least: vectors of a model below which there is no copy.

    Raises:
        DatabaseUnusable: it cannot be reached, or has no pgvector that serves.
    """

    def __init__(self, database: Database, items: Items, url: str, *, least: int = LEAST) -> None:
        super().__init__(database, items)
        self._url = url
        self._least = least
        self._lock = threading.Lock()
        self._copies: dict[str, Copy] = {}
        self._at_work: dict[str, threading.Thread] = {}
        self._left_alone_until = 0.0
        self._connection: psycopg.Connection | None = self._open()
        self._store = f"{_own_name(database)}:{database.path.resolve()}:{items.table}"

    def nearest(
        self,
        model: str,
        query: Vector,
        groups: Sequence[int],
        limit: int,
        among: Collection[int] | None = None,
    ) -> dict[int, float]:
        found = self._asked(
            model, lambda copy, connection: copy.nearest(connection, query, groups, limit, among)
        )
        return self._stored.nearest(model, query, groups, limit, among) if found is None else found

    def spread(self, model: str, query: Vector, groups: Sequence[int]) -> float:
        found = self._asked(model, lambda copy, connection: copy.spread(connection, query, groups))
        return self._stored.spread(model, query, groups) if found is None else found

    def wait(self, model: str, seconds: float) -> bool:
        """Wait at most so long for a thread at work on a model's copy; whether there is a copy then."""
        with self._lock:
            at_work = self._at_work.get(model)
        if at_work is not None:
            at_work.join(seconds)
        with self._lock:
            return model in self._copies

    def _asked(self, model: str, ask: Callable[[Copy, psycopg.Connection], Answer]) -> Answer | None:
        """What the copy of a model answers; None while there is none, or it cannot be reached."""
        with self._lock:
            try:
                if (copy := self._current(model)) and (connection := self._connected()):
                    return ask(copy, connection)
            except psycopg.Error as error:
                self._leave_alone(model, error)
        return None

    def _current(self, model: str) -> Copy | None:
        """The copy of a model as SQLite is now; None while there is none."""
        if (thread := self._at_work.get(model)) is not None:
            if thread.is_alive():
                return None
            del self._at_work[model]
        copy, latest = self._copies.get(model), self._changes.latest()
        if copy is not None and copy.latest == latest:
            return copy
        if copy is not None and (connection := self._connected()):
            changed = self._changes.since(copy.latest, model)
            if changed is not None and len(changed) <= FEW:
                try:
                    taken = self._take_over(connection, model, wait_ms=WAIT_MS)
                except psycopg.errors.LockNotAvailable:  # another process is at it
                    return None
                if taken is not None:
                    self._copies[model] = taken
                    return taken
        if time.monotonic() >= self._left_alone_until and (copy or self._changes.pays(model, self._least)):
            thread = threading.Thread(target=self._bring, args=[model], name="copy vectors", daemon=True)
            self._at_work[model] = thread
            thread.start()
        return None

    def _bring(self, model: str) -> None:
        """Bring the copy of a model up to date, or make it."""
        try:
            with opened(self._url) as connection, connection.transaction():  # the lock lasts till its end
                copy = self._take_over(connection, model) or self._build(connection, model)
            with self._lock:
                if copy is not None:
                    self._copies[model] = copy
        except (psycopg.Error, DatabaseUnusable) as error:
            with self._lock:
                self._leave_alone(model, error)
        except Exception:
            log.exception("The vectors could not be copied to PostgreSQL; they are read from the database")

    def _take_over(self, connection: psycopg.Connection, model: str, wait_ms: int = 0) -> Copy | None:
        """Have what changed since in the copy; None where it must be made anew."""
        with connection.transaction():
            self._alone(connection, model, wait_ms)
            found = connection.execute(
                "SELECT id, dimensions, latest, item FROM pygent_vectors WHERE store = %s AND model = %s "
                "AND to_regclass('pygent_vectors_' || id) IS NOT NULL",
                (self._store, model),
            ).fetchone()
            if found is None or not self._is_known(found[2], found[3]):
                return None
            copy, latest = Copy(*found[:3]), self._changes.latest()
            if (changed := self._changes.since(copy.latest, model)) is None:
                return None
            for some, rows in self._changes.rows_of(model, changed):
                copy.remove(connection, some)
                copy.add(connection, rows)
            self._note(connection, copy, latest)
        return copy

    def _build(self, connection: psycopg.Connection, model: str) -> Copy | None:
        """A new copy, in place of what there was; None where there are no vectors after all."""
        latest, batches = self._changes.latest(), self._changes.rows(model)
        if not (first := next(batches, [])):
            return None
        with connection.transaction():
            self._alone(connection, model, 0)
            which = (self._store, model)
            old = (
                "DELETE FROM pygent_vectors WHERE store = %s AND model = %s RETURNING id, dimensions, latest"
            )
            for found in connection.execute(old, which).fetchall():
                Copy(*found).drop(connection)
            new = (
                "INSERT INTO pygent_vectors (store, model, dimensions, latest) VALUES (%s, %s, %s, 0) "
                "RETURNING id, dimensions, latest"
            )
            made = connection.execute(new, (*which, len(first[0][2]) // 4)).fetchone()
            assert made is not None
            copy = Copy(*made)
            copy.make(connection, chain([first], batches))
            self._note(connection, copy, latest)
        return copy

    def _alone(self, connection: psycopg.Connection, model: str, wait_ms: int) -> None:
        """Let nobody else change the copy until the transaction ends."""
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(wait_ms))
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{self._store}:{model}",)
        )

    def _is_known(self, number: int, item: int | None) -> bool:
        """Whether a change that the copy holds is one of this database as it is: one that was put back from a
        backup counts the same numbers again."""
        return number == 0 or ((found := self._changes.at(number)) is not None and found[0] == item)

    def _note(self, connection: psycopg.Connection, copy: Copy, latest: int) -> None:
        """Write down what the copy holds now."""
        at = self._changes.at(latest)
        connection.execute(
            "UPDATE pygent_vectors SET latest = %s, item = %s WHERE id = %s",
            (latest, at[0] if at else None, copy.id),
        )
        copy.latest = latest

    def _connected(self) -> psycopg.Connection | None:
        """The connection for questions; None while PostgreSQL is left alone."""
        if self._connection is not None and not self._connection.closed:
            return self._connection
        if time.monotonic() < self._left_alone_until:
            return None
        try:
            self._connection = self._open()
        except DatabaseUnusable as error:
            self._leave_alone("", error)
            return None
        return self._connection

    def _open(self) -> psycopg.Connection:
        connection = opened(self._url)
        weakref.finalize(self, connection.close)
        return connection

    def _leave_alone(self, model: str, error: Exception) -> None:
        """Have the rows answer for a while, and look at the copy anew then."""
        log.warning("Vectors are read from the database, more slowly: %s", line(error))
        self._copies.pop(model, None)
        self._left_alone_until = time.monotonic() + RETRY_SECONDS


def _own_name(database: Database) -> str:
    """A name that a database file keeps, made when it is first asked for."""
    with database.write() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS own_name (name TEXT NOT NULL) STRICT")
        connection.execute(
            "INSERT INTO own_name SELECT ? WHERE NOT EXISTS (SELECT 1 FROM own_name)", (uuid4().hex,)
        )
    ((name,),) = database.query("SELECT name FROM own_name")
    return str(name)
