"""Our own format: JSON lines that keep every column, so that an export imported anew exports equally.

The first line names the format. Then come the conversations, the entities (numbered), the relations, the
memories in the order they were told, each with its tags, sources and events, and the events of what is gone.
Columns are taken from the tables as they are, so that none can be forgotten here; what is NULL is left out.
Vectors and passages are not in it: they are made from the texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import apsw

from pygent_memory.rows import SPACE
from pygent_shared.database import Database

FORMAT = "pygent-memory"
HEADER = {"format": FORMAT, "version": 1}

NOT_KEPT = frozenset({"id", "space"})
"""Columns of conversations, entities, relations and events that say where a row stands in one file only."""

OF_THIS_FILE = ("key", "space", "read_by")
"""Columns of a memory that mean something in one file only: the last is the run of a consolidation."""

LINKS = ("conversation", "entity", "replaced_by")
"""Columns of a memory that hold the key of another row."""

_SIDES = """
    (SELECT name FROM conversation WHERE id = m.conversation) AS conversation,
    m.entity,
    (SELECT id FROM memory WHERE key = m.replaced_by) AS replaced_by,
    (SELECT json_group_array(tag) FROM
        (SELECT tag FROM memory_tag WHERE memory = m.key ORDER BY rowid)) AS tags,
    (SELECT json_group_array(id) FROM
        (SELECT s.id FROM derived_from AS d JOIN memory AS s ON s.key = d.source
         WHERE d.memory = m.key ORDER BY s.key)) AS derived_from
"""


def exported(database: Database, space: str) -> Iterator[str]:
    """The lines of a space, as it is at one moment."""
    with database.snapshot() as connection:
        yield _line(HEADER)
        row = connection.execute(SPACE, (space,)).fetchone()
        if row is not None:
            yield from _rows(connection, cast(int, row[0]))


def columns(connection: apsw.Connection, table: str) -> list[str]:
    """The columns of a table that are stored, not computed."""
    rows = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
    return [str(name) for (name,) in rows]


def fits(path: Path, head: str) -> bool:
    """Whether a file with this beginning is in this format."""
    return path.is_file() and f'"{FORMAT}"' in head.partition("\n")[0]


def _rows(connection: apsw.Connection, space: int) -> Iterator[str]:
    for table in ("conversation", "entity", "relation"):
        names = [name for name in columns(connection, table) if name not in NOT_KEPT]
        found = connection.execute(
            f"SELECT {', '.join(names)} FROM {table} WHERE space = ? ORDER BY id", (space,)
        )
        for number, values in enumerate(found, start=1):
            numbered = {"number": number} if table == "entity" else {}
            yield _line({"row": table, **numbered, **_present(names, values)})
    yield from _memories(connection, space)
    names = [name for name in columns(connection, "event") if name not in NOT_KEPT]
    gone = connection.execute(
        f"SELECT {', '.join(names)} FROM event AS e WHERE space = ? AND NOT EXISTS "
        "(SELECT 1 FROM memory WHERE id = e.memory AND space = e.space) ORDER BY id",
        (space,),
    )
    for values in gone:
        yield _line({"row": "event", **_present(names, values)})


def _memories(connection: apsw.Connection, space: int) -> Iterator[str]:
    own = [name for name in columns(connection, "memory") if name not in (*OF_THIS_FILE, *LINKS)]
    of_event = [name for name in columns(connection, "event") if name not in (*NOT_KEPT, "memory")]
    pairs = ", ".join(f"'{name}', {name}" for name in of_event)
    events = (
        f"(SELECT json_group_array(json_object({pairs})) FROM "
        "(SELECT * FROM event WHERE memory = m.id AND space = m.space ORDER BY id)) AS events"
    )
    entities = connection.execute("SELECT id FROM entity WHERE space = ? ORDER BY id", (space,)).fetchall()
    numbers = {id: number for number, (id,) in enumerate(entities, start=1)}
    names = [*own, *LINKS, "tags", "derived_from", "events"]
    found = connection.execute(
        f"SELECT {', '.join(f'm.{name}' for name in own)}, {_SIDES}, {events} "
        "FROM memory AS m WHERE m.space = ? ORDER BY m.key",
        (space,),
    )
    for values in found:
        row = _present(names, values)
        if "entity" in row:
            row["entity"] = numbers[row["entity"]]
        for name in ("tags", "derived_from", "events"):
            row[name] = json.loads(row[name])
        row["events"] = [
            {name: value for name, value in event.items() if value is not None} for event in row["events"]
        ]
        yield _line({"row": "memory", **row})


def _present(names: list[str], values: Any) -> dict[str, Any]:
    """The columns that are not NULL; bytes as hexadecimal digits."""
    pairs = zip(names, values, strict=True)
    return {
        name: value.hex() if isinstance(value, bytes) else value for name, value in pairs if value is not None
    }


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
