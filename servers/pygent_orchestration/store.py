"""Where definitions are kept, in versions, and which workflows were begun with them, by whom, and what was
done to each.

The one rule: what is known of a workflow by being carried out is in the engine; here stands only that there
is one, and what people and programs did to it. No version and no event is ever changed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import apsw

from pygent_orchestration.spec import Definition
from pygent_shared.caller import caller
from pygent_shared.database_postgres import Rows
from pygent_shared.errors import UnknownName

_SCHEMA = """
CREATE TABLE definition (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    data TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
CREATE TRIGGER definition_is_final BEFORE UPDATE ON definition BEGIN
    SELECT raise(ABORT, 'a version is never changed');
END;
CREATE TABLE workflow (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    actor TEXT NOT NULL,
    inputs TEXT NOT NULL,
    began_at TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    origin TEXT NOT NULL DEFAULT ''
);
CREATE INDEX workflow_of_name ON workflow(name);
CREATE INDEX workflow_unended ON workflow(ended) WHERE ended = 0;
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    workflow TEXT NOT NULL REFERENCES workflow(id),
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    step TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX event_of_workflow ON event(workflow);
CREATE TRIGGER event_is_final BEFORE UPDATE ON event BEGIN
    SELECT raise(ABORT, 'an event is never changed');
END;
CREATE TABLE schedule (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""

_FEATURES = """
CREATE TABLE feature (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    repository TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX feature_unended ON feature(state) WHERE state NOT IN ('COMPLETED', 'FAILED');
CREATE TABLE feature_task (
    feature TEXT NOT NULL REFERENCES feature(id),
    id TEXT NOT NULL,
    place INTEGER NOT NULL,
    state TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (feature, id)
) WITHOUT ROWID;
CREATE TABLE feature_event (
    id INTEGER PRIMARY KEY,
    feature TEXT NOT NULL REFERENCES feature(id),
    key TEXT NOT NULL,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    task TEXT NOT NULL,
    actor TEXT NOT NULL,
    data TEXT NOT NULL,
    UNIQUE (feature, key)
);
CREATE TRIGGER feature_event_is_final BEFORE UPDATE ON feature_event BEGIN
    SELECT raise(ABORT, 'an event is never changed');
END;
"""

MIGRATIONS = (_SCHEMA, _FEATURES)

SHIPPED = 0
"""The version of a workflow that comes with the program and was not changed."""


@dataclass(frozen=True, kw_only=True)
class Begun:
    """That there is a workflow: what it was begun with. `origin` is the one it was forked from, if any."""

    id: str
    name: str
    version: int
    inputs: dict[str, Any]
    began_at: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class Noted:
    """What was done to a workflow, or what it waits for."""

    at: str
    actor: str
    kind: str
    step: str
    data: Any


class Store:
    """Reads and writes them."""

    def __init__(self, database: Rows) -> None:
        self._database = database

    def define(self, name: str, definition: Definition, now: str) -> int:
        """Keep a definition; returns its version, the newest one's where that is the same."""
        data = _dumped(definition)
        with self._database.write() as connection:
            rows = connection.execute(
                "SELECT version, data FROM definition WHERE name = ? ORDER BY version DESC LIMIT 1", (name,)
            ).fetchall()
            if rows and rows[0][1] == data:
                return int(str(rows[0][0]))
            version = int(str(rows[0][0])) + 1 if rows else 1
            connection.execute(
                "INSERT INTO definition VALUES (?, ?, ?, ?, ?)", (name, version, data, caller(), now)
            )
        return version

    def names(self) -> list[str]:
        """The names of all definitions, sorted."""
        return [
            str(name)
            for (name,) in self._database.query("SELECT DISTINCT name FROM definition ORDER BY name")
        ]

    def definition(self, name: str, version: int | None = None) -> tuple[int, Definition] | None:
        """A version of a definition, the newest if none is named; None where there is none."""
        rows = self._database.query(
            "SELECT version, data FROM definition WHERE name = ?1 AND (?2 IS NULL OR version = ?2) "
            "ORDER BY version DESC LIMIT 1",
            (name, version),
        )
        if not rows:
            return None
        return int(str(rows[0][0])), Definition.model_validate_json(str(rows[0][1]))

    def begin(self, begun: Begun) -> None:
        """Write down that a workflow begins; nothing, where that stands."""
        row = (
            begun.id,
            begun.name,
            begun.version,
            caller(),
            json.dumps(begun.inputs),
            begun.began_at,
            begun.origin,
        )
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO workflow (id, name, version, actor, inputs, began_at, origin) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                row,
            )

    def end(self, id: str) -> None:
        """Write down that a workflow has ended."""
        with self._database.write(durable=False) as connection:
            connection.execute("UPDATE workflow SET ended = 1 WHERE id = ? AND ended = 0", (id,))

    def go_on(self, id: str) -> None:
        """Write down that a workflow that had ended goes on."""
        with self._database.write() as connection:
            connection.execute("UPDATE workflow SET ended = 0 WHERE id = ?", (id,))

    def get(self, id: str) -> Begun:
        """A workflow.

        Raises:
            UnknownName: there is none of this id.
        """
        rows = self._database.query(f"{_BEGUN} WHERE id = ?", (id,))
        if not rows:
            known = [str(known) for (known,) in self._database.query(_IDS)]
            raise UnknownName("workflow", id, known, "See them: list_workflows().")
        return _begun(rows[0])

    def all(self, name: str, limit: int) -> list[Begun]:
        """The newest workflows, of one definition or of all."""
        rows = self._database.query(
            f"{_BEGUN} WHERE ?1 = '' OR name = ?1 ORDER BY rowid DESC LIMIT ?2", (name, limit)
        )
        return [_begun(row) for row in rows]

    def note(self, id: str, kind: str, now: str, step: str = "", data: Any = None) -> None:
        """Write down what was done to a workflow, or what it waits for."""
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO event (at, workflow, actor, kind, step, data) VALUES (?, ?, ?, ?, ?, ?)",
                (now, id, caller(), kind, step, json.dumps(data)),
            )

    def noted(self, id: str) -> list[Noted]:
        """What was written down of a workflow, oldest first."""
        rows = self._database.query(
            "SELECT at, actor, kind, step, data FROM event WHERE workflow = ? ORDER BY id", (id,)
        )
        return [
            Noted(at=at, actor=actor, kind=kind, step=step, data=json.loads(data))
            for at, actor, kind, step, data in cast("list[tuple[str, str, str, str, str]]", rows)
        ]

    def clock(self, name: str, *, on: bool) -> None:
        """Write down that there is a schedule, or is none any more."""
        insert = "INSERT INTO schedule VALUES (?) ON CONFLICT DO NOTHING"
        sql = insert if on else "DELETE FROM schedule WHERE name = ?"
        with self._database.write() as connection:
            connection.execute(sql, (name,))

    def is_awaited(self) -> bool:
        """Whether there is a workflow that has not ended, or a schedule."""
        return bool(
            self._database.query(
                "SELECT 1 FROM workflow WHERE ended = 0 UNION SELECT 1 FROM schedule LIMIT 1"
            )
        )


def now() -> str:
    """The time of an event."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_BEGUN = "SELECT id, name, version, inputs, began_at, origin FROM workflow"
_IDS = "SELECT id FROM workflow ORDER BY rowid DESC LIMIT 50"


def _begun(row: Sequence[apsw.SQLiteValue]) -> Begun:
    id, name, version, inputs, began_at, origin = cast("tuple[str, str, int, str, str, str]", row)
    return Begun(
        id=id, name=name, version=version, inputs=json.loads(inputs), began_at=began_at, origin=origin
    )


def _dumped(definition: Definition) -> str:
    return json.dumps(definition.model_dump(mode="json", by_alias=True, exclude_unset=True))
