"""A connection to a PostgreSQL, or one sentence of why there is none."""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pygent_shared.errors import DatabaseUnusable

CONNECT_SECONDS = 5


def shown(url: str, setting: str) -> str:
    """A URL as people are shown it: without a password.

    Args:
        setting: the variable that it stands in.

    Raises:
        DatabaseUnusable: it is none.
    """
    try:
        asked = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        cure = f'Write it so: export {setting}="postgresql://user:password@host/database"'
        raise DatabaseUnusable(setting, "is not the URL of a PostgreSQL", cure) from error
    return f"postgresql://{asked.get('host') or ''}/{asked.get('dbname') or ''}"


def connected(url: str, setting: str, instead: str) -> psycopg.Connection:
    """A connection on which each statement is a transaction, unless it is told otherwise.

    Args:
        setting: the variable that the URL stands in.
        instead: what to type to do without.

    Raises:
        DatabaseUnusable: there is none; without a password in it.
    """
    name = shown(url, setting)
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS, prepare_threshold=None)
    except psycopg.OperationalError as error:
        cure = f"Start it, or mend {setting}; or do without: {instead}"
        raise DatabaseUnusable(name, f"cannot be reached ({line(error)})", cure) from error


def make(connection: psycopg.Connection, statement: LiteralString) -> None:
    """Make something unless it is there; where others make it at the same moment, PostgreSQL fails."""
    try:
        connection.execute(statement)
    except (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject, psycopg.errors.DuplicateTable):
        connection.execute(statement)


def line(error: Exception) -> str:
    """The first line of an error of PostgreSQL."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
