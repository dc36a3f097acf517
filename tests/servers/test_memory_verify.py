"""Damage that `verify` must find, and what a repair may touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from pygent_memory.filters import Filter
from pygent_memory.finding import Finder
from pygent_memory.memory import draft
from pygent_memory.schema import MIGRATIONS
from pygent_memory.status import status
from pygent_memory.store import MemoryStore
from pygent_memory.verifying import Part, repair, verify
from pygent_shared.database import Database
from pygent_shared.testing import ScriptedEmbedder

NOW = "2025-05-01T12:00:00Z"
TIDE = {"tide": 1}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database(path, MIGRATIONS)
    store = MemoryStore(opened)
    (old,) = store.add("a", [draft("The tide is low.", speaker="Bo")], NOW)
    store.add(
        "a", [draft("The tide is high.", replaces=[old.id]), draft("Turn \0 one.", conversation="c")], NOW
    )
    (gone,) = store.add("a", [draft("Wrong.")], NOW)
    store.forget("a", [gone.id], NOW)
    store.add("b", [draft("Käse 🧀 " * 300)], NOW)
    finder = Finder(opened)
    missing = finder.vectors.missing("scripted", 99)
    vectors = ScriptedEmbedder(TIDE).embed([text for _, text in missing])
    finder.vectors.put(
        "scripted", [(item, vector) for (item, _), vector in zip(missing, vectors, strict=True)]
    )
    yield opened
    opened.close()


def spoil(path: Path, sql: str) -> None:
    """Change the file past its rules."""
    connection = apsw.Connection(str(path))
    connection.execute(sql).fetchall()
    connection.close()


def rows(database: Database) -> list[object]:
    return [database.query(f"SELECT * FROM {table}") for table in ("memory", "event", "memory_tag", "space")]


def test_nothing_is_wrong_with_what_the_store_writes(database: Database) -> None:
    assert verify(database) == []


BRANDS: list[tuple[str, str, Part, str]] = [
    (
        "an index that lacks words",
        "DELETE FROM passage_words_docsize WHERE id = 2; "
        "INSERT INTO passage_words(passage_words, rowid, text, context) "
        "VALUES ('delete', 2, 'The tide is high.', '')",
        "words",
        "full-text index does not match",
    ),
    ("a memory without passages", "DELETE FROM passage WHERE memory = 2", "passages", "have no passages"),
    (
        "a forgotten memory that is searched",
        "INSERT INTO passage (memory, space, start, stop, text) SELECT key, space, 0, 6, text FROM memory "
        "WHERE forgotten_at IS NOT NULL",
        "passages",
        "are forgotten but still searched",
    ),
    (
        "a replaced one among what holds",
        "UPDATE passage SET past = 0 WHERE memory = 1",
        "passages",
        "as if they held",
    ),
    ("a passage elsewhere", "UPDATE passage SET space = 2 WHERE memory = 2", "passages", "in another space"),
    (
        "a passage of another text",
        "UPDATE passage SET text = 'Ebb.' WHERE memory = 2",
        "passages",
        "not in their text",
    ),
    (
        "a passage beyond the text",
        "UPDATE passage SET stop = 99 WHERE memory = 2",
        "passages",
        "not in their text",
    ),
    (
        "a vector cut short",
        "UPDATE passage_vector SET vector = x'00' WHERE item = 2",
        "vectors",
        "no passage or no other: 1",
    ),
    (
        "a vector of nothing",
        "INSERT INTO passage_vector SELECT 999, model, vector FROM passage_vector WHERE item = 2",
        "vectors",
        'of "passage_vector" that belong to nothing that is there: 1',
    ),
]


@pytest.mark.parametrize(
    ("sql", "part", "words"), [row[1:] for row in BRANDS], ids=[row[0] for row in BRANDS]
)
def test_what_is_derived_and_wrong_is_named_and_made_anew_and_the_texts_stay(
    database: Database, path: Path, sql: str, part: Part, words: str
) -> None:
    before = rows(database)
    spoil(path, sql)
    found = verify(database)
    assert any(finding.part == part and words in finding.sentence for finding in found), found
    assert repair(database, found) == []
    assert rows(database) == before
    finder = Finder(database)
    assert len(finder.matching("a", "tide", Filter(), 9)) == 1
    assert len(finder.matching("a", "tide", Filter(past=True), 9)) == 2


LOST: list[tuple[str, str, str]] = [
    (
        "a tag of no memory",
        "INSERT INTO memory_tag VALUES (99, 'x')",
        'of "memory_tag" that belong to nothing',
    ),
    ("a conversation elsewhere", "UPDATE conversation SET space = 2", "conversation of another space"),
    (
        "a circle",
        "UPDATE memory SET replaced_by = 1, replaced_at = '2025' WHERE key = 2; UPDATE passage SET past = 1 "
        "WHERE memory = 2",
        "replaced by themselves",
    ),
    ("a memory of nothing", "UPDATE memory SET text = '' WHERE forgotten_at IS NOT NULL", "have no text"),
]


@pytest.mark.parametrize(("sql", "words"), [row[1:] for row in LOST], ids=[row[0] for row in LOST])
def test_what_is_not_derived_and_wrong_is_named_and_left_alone(
    database: Database, path: Path, sql: str, words: str
) -> None:
    spoil(path, sql)
    before = rows(database)
    found = verify(database)
    assert [finding.part for finding in found] == ["rows"]
    assert words in found[0].sentence
    assert repair(database, found) == found
    assert rows(database) == before


def test_an_index_of_sqlite_that_lacks_a_row_is_made_anew(database: Database, path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    connection.execute(
        "PRAGMA writable_schema = ON;"
        "UPDATE sqlite_schema SET sql = sql || ' AND key < 2' WHERE name = 'memory_once';"
        "PRAGMA writable_schema = RESET"
    ).fetchall()
    connection.execute("REINDEX memory_once").fetchall()
    connection.execute(
        "PRAGMA writable_schema = ON;"
        "UPDATE sqlite_schema SET sql = replace(sql, ' AND key < 2', '') WHERE name = 'memory_once';"
        "PRAGMA writable_schema = RESET"
    ).fetchall()
    connection.close()
    fresh = Database(path, MIGRATIONS)
    found = verify(fresh)
    assert {finding.part for finding in found} == {"indexes"}
    assert "memory_once" in found[0].sentence
    assert repair(fresh, found) == []
    fresh.close()


def test_a_damaged_page_is_named_and_nothing_is_repaired(database: Database, path: Path) -> None:
    database.close()
    with path.open("r+b") as file:
        ((root,),) = apsw.Connection(str(path)).execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'event'"
        )
        file.seek((int(str(root)) - 1) * 4096)
        file.write(b"\xff" * 4096)
    before = path.read_bytes()
    fresh = Database(path, MIGRATIONS)
    found = verify(fresh)
    assert {finding.part for finding in found} == {"file"}
    assert repair(fresh, found) == found
    fresh.close()
    assert path.read_bytes() == before


def test_the_status_counts_what_each_space_holds(database: Database) -> None:
    made = database.back_up()
    found = status(database)
    first, second = found.spaces
    assert (first.name, first.memories, first.replaced, first.forgotten, first.conversations) == (
        "a",
        2,
        1,
        1,
        1,
    )
    assert (second.name, second.memories, second.passages) == ("b", 1, 7)
    assert (first.passages, found.passages, found.vectors) == (2, 10, {"scripted": 10})
    assert (found.pending("scripted"), found.pending("other")) == (0, 10)
    assert (found.version, found.last_backup, found.backups) == (len(MIGRATIONS), made.at, (made,))
    assert found.size >= found.path.stat().st_size
