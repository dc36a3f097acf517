"""The tables of the orchestration in a PostgreSQL, which several machines share: see `store.py`."""

from __future__ import annotations

from socket import gethostname

from pygent_shared.database import Database
from pygent_shared.database_postgres import PostgresDatabase, Rows

SCHEMA = "pygent_orchestration"
SETTING = "PYGENT_DURABLE_URL"

_SCHEMA = """
CREATE FUNCTION is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a version, and an event, is never changed';
END $$;
CREATE TABLE definition (
    name text NOT NULL,
    version integer NOT NULL,
    data text NOT NULL,
    actor text NOT NULL,
    created_at text NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE TRIGGER definition_is_final BEFORE UPDATE ON definition EXECUTE FUNCTION is_final();
CREATE TABLE workflow (
    rowid bigint GENERATED ALWAYS AS IDENTITY,
    id text PRIMARY KEY,
    name text NOT NULL,
    version integer NOT NULL,
    actor text NOT NULL,
    inputs text NOT NULL,
    began_at text NOT NULL,
    ended integer NOT NULL DEFAULT 0,
    origin text NOT NULL DEFAULT ''
);
CREATE INDEX workflow_of_name ON workflow(name);
CREATE INDEX workflow_unended ON workflow(ended) WHERE ended = 0;
CREATE TABLE event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at text NOT NULL,
    workflow text NOT NULL REFERENCES workflow(id),
    actor text NOT NULL,
    kind text NOT NULL,
    step text NOT NULL,
    data text NOT NULL
);
CREATE INDEX event_of_workflow ON event(workflow);
CREATE TRIGGER event_is_final BEFORE UPDATE ON event EXECUTE FUNCTION is_final();
CREATE TABLE schedule (name text PRIMARY KEY);
CREATE TABLE taken_over (file text PRIMARY KEY);
"""

_FEATURES = """
CREATE TABLE feature (
    rowid bigint GENERATED ALWAYS AS IDENTITY,
    id text PRIMARY KEY,
    state text NOT NULL,
    repository text NOT NULL,
    data text NOT NULL
);
CREATE INDEX feature_unended ON feature(state) WHERE state NOT IN ('COMPLETED', 'FAILED');
CREATE TABLE feature_task (
    feature text NOT NULL REFERENCES feature(id),
    id text NOT NULL,
    place integer NOT NULL,
    state text NOT NULL,
    data text NOT NULL,
    PRIMARY KEY (feature, id)
);
CREATE TABLE feature_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    feature text NOT NULL REFERENCES feature(id),
    key text NOT NULL,
    at text NOT NULL,
    kind text NOT NULL,
    task text NOT NULL,
    actor text NOT NULL,
    data text NOT NULL,
    UNIQUE (feature, key)
);
CREATE TRIGGER feature_event_is_final BEFORE UPDATE ON feature_event EXECUTE FUNCTION is_final();
"""


_COLUMNS = {
    "definition": "name, version, data, actor, created_at",
    "workflow": "id, name, version, actor, inputs, began_at, ended, origin",
    "event": "at, workflow, actor, kind, step, data",
    "schedule": "name",
    "feature": "id, state, repository, data",
    "feature_task": "feature, id, place, state, data",
    "feature_event": "feature, key, at, kind, task, actor, data",
}
"""Of the tables, in an order in which they may be filled."""


def take_over(database: Rows, file: Database) -> None:
    """Copy what a machine kept in its file before it shared this database; once. What is there already stays,
    and so does the file.
    """
    name = f"{gethostname()}:{file.path.resolve()}"
    with database.write() as shared:
        if shared.execute("SELECT 1 FROM taken_over WHERE file = ?", (name,)).fetchall():
            return
        for table, columns in _COLUMNS.items():
            values = ", ".join("?" for _ in columns.split(", "))
            insert = f"INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING"
            for row in file.query(f"SELECT {columns} FROM {table}"):
                shared.execute(insert, row)
        shared.execute("INSERT INTO taken_over VALUES (?)", (name,))


def opened(url: str) -> PostgresDatabase:
    """Those of the database that durable work is kept in. Raises as `PostgresDatabase` does."""
    return PostgresDatabase(url, SETTING, SCHEMA, (_SCHEMA, _FEATURES))
