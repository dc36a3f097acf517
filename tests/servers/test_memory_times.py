"""What held when: memories that were replaced, have ended or have expired."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pygent_memory.filters import Filter, filtered
from pygent_memory.memories import Memories, Search
from pygent_memory.memory import draft
from pygent_memory.schema import MIGRATIONS
from pygent_memory.store import MemoryStore
from pygent_shared.database import Database
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.errors import InvalidArgument
from pygent_shared.testing import ScriptedEmbedder

JANUARY = "2025-01-10T12:00:00Z"
MAY = "2025-05-01T12:00:00Z"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "memory.db", MIGRATIONS)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> MemoryStore:
    return MemoryStore(database)


@pytest.fixture
def memories(database: Database) -> Iterator[Memories]:
    opened = Memories(database, BackgroundEmbedder.loaded(ScriptedEmbedder({"lives": 1, "home": 1})))
    yield opened
    opened.close()


def texts(search: Search) -> list[str]:
    return [item.memory.text for item in search.results]


def ask(memories: Memories, wanted: Filter) -> list[str]:
    found = memories.search("a", "Where does Ann live? home", wanted, limit=10, max_tokens=2000, wait_s=60)
    return texts(found)


def moved(store: MemoryStore) -> tuple[str, str]:
    """Ann lived in Paris, we were told in January; in May, that she lives in Lisbon."""
    (paris,) = store.add("a", [draft("Ann lives in Paris.")], JANUARY)
    (lisbon,) = store.add("a", [draft("Ann lives in Lisbon.", replaces=[paris.id])], MAY)
    assert lisbon.replaced == (paris.id,)
    return paris.id, lisbon.id


def test_a_replaced_memory_is_kept_and_names_what_took_its_place(store: MemoryStore) -> None:
    paris, lisbon = moved(store)
    (old,) = store.get("a", [paris])
    assert (old.text, old.replaced_by, old.replaced_at) == ("Ann lives in Paris.", lisbon, MAY)
    assert [memory.id for memory in store.recent("a", 9)] == [lisbon]


def test_a_search_finds_what_holds_now_and_asked_for_a_time_what_held_then(
    store: MemoryStore, memories: Memories
) -> None:
    moved(store)
    assert ask(memories, Filter()) == ["Ann lives in Lisbon."]
    assert ask(memories, filtered(as_of="2025-03-01")) == ["Ann lives in Paris."]
    assert ask(memories, filtered(as_of="2025-01-09")) == []
    assert sorted(ask(memories, filtered(past=True))) == ["Ann lives in Lisbon.", "Ann lives in Paris."]


def test_many_old_versions_do_not_crowd_out_the_one_that_holds(
    store: MemoryStore, memories: Memories
) -> None:
    last: tuple[str, ...] = ()
    for number in range(250):
        (stored,) = store.add("a", [draft(f"Ann lives at home {number}.", replaces=last)], JANUARY)
        last = (stored.id,)
    store.add("a", [draft("The office has a new lamp.")], JANUARY)
    assert ask(memories, Filter()) == ["Ann lives at home 249."]


def test_what_ended_is_found_by_who_asks_for_then_and_what_expired_by_nobody(
    store: MemoryStore, memories: Memories
) -> None:
    store.add("a", [draft("Ann lives in Rome.", valid_to="2025-02-01")], JANUARY)
    store.add("a", [draft("Ann lives in Oslo.", expires_at="2025-02-01")], JANUARY)
    assert ask(memories, Filter()) == []
    assert ask(memories, filtered(as_of="2025-01-20")) == ["Ann lives in Rome."]


def test_what_replaced_may_be_told_again_once_it_was_replaced_itself(store: MemoryStore) -> None:
    paris, lisbon = moved(store)
    (again,) = store.add("a", [draft("Ann lives in Paris.", replaces=[lisbon])], MAY)
    assert again.status == "created"
    assert again.id != paris


def test_turns_of_a_conversation_may_repeat_and_are_counted(store: MemoryStore) -> None:
    turns = store.add("a", [draft("ok", conversation="c"), draft("ok", conversation="c")], MAY)
    assert [turn.status for turn in turns] == ["created", "created"]
    assert [memory.turn for memory in store.get("a", [turn.id for turn in turns])] == [1, 2]


def test_a_memory_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="valid_to"):
        draft("Ann lives in Paris.", valid_from="2025-01-02", valid_to="2025-01-01")


def test_a_database_of_an_earlier_version_keeps_its_memories(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    before = Database(path, MIGRATIONS[:2])
    with before.write() as connection:
        connection.execute(
            """
            INSERT INTO space (name, created_at) VALUES ('a', '2025');
            INSERT INTO memory (id, space, kind, text, fingerprint, speaker, recorded_at, importance)
                VALUES ('m1', 1, 'semantic', 'Ann lives in Paris.', x'00', '', '2025-01-10T12:00:00Z', 0.5);
            INSERT INTO passage (memory, space, start, stop, text)
                VALUES (1, 1, 0, 19, 'Ann lives in Paris.');
            """
        ).fetchall()
    before.close()
    opened = Memories(Database(path, MIGRATIONS), BackgroundEmbedder.loaded(ScriptedEmbedder({"lives": 1})))
    try:
        assert ask(opened, Filter()) == ["Ann lives in Paris."]
    finally:
        opened.close()
