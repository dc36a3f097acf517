"""The word index of memory answers what full-text search in the database does, whatever becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pygent_memory import schema
from pygent_memory.filters import Filter
from pygent_memory.finding import Finder
from pygent_memory.memory import draft
from pygent_memory.schema import MIGRATIONS
from pygent_memory.store import MemoryStore
from pygent_memory.wordindex import WordIndex
from pygent_shared.database import Database
from pygent_shared.errors import DatabaseUnusable

pytest.importorskip("numpy", reason="without numpy there is no word index")

NOW = "2025-05-01T12:00:00Z"
LATER = "2025-06-01T12:00:00Z"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "memory.db", MIGRATIONS)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> MemoryStore:
    store = MemoryStore(database)
    store.add("a", [draft(f"Tide {n} in the harbour of Ystad.") for n in range(20)], NOW)
    store.add("b", [draft(f"Tide {n} at sea, max_tokens={n}.") for n in range(5)], NOW)
    return store


@pytest.fixture
def finder(database: Database) -> Finder:
    """One that asks the database."""
    return Finder(database)


@pytest.fixture
def indexed(database: Database, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> Finder:
    """One whose index is built."""
    monkeypatch.setattr("pygent_memory.wordindex.LEAST", 1)
    finder = Finder(database)
    return built(finder)


def built(finder: Finder) -> Finder:
    finder.matching("a", "tide", Filter(), 1)
    assert finder.words.wait(60)
    return finder


def same(one: Finder, other: Finder, query: str = "tide ebb", wanted: Filter | None = None) -> int:
    """How many passages both find; of the same scores."""
    found, exact = (each.matching("a", query, wanted or Filter(), 50) for each in (one, other))
    assert found == pytest.approx(exact, rel=1e-4)
    return len(found)


def test_it_follows_whatever_becomes_of_a_memory(
    store: MemoryStore, finder: Finder, indexed: Finder, database: Database
) -> None:
    assert same(indexed, finder) == 20
    (new,) = store.add("a", [draft("The ebb.")], NOW)
    assert same(indexed, finder) == 21
    (later,) = store.add("a", [draft("The ebb at noon.", replaces=[new.id])], LATER)
    assert same(indexed, finder) == 21
    assert same(indexed, finder, wanted=Filter(past=True)) == 22
    store.forget("a", [later.id], LATER)
    assert same(indexed, finder) == 20
    store.restore("a", [later.id], LATER)
    assert same(indexed, finder) == 21
    for n in range(6):
        store.add("a", [draft(f"Turn {n} {'ebb' if n % 2 else 'moon'}.", conversation="c")], NOW)
        same(indexed, finder, "moon ebb turn")
    assert indexed.words._mirror is not None
    assert indexed.words._mirror.kept is not None


def test_names_of_several_words_beginnings_and_filters_are_found_alike(
    store: MemoryStore, finder: Finder, indexed: Finder
) -> None:
    store.add(
        "a", [draft("Set max_tokens first."), draft("max of tokens"), draft("東京に住んでいます。")], NOW
    )
    store.add("a", [draft("Tides ebb.", tags=["sea"]), draft("tide", kind="episodic")], NOW)
    assert same(indexed, finder, "max_tokens") == 1
    assert same(indexed, finder, "max_tokens in the harbour, harbour") == 21
    assert same(indexed, finder, "東") == 1
    assert same(indexed, finder, "東京 tide") == 23
    assert same(indexed, finder, wanted=Filter(tags=("sea",))) == 1
    assert same(indexed, finder, wanted=Filter(kinds=("episodic",))) == 1


def test_it_is_built_anew_where_the_log_no_longer_tells(
    store: MemoryStore, finder: Finder, indexed: Finder, database: Database
) -> None:
    (new,) = store.add("a", [draft("The ebb.")], NOW)
    assert same(indexed, finder) == 21
    store.forget("a", [new.id], LATER)
    with database.write() as connection:
        connection.execute("INSERT INTO passage_change (number, passage) VALUES (1000000, 1)")
    ((left,),) = database.query("SELECT min(number) FROM passage_change")
    assert left == 1_000_000 > schema.KEPT_CHANGES
    assert same(indexed, finder) == 20  # by the database
    assert same(built(indexed), finder) == 20


def test_what_was_never_committed_is_not_taken_over(
    store: MemoryStore, finder: Finder, indexed: Finder, database: Database
) -> None:
    with suppress(KeyboardInterrupt), database.write() as connection:
        connection.execute("UPDATE passage SET text = 'Flow.' WHERE id = 1")
        assert same(indexed, finder, "flow") == 1
        raise KeyboardInterrupt
    assert same(indexed, finder, "flow") == 0
    assert same(indexed, finder) == 20


def test_one_that_cannot_be_built_is_told_of_and_the_database_answers(
    database: Database,
    store: MemoryStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise DatabaseUnusable(database.path, "is damaged", "Set it aside.")

    monkeypatch.setattr("pygent_memory.wordindex.LEAST", 1)
    monkeypatch.setattr(WordIndex, "_take", fail)
    finder = Finder(database)
    assert len(finder.matching("a", "tide", Filter(), 50)) == 20
    assert not finder.words.wait(60)
    assert "The words could not be mirrored" in caplog.text
    assert len(finder.matching("a", "tide", Filter(), 50)) == 20


def test_many_passages_are_read_some_at_a_time(
    database: Database, store: MemoryStore, finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pygent_memory.wordindex.LEAST", 1)
    monkeypatch.setattr("pygent_memory.wordindex.AT_ONCE", 3)
    indexed = built(Finder(database))
    assert same(indexed, finder) == 20
    store.add("a", [draft(f"Ebb {n}.") for n in range(10)], NOW)
    assert same(indexed, finder) == 30
