"""A connection to a PostgreSQL with pgvector, or one sentence of what it lacks and what gives it that."""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pygent_shared.errors import DatabaseUnusable

CONNECT_SECONDS = 5
LEAST_VERSION = (0, 8)
"""Of pgvector: what scans a graph on until enough is found that passes a filter."""

_TABLES = """
CREATE TABLE IF NOT EXISTS pygent_vectors (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store text NOT NULL,
    model text NOT NULL,
    dimensions integer NOT NULL,
    latest bigint NOT NULL,
    item bigint,
    UNIQUE (store, model)
)
"""


def opened(url: str) -> psycopg.Connection:
    """A connection to a PostgreSQL whose pgvector serves; it is installed there if that is allowed.

    Raises:
        DatabaseUnusable: there is none; without a password in it.
    """
    try:
        asked = conninfo_to_dict(url)
        shown = f"postgresql://{asked.get('host') or ''}/{asked.get('dbname') or ''}"
    except psycopg.ProgrammingError as error:
        cure = 'Write it so: export PYGENT_POSTGRES_URL="postgresql://user:password@host/database"'
        raise DatabaseUnusable("PYGENT_POSTGRES_URL", "is not the URL of a PostgreSQL", cure) from error
    try:
        connection = psycopg.connect(
            url, autocommit=True, connect_timeout=CONNECT_SECONDS, prepare_threshold=None
        )
    except psycopg.OperationalError as error:
        cure = "Start it, or mend PYGENT_POSTGRES_URL; or do without: export PYGENT_VECTORS=memory"
        raise DatabaseUnusable(shown, f"cannot be reached ({line(error)})", cure) from error
    try:
        _prepare(connection, shown)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: psycopg.Connection, shown: str) -> None:
    find = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    try:
        if (found := connection.execute(find).fetchone()) is None:
            _make(connection, "CREATE EXTENSION IF NOT EXISTS vector")
            found = connection.execute(find).fetchone()
        assert found is not None
    except psycopg.errors.InsufficientPrivilege as error:
        cure = "Let an administrator of it run: CREATE EXTENSION vector"
        raise DatabaseUnusable(shown, "has no pgvector, and this user may not add it", cure) from error
    except psycopg.Error as error:
        cure = "Install it on that machine, such as: apt install postgresql-17-pgvector"
        raise DatabaseUnusable(shown, f"has no pgvector ({line(error)})", cure) from error
    if tuple(map(int, found[0].split(".")[:2])) < LEAST_VERSION:
        cure = "Install a newer one on that machine, and run: ALTER EXTENSION vector UPDATE"
        raise DatabaseUnusable(shown, f"has pgvector {found[0]}, and 0.8 is needed", cure)
    try:
        _make(connection, _TABLES)
    except psycopg.Error as error:
        cure = "Let an administrator of it run: GRANT CREATE ON SCHEMA public TO the user of the URL"
        raise DatabaseUnusable(shown, f"lets this user make no tables ({line(error)})", cure) from error


def _make(connection: psycopg.Connection, statement: LiteralString) -> None:
    """Make something unless it is there; where others make it at the same moment, PostgreSQL fails."""
    try:
        connection.execute(statement)
    except (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject, psycopg.errors.DuplicateTable):
        connection.execute(statement)


def line(error: Exception) -> str:
    """The first line of an error of PostgreSQL."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
