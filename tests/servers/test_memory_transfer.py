"""Memories on their way out to files and in from them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pygent_memory.filters import Filter
from pygent_memory.memories import Memories
from pygent_memory.memory import draft
from pygent_memory.schema import MIGRATIONS
from pygent_memory.transfer.exporting import export_file
from pygent_memory.transfer.found import Imported
from pygent_memory.transfer.importing import import_file
from pygent_shared.database import Database
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.errors import FileRefused, UnknownName
from pygent_shared.settings import Settings

NOW = "2025-05-01T12:00:00Z"
LATER = "2025-06-01T12:00:00Z"
TODAY = datetime(2025, 7, 1, tzinfo=UTC)

Open = Callable[[str], Memories]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens the memories in a database of this name."""
    made: dict[str, Memories] = {}

    def open(name: str) -> Memories:
        if name not in made:
            database = Database(tmp_path / f"{name}.db", MIGRATIONS)
            made[name] = Memories(database, BackgroundEmbedder(Settings(embedder="none")))
        return made[name]

    yield open
    for memories in made.values():
        memories.close()


@pytest.fixture
def memories(opened: Open) -> Memories:
    return opened("memory")


def filled(memories: Memories, space: str = "a") -> None:
    """A space with something in every table and column."""
    store, database = memories.store, memories.database
    (lisbon,) = store.add(
        space,
        [draft("Ann lives in Lisbon.", tags=["Ann", "home"], speaker="Bo", occurred_at="2025-03-01")],
        NOW,
    )
    store.add(space, [draft("Ann lives in Lisbon.", speaker="Bo", occurred_at="2025-03-01")], LATER)
    store.add(
        space,
        [
            draft("Ann lives in Porto.", replaces=[lisbon.id], derived_from=[lisbon.id], pinned=True),
            draft("Ahoi.", conversation="ship", kind="episodic", importance=0.9),
            draft("Ahoi.", conversation="ship", kind="episodic", speaker="Käpt'n 🚢"),
            draft("Berth 4.", valid_from="2025-01-01", valid_to="2026-01-01", trust="tool", source="web:x"),
            draft("Soon over.", kind="working", expires_at="2025-08-01T00:00:00Z"),
        ],
        LATER,
    )
    (gone,) = store.add(space, [draft("Wrong.")], NOW)
    store.forget(space, [gone.id], LATER)
    with database.write() as connection:
        connection.execute(
            "INSERT INTO entity (space, name, type, recorded_at, forgotten_at) "
            "SELECT id, 'Ann', 'person', ?1, ?1 FROM space WHERE name = ?2",
            (NOW, space),
        )
        connection.execute(
            "INSERT INTO entity (space, name, type, recorded_at) "
            "SELECT id, 'Ann', 'woman', ?1 FROM space WHERE name = ?2",
            (NOW, space),
        )
        connection.execute(
            "INSERT INTO relation (space, source, target, type, recorded_at, forgotten_at) "
            "SELECT id, 'Ann', 'Bo', 'knows', ?1, x.at FROM space, (SELECT NULL AS at UNION SELECT ?1) AS x "
            "WHERE name = ?2",
            (NOW, space),
        )
        connection.execute(
            "INSERT INTO event (at, space, memory, what, actor, before) "
            "SELECT ?1, id, 'mgone', 'erased', 'bo', '{}' FROM space WHERE name = ?2",
            (LATER, space),
        )
    store.add(space, [replace(draft("Ann sails."), kind="observation", entity="Ann")], LATER)


def exported(memories: Memories, tmp_path: Path, name: str, space: str = "a") -> str:
    return export_file(memories.database, space, tmp_path / name).path.read_text(encoding="utf-8")


def imported(memories: Memories, path: Path, space: str = "a", **options: Any) -> Imported:
    return import_file(memories, space, path, now=TODAY, **options)


def counts(report: Imported) -> tuple[int, int, int, int]:
    found = report.outcomes
    return found["added"], found["duplicate"], found["kept out"], report.problems


def texts(memories: Memories, space: str = "a") -> list[str]:
    return sorted(memory.text for memory in memories.recent(space, 1000))


