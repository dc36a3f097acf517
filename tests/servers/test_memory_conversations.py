"""Conversations turn by turn: what stands around a turn, reading pages of them, and ten thousand turns."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from pygent_memory.filters import Filter
from pygent_memory.finding import Finder
from pygent_memory.memories import Memories
from pygent_memory.memory import Draft, draft
from pygent_memory.schema import MIGRATIONS
from pygent_memory.store import MemoryStore
from pygent_memory.turns import SHORT, Turn, context, is_apart
from pygent_shared.database import Database
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.settings import Settings
from pygent_shared.testing import call, in_memory
from pygent_shared.vectors.mirror import LEAST, MirroredVectors

NOW = "2025-03-01T12:00:00Z"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "memory.db", MIGRATIONS)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> MemoryStore:
    return MemoryStore(database)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    async with in_memory("pygent_memory", settings) as connected:
        yield connected


def turn(text: str, **fields: Any) -> Draft:
    return draft(text, **{"conversation": "c", "kind": "episodic", **fields})


def told(number: int, text: str = "Yes.", **fields: Any) -> Turn:
    return Turn(**{"key": number, "speaker": "", "text": text, "date": "2025-03-01", **fields})


def contexts(database: Database) -> list[list[str]]:
    """What stands around each passage, in order."""
    return [
        str(text).splitlines() for (text,) in database.query("SELECT context FROM passage ORDER BY memory")
    ]


# ---- what stands around a turn


def test_a_turn_is_read_with_two_before_and_two_after_and_who_said_them() -> None:
    turns = [told(n, f"Turn {n}.", speaker="Ann" if n % 2 else "Bo") for n in range(6)]
    assert context(turns, 3).splitlines() == ["Ann: Turn 1.", "Bo: Turn 2.", "Bo: Turn 4.", "Ann: Turn 5."]
    assert context(turns, 0).splitlines() == ["Ann: Turn 1.", "Bo: Turn 2."]


def test_forty_words_of_a_neighbour_are_read_and_a_long_turn_stands_alone() -> None:
    long = " ".join(f"w{n}" for n in range(SHORT + 1))
    assert context([told(1), told(2, long)], 0).split() == [f"w{n}" for n in range(40)]
    assert context([told(1), told(2, long)], 1) == ""
    assert len(context([told(1), told(2, "水" * 500)], 0)) == 80


def test_what_was_said_before_a_pause_is_not_read_with_what_comes_after() -> None:
    turns = [
        told(1, "One.", date="2025-03-01T10:00:00Z"),
        told(2, "Two.", date="2025-03-01T11:00:00Z"),
        told(3, "Three.", date="2025-03-02T11:00:00Z"),
    ]
    assert context(turns, 1) == "One."
    assert context(turns, 2) == ""
    assert not is_apart("2025-03-01", "2025-03-01T23:00:00Z")
    assert is_apart("2025-03-01", "2025-03-02")


def test_an_appended_turn_is_read_with_those_before_and_they_with_it(
    store: MemoryStore, database: Database
) -> None:
    for text in ("One.", "Two.", "Three.", "Four."):
        store.add("a", [turn(text)], NOW)
    assert contexts(database) == [
        ["Two.", "Three."],
        ["One.", "Three.", "Four."],
        ["One.", "Two.", "Four."],
        ["Two.", "Three."],
    ]


def test_neighbours_close_ranks_when_a_turn_is_forgotten_and_open_them_when_it_is_back(
    store: MemoryStore, database: Database
) -> None:
    turns = store.add("a", [turn(text) for text in ("One.", "Two.", "Three.", "Four.", "Five.")], NOW)
    before = contexts(database)
    store.forget("a", [turns[2].id], NOW)
    assert contexts(database) == [
        ["Two.", "Four."],
        ["One.", "Four.", "Five."],
        ["One.", "Two.", "Five."],
        ["Two.", "Four."],
    ]
    store.restore("a", [turns[2].id], NOW)
    assert contexts(database) == before
    assert not any("Three" in line for line in contexts(database)[2])


def test_a_memory_that_is_no_turn_has_nothing_around_it(store: MemoryStore, database: Database) -> None:
    store.add("a", [draft("One."), draft("Two."), turn("Three."), turn("Four.", conversation="d")], NOW)
    assert contexts(database) == [[], [], [], []]


def test_a_turn_is_found_by_what_its_neighbour_says_and_after_that_one(
    store: MemoryStore, database: Database
) -> None:
    store.add(
        "a", [turn("Did the gauge move?"), turn("Yes, in June."), turn("Fine."), turn("Good night.")], NOW
    )
    store.add("a", [turn("Something else.", conversation="d")], NOW)
    places = Finder(database).places("a", list(range(1, 6)), Filter(), NOW)
    found = [places[passage].turn for passage in Finder(database).matching("a", "gauge", Filter(), 9)]
    assert found[0] == 1
    assert set(found) == {1, 2, 3}


# ---- reading pages of it


@pytest.mark.anyio
async def test_a_conversation_is_read_by_pages_in_order(client: Client) -> None:
    items = [{"text": f"Turn {n}.", "speaker": "Ann"} for n in range(1, 51)]
    data, _ = await call(client, "memory_add", items=items, conversation="chat/1")
    await call(client, "memory_add", text="Elsewhere.", conversation="chat/2")

    async def page(**where: int) -> list[int]:
        read, _ = await call(client, "memory_get", conversation="chat/1", **where)
        assert read["turns"] == 50
        return [memory["turn"] for memory in read["memories"]]

    assert await page() == list(range(31, 51))
    assert await page(before=31) == list(range(11, 31))
    assert await page(after=45) == list(range(46, 51))
    assert await page(around=10, limit=5) == [8, 9, 10, 11, 12]
    assert await page(around=1, limit=1) == [1]
    assert await page(before=1) == []
    await call(client, "memory_forget", ids=[data["results"][8]["id"]])
    assert await page(around=10, limit=5) == [7, 8, 10, 11, 12]
    _, text = await call(client, "memory_get", conversation="chat/1", limit=2)
    assert text.startswith("turns 49 to 50 of 50\n\n")
    assert "· Ann · turn 49 of chat/1 · " in text
    assert "\n> Turn 49.\n" in text


@pytest.mark.anyio
async def test_a_result_says_which_turn_it_is(client: Client) -> None:
    await call(
        client, "memory_add", items=[{"text": "Hello."}, {"text": "The gauge broke."}], conversation="c1"
    )
    data, _ = await call(client, "memory_search", query="gauge")
    assert [(found["conversation"], found["turn"]) for found in data["results"]] == [("c1", 2), ("c1", 1)]


@pytest.mark.anyio
async def test_a_turn_names_no_similar_ones_for_people_repeat_themselves(client: Client) -> None:
    text = "The gauge in the harbour stood at seven again."
    await call(client, "memory_add", text=text, conversation="c1")
    data, _ = await call(client, "memory_add", text=text, conversation="c1")
    assert data["results"][0]["status"] == "created"
    assert data["results"][0]["similar"] == []
    fact, _ = await call(client, "memory_add", text=text)
    assert len(fact["results"][0]["similar"]) == 2


# ---- size


def touched(database: Database, store: MemoryStore, text: str) -> Counter[str]:
    """The rows of our tables that one append writes, and the statements it takes."""
    rows: Counter[str] = Counter()
    connection = database.read()

    def statement(*_: object) -> bool:
        rows["statements"] += 1
        return True

    connection.set_update_hook(lambda kind, name, table, row: rows.update([table]))
    connection.exec_trace = statement
    try:
        store.add("a", [turn(text)], NOW)
    finally:
        connection.set_update_hook(None)
        connection.exec_trace = None
    return Counter({name: count for name, count in rows.items() if not name.startswith("passage_words")})


def test_appending_the_ten_thousandth_turn_writes_what_the_tenth_did(
    store: MemoryStore, database: Database
) -> None:
    store.add("a", [turn(f"Turn {n}.") for n in range(9)], NOW)
    early = touched(database, store, "Turn 10.")
    store.add("a", [turn(f"Turn {n}.") for n in range(10, 9999)], NOW)
    assert touched(database, store, "Turn 10,000.") == early
    assert early["passage"] <= 5
    assert early["memory"] == 1


def test_a_planted_turn_is_recalled_from_ten_thousand_within_the_budget(database: Database) -> None:
    memories = Memories(database, BackgroundEmbedder(Settings(embedder="none")))
    talk = random.Random(7)
    small = (
        "well yes no maybe later today fine good we you they it went saw had some more again tea rain".split()
    )
    turns = [
        turn(" ".join(talk.choices(small, k=12)), speaker=talk.choice(["Ann", "Bo"])) for _ in range(10_000)
    ]
    turns[4321] = turn("The spare key hangs behind the barometer.", speaker="Bo")
    for start in range(0, len(turns), 500):
        MemoryStore(database).add("a", turns[start : start + 500], NOW)
    found = memories.search(
        "a", "Where did Bo say the spare key hangs?", Filter(), limit=10, max_tokens=500, wait_s=0
    )
    assert found.results[0].memory.turn == 4322
    memories.close()


def test_what_was_replaced_leaves_the_mirrored_vectors_of_what_holds(
    store: MemoryStore, database: Database
) -> None:
    count = LEAST + 100
    stored = store.add("a", [draft(f"Fact {n}.") for n in range(count)], NOW)
    vectors = Finder(database).vectors
    assert isinstance(vectors, MirroredVectors)
    luck = random.Random(3)
    made = [unit([luck.gauss(0, 1) for _ in range(64)]) for _ in range(count)]
    vectors.put("scripted", list(enumerate(made, 1)))
    assert 8 in vectors.nearest("scripted", made[7], [2], 3)
    assert vectors.wait("scripted", 30)
    assert next(iter(vectors.nearest("scripted", made[7], [2], 3))) == 8
    store.add("a", [draft("Newer.", replaces=[stored[7].id])], NOW)
    assert 8 not in vectors.nearest("scripted", made[7], [2], 3)
    assert next(iter(vectors.nearest("scripted", made[7], [2, 3], 3))) == 8
    assert vectors.megabytes > 0


def unit(parts: list[float]) -> bytes:
    length = sqrt(sum(part * part for part in parts))
    return array("f", [part / length for part in parts]).tobytes()
