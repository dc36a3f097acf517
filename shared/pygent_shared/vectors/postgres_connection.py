"""A connection to a PostgreSQL with pgvector, or one sentence of what it lacks and what gives it that."""

from __future__ import annotations

import psycopg

from pygent_shared.errors import DatabaseUnusable
from pygent_shared.postgres import connected, line, make, shown

SETTING = "PYGENT_POSTGRES_URL"
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
    connection = connected(url, SETTING, "export PYGENT_VECTORS=memory")
    try:
        _prepare(connection, shown(url, SETTING))
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: psycopg.Connection, name: str) -> None:
    find = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    try:
        if (found := connection.execute(find).fetchone()) is None:
            make(connection, "CREATE EXTENSION IF NOT EXISTS vector")
            found = connection.execute(find).fetchone()
        assert found is not None
    except psycopg.errors.InsufficientPrivilege as error:
        cure = "Let an administrator of it run: CREATE EXTENSION vector"
        raise DatabaseUnusable(name, "has no pgvector, and this user may not add it", cure) from error
    except psycopg.Error as error:
        cure = "Install it on that machine, such as: apt install postgresql-17-pgvector"
        raise DatabaseUnusable(name, f"has no pgvector ({line(error)})", cure) from error
    if tuple(map(int, found[0].split(".")[:2])) < LEAST_VERSION:
        cure = "Install a newer one on that machine, and run: ALTER EXTENSION vector UPDATE"
        raise DatabaseUnusable(name, f"has pgvector {found[0]}, and 0.8 is needed", cure)
    try:
        make(connection, _TABLES)
    except psycopg.Error as error:
        cure = "Let an administrator of it run: GRANT CREATE ON SCHEMA public TO the user of the URL"
        raise DatabaseUnusable(name, f"lets this user make no tables ({line(error)})", cure) from error