def write(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    return path


HEADER = {"format": "pygent-memory", "version": 1}

# ---- our own format


def test_an_export_imported_into_an_empty_space_exports_equally(opened: Open, tmp_path: Path) -> None:
    filled(opened("memory"))
    first = exported(opened("memory"), tmp_path, "one.jsonl")
    other = opened("other")
    report = imported(other, tmp_path / "one.jsonl")
    assert exported(other, tmp_path, "two.jsonl") == first
    assert counts(report) == (8, 0, 0, 0)
    assert (report.entities, report.relations) == (2, 2)


def test_every_column_and_table_of_memories_is_in_the_export(memories: Memories, tmp_path: Path) -> None:
    filled(memories)
    rows = [json.loads(line) for line in exported(memories, tmp_path, "one.jsonl").splitlines()]
    keys = {table: {key for row in rows if row.get("row") == table for key in row} for table in TABLES}
    with memories.database.snapshot() as connection:
        for table, elsewhere in TABLES.items():
            names = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
            assert {str(name) for (name,) in names} - elsewhere <= keys[table], table
    of_events = {key for row in rows for event in row.get("events", []) for key in event}
    assert {"at", "what", "actor"} <= of_events


TABLES = {
    "memory": {"key", "space", "read_by"},
    "conversation": {"id", "space"},
    "entity": {"id", "space"},
    "relation": {"id", "space"},
    "event": {"id", "space"},
}


def test_what_comes_back_is_found_or_hidden_as_it_was(opened: Open, tmp_path: Path) -> None:
    filled(opened("memory"))
    exported(opened("memory"), tmp_path, "one.jsonl")
    other = opened("other")
    imported(other, tmp_path / "one.jsonl")
    assert texts(other) == texts(opened("memory"))
    assert len(other.finder.matching("a", "Porto", Filter(), 9)) == 1
    assert other.finder.matching("a", "Lisbon Wrong", Filter(), 9) == {}
    assert len(other.finder.matching("a", "Lisbon Wrong", Filter(past=True), 9)) == 1


def test_a_second_import_of_the_same_file_changes_nothing(opened: Open, tmp_path: Path) -> None:
    filled(opened("memory"))
    first = exported(opened("memory"), tmp_path, "one.jsonl")
    for name in ("memory", "other", "other"):
        report = imported(opened(name), tmp_path / "one.jsonl")
    assert counts(report) == (0, 8, 0, 0)
    assert exported(opened("other"), tmp_path, "two.jsonl") == first
    assert exported(opened("memory"), tmp_path, "three.jsonl") == first


def test_into_another_space_of_the_database_it_comes_under_other_ids_once(
    memories: Memories, tmp_path: Path
) -> None:
    filled(memories)
    first = exported(memories, tmp_path, "one.jsonl")
    assert counts(imported(memories, tmp_path / "one.jsonl", "b")) == (8, 0, 0, 0)
    assert counts(imported(memories, tmp_path / "one.jsonl", "b")) == (0, 8, 0, 0)
    copy = exported(memories, tmp_path, "two.jsonl", "b")
    pairs = [
        (json.loads(mine), json.loads(other))
        for mine, other in zip(first.splitlines(), copy.splitlines(), strict=True)
    ]
    ids = {mine["id"]: other["id"] for mine, other in pairs if mine.get("row") == "memory"}
    assert not ids.keys() & set(ids.values())
    renamed = first
    for mine, other in ids.items():
        renamed = renamed.replace(mine, other)
    assert copy == renamed


def test_an_import_that_was_cut_off_is_finished_by_the_next(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pygent_memory.transfer.importing.BATCH", 3)
    filled(opened("memory"))
    first = exported(opened("memory"), tmp_path, "one.jsonl")
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append((done, total))
        if len(calls) == 3:
            raise KeyboardInterrupt

    other = opened("other")
    with pytest.raises(KeyboardInterrupt):
        imported(other, tmp_path / "one.jsonl", watch=stop)
    assert 0 < other.store.size("a") < opened("memory").store.size("a")
    imported(other, tmp_path / "one.jsonl")
    assert exported(other, tmp_path, "two.jsonl") == first
    assert [total for _, total in calls] == [2 * len(first.encode())] * 3


def test_a_dry_run_tells_exactly_what_would_happen_and_writes_nothing(opened: Open, tmp_path: Path) -> None:
    filled(opened("memory"))
    exported(opened("memory"), tmp_path, "one.jsonl")
    other = opened("other")
    other.add("a", [draft("Ann lives in Porto.", pinned=True)])
    before = other.database.state()
    tried = imported(other, tmp_path / "one.jsonl", dry_run=True)
    assert other.database.state() == before
    done = imported(other, tmp_path / "one.jsonl")
    assert counts(tried) == counts(done) == (7, 1, 0, 0)
    assert (tried.entities, tried.relations) == (done.entities, done.relations) == (2, 2)


def test_damaged_lines_are_set_aside_word_for_word_and_named_and_the_rest_is_imported(
    memories: Memories, tmp_path: Path
) -> None:
    bad: list[object] = [
        "{broken",
        {"row": "memory", "text": ""},
        {"row": "memory", "text": "Tide.", "occurred_at": "yesterday"},
        {"row": "memory", "text": "Tide.", "importance": 7},
        {"row": "memory", "text": "Tide.", "entity": 5},
        {"row": "memory", "text": "Tide.", "tags": "one"},
        {"row": "memory", "text": "half \ud800 character"},
        "raw \udcff byte",
        {"row": "memory", "text": "Tide.", "trust": None},
        {"row": "memory", "text": "Tide.", "version": 2**70},
        {"row": "other"},
        [1],
    ]
    good = {"row": "memory", "text": "The tide is high."}
    path = write(tmp_path / "notes.jsonl", HEADER, *bad, good)
    report = imported(memories, path)
    assert counts(report) == (1, 0, 0, len(bad))
    assert [item.place for item in report.damaged] == [f"line {n}" for n in range(2, 2 + len(bad))]
    assert "is no ISO 8601 date" in report.damaged[2].why
    assert report.aside == tmp_path / "notes.jsonl.damaged"
    lines = path.read_bytes().splitlines()
    assert report.aside.read_bytes().splitlines() == lines[1:-1]
    assert texts(memories) == ["The tide is high."]
    assert memories.database.check() == []


def test_a_line_in_which_memories_replace_each_other_in_a_circle_is_named_and_not_tied(
    memories: Memories, tmp_path: Path
) -> None:
    rows = [
        {"row": "memory", "id": id, "text": id, "replaced_at": NOW, "replaced_by": by, "derived_from": [id]}
        for id, by in (("mone", "mtwo"), ("mtwo", "mone"), ("mself", "mself"))
    ]
    report = imported(memories, write(tmp_path / "notes.jsonl", HEADER, *rows))
    assert [(item.place, "in a circle" in item.why) for item in report.damaged] == [
        ("line 3", True),
        ("line 4", True),
    ]
    replaced = {memory.id: memory.replaced_by for memory in memories.get("a", ["mone", "mtwo", "mself"])}
    assert replaced == {"mone": "mtwo", "mtwo": "", "mself": ""}
    assert memories.database.query("SELECT * FROM derived_from") == []


def test_what_was_forgotten_here_since_is_not_brought_back(memories: Memories, tmp_path: Path) -> None:
    path = write(tmp_path / "notes.jsonl", HEADER, {"row": "memory", "text": "Tide."})
    imported(memories, path)
    (id,) = (memory.id for memory in memories.recent("a", 1))
    memories.store.forget("a", [id], LATER)
    assert counts(imported(memories, path)) == (0, 0, 1, 0)
    assert texts(memories) == []


def test_a_file_of_a_newer_version_is_refused(memories: Memories, tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="was written by a newer version"):
        imported(memories, write(tmp_path / "notes.jsonl", HEADER | {"version": 2}))


# ---- Markdown, for people


def test_a_markdown_export_holds_what_was_not_forgotten_under_its_headings(
    memories: Memories, tmp_path: Path
) -> None:
    filled(memories)
    page = exported(memories, tmp_path, "one.md")
    assert [line for line in page.splitlines() if line.startswith("#")] == [
        "# Memories of a",
        "## What is so",
        "## For now",
        "## Ann",
        "## Conversation: ship",
        "## Relations",
    ]
    assert re.search(
        r"\*\*2025-03-01 · Bo · #ann #home · .*replaced by m\w+ · `m\w+`\*\*\n\n> Ann lives in Lis", page
    )
    assert "> Ann lives in Porto.\n" in page
    assert "- Ann — knows → Bo\n" in page
    assert "Wrong." not in page


def test_a_markdown_export_to_a_folder_has_a_file_for_each_heading(
    memories: Memories, tmp_path: Path
) -> None:
    filled(memories)
    done = export_file(memories.database, "a", tmp_path / "notes", "markdown")
    assert sorted(file.name for file in done.path.iterdir()) == [
        "ann.md",
        "conversation-ship.md",
        "for-now.md",
        "relations.md",
        "what-is-so.md",
    ]
    assert done.memories == 7
    assert done.size == sum(file.stat().st_size for file in done.path.iterdir())


def test_an_export_overwrites_nothing_and_leaves_nothing_half_written(
    memories: Memories, tmp_path: Path
) -> None:
    filled(memories)
    (tmp_path / "one.jsonl").write_text("mine")
    with pytest.raises(FileRefused, match="exists already"):
        exported(memories, tmp_path, "one.jsonl")
    assert (tmp_path / "one.jsonl").read_text() == "mine"
    with pytest.raises(UnknownName, match=r'no space "b".* There is: a'):
        exported(memories, tmp_path, "two.jsonl", "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileRefused, match="cannot be written"):
        exported(memories, tmp_path, "file/two.jsonl")
    with pytest.raises(UnknownName, match='no format "pdf"'):
        export_file(memories.database, "a", tmp_path / "x", "pdf")
    assert not [file for file in tmp_path.iterdir() if "partial" in file.name]


# ---- the formats of others

MEM0 = {
    "results": [
        {
            "id": "9f1e",
            "memory": "Likes Thai food.",
            "hash": "x",
            "metadata": {"mood": "good"},
            "score": 0.3,
            "created_at": "2025-03-01T06:30:00.123456-07:00",
            "updated_at": None,
            "user_id": "ann",
            "categories": ["food"],
            "actor_id": "Bo",
        },
        {"id": "9f1f", "memory": "Likes Thai food.", "created_at": "2025-03-01T13:30:00Z", "actor_id": "Bo"},
        {"id": "9f20", "memory": " "},
        {"id": "9f21", "memory": "Allergic to nuts.", "structured": [1]},
    ],
    "relations": [
        {"source": "ann", "relationship": "likes", "target": "thai food"},
        {"source": "ann"},
    ],
}


def test_a_mem0_dump_keeps_texts_dates_owners_and_relations(memories: Memories, tmp_path: Path) -> None:
    path = tmp_path / "mem0.json"
    path.write_text(json.dumps(MEM0, indent=1))
    report = imported(memories, path)
    assert (report.format, counts(report), report.relations) == ("mem0", (2, 1, 0, 2), 1)
    assert dict(report.left_out) == {"metadata.mood": 1, "structured": 1}
    newest, thai = memories.recent("a", 9)
    assert (thai.text, thai.occurred_at, thai.speaker) == ("Likes Thai food.", "2025-03-01T13:30:00Z", "Bo")
    assert (thai.tags, thai.source, thai.trust) == (("food", "user_id:ann"), "mem0:9f1e", "import")
    assert newest.recorded_at == "2025-07-01T00:00:00Z"
    lines = path.read_text().splitlines()
    begun = [lines.index('   "id": "9f20",'), lines.index('   "source": "ann"')]
    assert [item.place for item in report.damaged] == [f"line {number}" for number in begun]
    assert counts(imported(memories, path)) == (0, 3, 0, 2)


@pytest.mark.parametrize("shape", ["list", "lines", "cut off"])
def test_other_shapes_of_a_mem0_dump_are_read_and_a_cut_off_one_as_far_as_it_goes(
    memories: Memories, tmp_path: Path, shape: str
) -> None:
    items = [{"id": str(number), "memory": f'[{number}] "results": [x].'} for number in range(3)]
    whole = json.dumps(items)
    text = {"list": whole, "lines": "\n".join(map(json.dumps, items)), "cut off": whole[:-12]}[shape]
    (tmp_path / "mem0.json").write_text(text)
    report = imported(memories, tmp_path / "mem0.json")
    assert counts(report) == ((2, 0, 0, 1) if shape == "cut off" else (3, 0, 0, 0))
    if shape == "cut off":
        assert report.aside is not None
        assert text.endswith(report.aside.read_text().strip())


NOTE = """---
title: Coffee Brewing
type: guide
permalink: kitchen/coffee
tags:
- coffee
- "slow food"
created: 2025-02-03
---

# Coffee Brewing

Brew it slowly, as [[Ann]] does.

## Observations
- [method] Pour over gives more clarity #brewing #v60 (by taste)
- [x] buy filters
- [ ] clean the pot
- [link](http://127.0.0.1/) is none

## Relations
- requires [[Water|fresh water]] (always)
- [[Cups]]

```
- [method] inside a fence
```
"""


def test_a_folder_of_basic_memory_becomes_entities_observations_relations_and_prose(
    memories: Memories, tmp_path: Path
) -> None:
    folder = tmp_path / "vault"
    (folder / "kitchen").mkdir(parents=True)
    (folder / ".obsidian").mkdir()
    (folder / "kitchen" / "coffee.md").write_text(NOTE)
    (folder / "kitchen" / "plain.md").write_text("Only a line.\n")
    (folder / "bad.md").write_bytes(b"\xff\xfe not text")
    (folder / ".obsidian" / "hidden.md").write_text("Hidden.")
    report = imported(memories, folder)
    assert (report.format, counts(report)) == ("basic-memory", (3, 0, 0, 1))
    assert (report.entities, report.relations) == (2, 3)
    assert [item.place for item in report.damaged] == ["bad.md"]
    by_kind = {(memory.kind, memory.entity): memory for memory in memories.recent("a", 9)}
    told = by_kind["observation", "Coffee Brewing"]
    assert told.text == "Pour over gives more clarity (by taste)"
    assert told.tags == ("method", "brewing", "v60")
    assert (told.occurred_at, told.source) == ("2025-02-03", "basic-memory:kitchen/coffee")
    prose = next(memory for memory in memories.recent("a", 9) if "slowly" in memory.text)
    assert "- [ ] clean the pot" in prose.text
    assert "- [method] inside a fence" in prose.text
    assert "Pour over" not in prose.text
    assert prose.tags == ("coffee", "slow food")
    assert memories.database.query("SELECT source, type, target FROM relation ORDER BY id") == [
        ("Coffee Brewing", "requires", "Water"),
        ("Coffee Brewing", "links_to", "Cups"),
        ("Coffee Brewing", "links_to", "Ann"),
    ]
    assert counts(imported(memories, folder)) == (0, 3, 0, 1)


def test_a_file_of_the_reference_server_becomes_entities_observations_and_relations(
    memories: Memories, tmp_path: Path
) -> None:
    file = tmp_path / "memory.jsonl"
    file.write_text(
        '{"type":"entity","name":"Ann","entityType":"person","observations":["Mends gauges.","Likes tea."]}\n'
        '{"type":"relation","from":"Ann","to":"Bo","relationType":"knows"}\n{"type":"entity","na\n'
    )
    first = imported(memories, file)
    assert (first.format, counts(first)) == ("reference", (2, 0, 0, 1))
    assert (first.entities, first.relations) == (1, 1)
    told = {(memory.entity, memory.kind, memory.trust, memory.text) for memory in memories.recent("a", 9)}
    assert told == {("Ann", "observation", "import", text) for text in ("Mends gauges.", "Likes tea.")}
    assert [item.place for item in first.damaged] == ["line 3"]
    assert first.aside is not None
    assert first.aside.read_text() == '{"type":"entity","na\n'
    assert counts(imported(memories, file)) == (0, 2, 0, 1)


def test_what_a_model_derived_comes_back_with_its_sources(memories: Memories, tmp_path: Path) -> None:
    (told,) = memories.add("a", [draft("Ann moved to Lisbon in May, she said.")])
    fact = draft("Ann lives in Lisbon.", trust="derived", derived_from=[told.stored.id])
    memories.add("a", [fact])
    export_file(memories.database, "a", tmp_path / "a.jsonl")
    import_file(memories, "b", tmp_path / "a.jsonl")
    back = {memory.text: memory for memory in memories.recent("b", 9)}
    assert back["Ann lives in Lisbon."].trust == "derived"
    assert back["Ann lives in Lisbon."].derived_from == (back["Ann moved to Lisbon in May, she said."].id,)
    memories.store.forget("b", back["Ann lives in Lisbon."].derived_from, memories.now())
    assert memories.get("b", [back["Ann lives in Lisbon."].id]) == []


def test_what_is_in_no_known_format_or_not_there_is_refused_with_the_formats(
    memories: Memories, tmp_path: Path
) -> None:
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(FileRefused, match=r"in no format that is known.*mem0 \(what get_all returns"):
        imported(memories, tmp_path / "x.txt")
    with pytest.raises(FileRefused, match="does not exist"):
        imported(memories, tmp_path / "y.txt")
    with pytest.raises(UnknownName, match='Did you mean "mem0"'):
        imported(memories, tmp_path / "x.txt", format="mem")
