"""Where agents are kept: every version of each, and who changed what when.

The one rule: a move and its record are one transaction, and a version is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import apsw

from pygent_factory.lifecycle import Move, State, moved
from pygent_factory.spec import Spec
from pygent_shared.caller import caller
from pygent_shared.database import Database
from pygent_shared.errors import InvalidArgument, UnknownName

_SCHEMA = """
CREATE TABLE agent (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL
);
CREATE TABLE version (
    agent INTEGER NOT NULL REFERENCES agent(id),
    number INTEGER NOT NULL,
    spec TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (agent, number)
) WITHOUT ROWID;
CREATE TRIGGER version_is_final BEFORE UPDATE ON version BEGIN
    SELECT raise(ABORT, 'a version is never changed');
END;
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    agent INTEGER NOT NULL REFERENCES agent(id),
    actor TEXT NOT NULL,
    move TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    version INTEGER NOT NULL
);
CREATE INDEX event_of_agent ON event(agent);
CREATE TABLE run (
    id TEXT PRIMARY KEY,
    agent INTEGER NOT NULL REFERENCES agent(id),
    version INTEGER NOT NULL,
    task TEXT NOT NULL,
    conversation TEXT NOT NULL,
    started_at TEXT NOT NULL,
    answers INTEGER NOT NULL DEFAULT 0,
    ended INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX run_of_agent ON run(agent, started_at);
CREATE INDEX run_of_conversation ON run(agent, conversation) WHERE conversation <> '';
CREATE INDEX run_unfinished ON run(ended) WHERE ended = 0;
"""

_WHOSE = "ALTER TABLE run ADD COLUMN caller TEXT NOT NULL DEFAULT ''"
_SOURCES = """
CREATE TABLE source (
    agent INTEGER PRIMARY KEY REFERENCES agent(id),
    path TEXT NOT NULL,
    spec TEXT NOT NULL
);
"""

MIGRATIONS = (_SCHEMA, _WHOSE, _SOURCES)


@dataclass(frozen=True, kw_only=True)
class Agent:
    """An agent as it is now: its state and its newest version."""

    name: str
    state: State
    version: int
    spec: Spec
    created_at: str


@dataclass(frozen=True, kw_only=True)
class Event:
    """A move that was made: when, by whom ("" is the machine's own user), from which state to which, and the
    version it left."""

    at: str
    actor: str
    move: str
    before: str
    after: State
    version: int


class AgentStore:
    """The agents in a database, for several threads and processes. Times are UTC in ISO 8601.

    Args:
        database: with the tables of `MIGRATIONS`.

    Raises (every method): DatabaseUnusable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, spec: Spec, now: str) -> Agent:
        """A new agent; a draft, where its spec lacks what it needs to run.

        Raises:
            InvalidArgument: there is one of that name, or was.
        """
        with self._database.write() as connection:
            if _one(connection, "SELECT 1 FROM agent WHERE name = ?", (name,)):
                cure = f'Change it: configure_agent(name="{name}", …); or take another name.'
                raise InvalidArgument("name", f'"{name}" is taken', cure)
            self._create(connection, name, spec, now)
        return self.get(name)

    def take_over(self, name: str, spec: Spec, path: str, now: str) -> bool:
        """Have an agent be as its file says, where the file says something it did not say before: what was
        configured since stays otherwise. Whether anything changed.

        Raises:
            InvalidArgument: there is one of that name that is of no file.
            IllegalMove: it is retired.
        """
        said = _data(spec)
        with self._database.write() as connection:
            row = _one(
                connection,
                "SELECT a.id, s.path, s.spec FROM agent AS a LEFT JOIN source AS s ON s.agent = a.id "
                "WHERE a.name = ?",
                (name,),
            )
            if row is None:
                key = self._create(connection, name, spec, now)
            else:
                key, known, before = cast("tuple[int, str | None, str]", tuple(row))
                if known is None:
                    raise InvalidArgument(
                        "name", f'"{name}" is taken by an agent of no file', "Take another in the file."
                    )
                if before != said:
                    self._configure(connection, name, lambda _: spec, now)
                elif known == path:
                    return False
            connection.execute("INSERT OR REPLACE INTO source VALUES (?, ?, ?)", (key, path, said))
        return row is None or before != said

    def source(self, name: str) -> str:
        """The path of the file that an agent is of; "" for one of none."""
        rows = self._database.query(
            "SELECT s.path FROM source AS s JOIN agent AS a ON a.id = s.agent WHERE a.name = ?", (name,)
        )
        return str(rows[0][0]) if rows else ""

    def configure(self, name: str, changes: dict[str, Any], now: str) -> Agent:
        """A new version of an agent; none where the changes change nothing. A draft is configured once it
        lacks nothing.

        Raises:
            UnknownName, IllegalMove, InvalidArgument: there is no such agent, it is retired, or a change is
                unusable.
        """
        with self._database.write() as connection:
            self._configure(connection, name, lambda spec: spec.changed(changes, begun=not spec.lacking), now)
        return self.get(name)

    def move(self, name: str, move: Move, now: str) -> Agent:
        """Deploy, pause or retire an agent.

        Raises:
            UnknownName, IllegalMove: there is no such agent, or its state has no such move.
        """
        with self._database.write() as connection:
            key, state, version = _found(connection, name)
            self._move(connection, key, move, state, moved(name, state, move), version, now)
        return self.get(name)

    def get(self, name: str) -> Agent:
        """An agent as it is now.

        Raises:
            UnknownName: there is none of that name.
        """
        rows = self._database.query(f"{_AGENTS} WHERE a.name = ?", (name,))
        if not rows:
            raise UnknownName("agent", name, self.names(), "See them: list_agents()")
        return _agent(rows[0])

    def all(self) -> list[Agent]:
        """Every agent, by name."""
        return [_agent(row) for row in self._database.query(f"{_AGENTS} ORDER BY a.name")]

    def names(self) -> list[str]:
        """The names of all agents, sorted."""
        return [str(name) for (name,) in self._database.query("SELECT name FROM agent ORDER BY name")]

    def version(self, name: str, number: int) -> Spec:
        """A version of an agent.

        Raises:
            UnknownName: there is no such agent, or no such version of it.
        """
        rows = self._database.query(
            "SELECT v.spec FROM version AS v JOIN agent AS a ON a.id = v.agent "
            "WHERE a.name = ? AND v.number = ?",
            (name, number),
        )
        if not rows:
            newest = self.get(name).version
            raise UnknownName("version", f"{name}/{number}", [f"{name}/{n}" for n in range(1, newest + 1)])
        return Spec.model_validate_json(str(rows[0][0]))

    def events(self, name: str) -> list[Event]:
        """What was done to an agent, oldest first."""
        rows = self._database.query(
            "SELECT e.at, e.actor, e.move, e.before, e.after, e.version FROM event AS e "
            "JOIN agent AS a ON a.id = e.agent WHERE a.name = ? ORDER BY e.id",
            (name,),
        )
        return [
            Event(at=at, actor=actor, move=move, before=before, after=after, version=version)
            for at, actor, move, before, after, version in cast("list[tuple[Any, ...]]", rows)
        ]

    def _create(self, connection: apsw.Connection, name: str, spec: Spec, now: str) -> int:
        state: State = "draft" if spec.lacking else "configured"
        connection.execute(
            "INSERT INTO agent (name, state, version, created_at) VALUES (?, ?, 0, ?)", (name, state, now)
        )
        key = connection.last_insert_rowid()
        self._add_version(connection, key, 1, spec, now)
        self._record(connection, key, "create", "", state, 1, now)
        return key

    def _configure(
        self, connection: apsw.Connection, name: str, change: Callable[[Spec], Spec], now: str
    ) -> None:
        key, state, version = _found(connection, name)
        moved(name, state, "configure")
        spec = _spec(connection, key, version)
        if (changed := change(spec)) != spec:
            move: Move = "edit" if changed.lacking else "configure"
            after = moved(name, state, move)
            self._add_version(connection, key, version + 1, changed, now)
            self._move(connection, key, move, state, after, version + 1, now)

    def _add_version(self, connection: apsw.Connection, key: int, number: int, spec: Spec, now: str) -> None:
        connection.execute("INSERT INTO version VALUES (?, ?, ?, ?)", (key, number, _data(spec), now))
        connection.execute("UPDATE agent SET version = ? WHERE id = ?", (number, key))

    def _move(
        self,
        connection: apsw.Connection,
        key: int,
        move: Move,
        before: State,
        after: State,
        version: int,
        now: str,
    ) -> None:
        connection.execute("UPDATE agent SET state = ? WHERE id = ?", (after, key))
        self._record(connection, key, move, before, after, version, now)

    def _record(
        self,
        connection: apsw.Connection,
        key: int,
        move: str,
        before: str,
        after: State,
        version: int,
        now: str,
    ) -> None:
        connection.execute(
            "INSERT INTO event (at, agent, actor, move, before, after, version) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (now, key, caller(), move, before, after, version),
        )


_AGENTS = """
    SELECT a.name, a.state, a.version, v.spec, a.created_at
    FROM agent AS a JOIN version AS v ON v.agent = a.id AND v.number = a.version
"""


def _data(spec: Spec) -> str:
    return json.dumps(spec.model_dump(mode="json", exclude_unset=True))


def _agent(row: Sequence[apsw.SQLiteValue]) -> Agent:
    name, state, version, spec, created_at = cast("tuple[str, State, int, str, str]", row)
    return Agent(
        name=name,
        state=state,
        version=version,
        spec=Spec.model_validate_json(spec),
        created_at=created_at,
    )


def _found(connection: apsw.Connection, name: str) -> tuple[int, State, int]:
    row = _one(connection, "SELECT id, state, version FROM agent WHERE name = ?", (name,))
    if row is None:
        known = [str(other) for (other,) in connection.execute("SELECT name FROM agent").fetchall()]
        raise UnknownName("agent", name, known, "See them: list_agents()")
    return cast("tuple[int, State, int]", row)


def _spec(connection: apsw.Connection, key: int, number: int) -> Spec:
    row = _one(connection, "SELECT spec FROM version WHERE agent = ? AND number = ?", (key, number))
    assert row is not None
    return Spec.model_validate_json(str(row[0]))


def _one(connection: apsw.Connection, sql: str, bindings: Sequence[Any]) -> Sequence[apsw.SQLiteValue] | None:
    rows = connection.execute(sql, bindings).fetchall()
    return rows[0] if rows else None
