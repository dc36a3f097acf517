"""The graph in and out of the reference memory server's file."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pygent_memory.graph.entity import Entity, Relation, entity, relation
from pygent_memory.graph.jsonl import line_of, parsed
from pygent_memory.graph.knowledge import KnowledgeGraph
from pygent_memory.graph.transfer import ReferenceFile, export_jsonl, import_jsonl
from pygent_memory.memories import Memories, open_memories
from pygent_shared.settings import Settings, load_settings
from pygent_shared.testing import call, in_memory

MEMORY = "pygent_memory"
ANN = '{"type":"entity","name":"Ann","entityType":"person","observations":["likes tea","Größe 水"]}'
ACME = '{"type":"entity","name":"Acme","entityType":"company","observations":[]}'
WORKS = '{"type":"relation","from":"Ann","to":"Acme","relationType":"works at"}'
WHOLE = "\n".join([ANN, ACME, WORKS])


@pytest.fixture
def memories(settings: Settings) -> Iterator[Memories]:
    opened = open_memories(settings)
    yield opened
    opened.close()


@pytest.fixture
def graph(memories: Memories) -> KnowledgeGraph:
    return KnowledgeGraph(memories)


def exported(graph: KnowledgeGraph, space: str = "default") -> list[str]:
    stream = io.StringIO()
    export_jsonl(graph, space, stream)
    return stream.getvalue().splitlines()


# ---- the format


def test_a_file_goes_in_and_comes_out_as_it_was(graph: KnowledgeGraph) -> None:
    imported = import_jsonl(graph, "default", WHOLE.encode())
    assert (imported.entities, imported.new_entities, imported.relations, imported.damaged) == (2, 2, 1, ())
    assert exported(graph) == WHOLE.splitlines()


def test_what_is_there_already_is_added_to_and_nothing_is_doubled(graph: KnowledgeGraph) -> None:
    import_jsonl(graph, "default", WHOLE.encode())
    more = '{"type":"entity","name":"Ann","entityType":"x","observations":["likes tea","sings"]}\n' + WORKS
    imported = import_jsonl(graph, "default", more.encode())
    assert (imported.new_entities, imported.new_relations) == (0, 0)
    assert exported(graph) == [ANN.replace('水"', '水","sings"'), ACME, WORKS]


def test_two_objects_that_a_lost_write_left_on_one_line_are_both_read() -> None:
    found = parsed((ANN + ACME + " " + WORKS).encode())
    assert [item.name for item in found.entities] == ["Ann", "Acme"]
    assert (len(found.relations), found.damaged) == (1, [])


DAMAGED = [
    b'{"type":"entity","name":"Cut","entityTy',
    b"not json",
    b"\xff\xfe broken",
    b"[1, 2]",
    b'{"type":"entity","name":7,"entityType":"x","observations":[]}',
    b'{"type":"entity","name":"","entityType":"x","observations":[]}',
    b'{"type":"relation","from":"Ann"}',
    b'{"type":"note","text":"?"}',
    b'{"type":"entity","name":"Half","entityType":"x","observations":["kept",5]}',
    b'{"type":"entity","name":"Big","entityType":"x","observations":["' + b"x" * 65_000 + b'","kept"]}',
    b"[" * 100_000,
]


def test_each_damaged_line_is_given_back_and_all_others_are_read() -> None:
    lines = [ANN.encode(), *DAMAGED, b"", WORKS.encode()]
    found = parsed(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    assert [(item.name, item.observations) for item in found.entities] == [
        ("Ann", ("likes tea", "Größe 水")),
        ("Half", ("kept",)),
        ("Big", ("kept",)),
    ]
    assert found.relations == [relation("Ann", "Acme", "works at")]
    assert [(number, line.rstrip(b"\r")) for number, line in found.damaged] == list(
        enumerate(DAMAGED, start=2)
    )


@pytest.mark.parametrize("item", [entity('a"\\\n\0', "", ["\u2028", "{"]), relation("a", "b", "c\td")])
def test_any_text_survives_a_line(item: Entity | Relation) -> None:
    line = line_of(item)
    assert "\n" not in line
    found = parsed(line.encode())
    assert [*found.entities, *found.relations] == [item]


# ---- the file at MEMORY_FILE_PATH


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "memory.jsonl"
    path.parent.mkdir()
    path.write_text(WHOLE, encoding="utf-8")
    return path


async def names(settings: Settings) -> list[str]:
    async with in_memory(MEMORY, settings) as client:
        data, _ = await call(client, "read_graph")
        return [item["name"] for item in data["entities"]]


@pytest.fixture
def reading(settings: Settings, file: Path) -> Settings:
    return replace(settings, memory_tools="classic", memory_file=str(file))


@pytest.mark.anyio
async def test_the_file_is_imported_at_the_first_start_and_left_as_it_is(
    reading: Settings, file: Path
) -> None:
    assert await names(reading) == ["Ann", "Acme"]
    assert file.read_text(encoding="utf-8") == WHOLE
    assert os.listdir(file.parent) == ["memory.jsonl"]


@pytest.mark.anyio
async def test_what_was_imported_once_and_deleted_since_does_not_come_back(
    reading: Settings, file: Path
) -> None:
    async with in_memory(MEMORY, reading) as client:
        await call(client, "delete_entities", entityNames=["Ann"])
    assert await names(reading) == ["Acme"]
    file.write_text(ACME + "\n" + ACME.replace("Acme", "New"), encoding="utf-8")
    assert await names(reading) == ["Acme", "New"]


@pytest.mark.anyio
async def test_damaged_lines_are_set_aside_and_reported(
    reading: Settings, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_bytes(b"\n".join([ANN.encode(), b"broken {", b"\xff", WORKS.encode()]))
    for _ in range(2):
        assert await names(reading) == ["Ann"]
        assert file.with_name("memory.damaged.jsonl").read_bytes() == b"broken {\n\xff\n"
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f'"{file}" is damaged in lines 2, 3; the rest was imported' in warning
    assert "memory.damaged.jsonl" in warning


@pytest.mark.anyio
async def test_damaged_lines_that_cannot_lie_beside_the_file_lie_with_the_data(
    reading: Settings, file: Path
) -> None:
    file.write_bytes(b"broken {")
    file.with_name("memory.damaged.jsonl").mkdir()
    assert await names(reading) == []
    assert (reading.data_dir / "memory.damaged.jsonl").read_bytes() == b"broken {\n"


@pytest.mark.anyio
async def test_a_file_that_cannot_be_read_costs_a_warning_and_not_the_memory(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = replace(settings, memory_tools="classic", memory_file=str(tmp_path))
    assert await names(folder) == []
    assert "cannot be read" in caplog.text
    missing = replace(folder, memory_file=str(tmp_path / "none.jsonl"))
    assert await names(missing) == []


@pytest.mark.anyio
async def test_the_file_is_written_back_where_a_setting_asks(reading: Settings, file: Path) -> None:
    mirrored = replace(reading, memory_file_mirror="on")
    async with in_memory(MEMORY, mirrored) as client:
        new: dict[str, Any] = {"name": "Bo", "entityType": "person", "observations": ["runs"]}
        await call(client, "create_entities", entities=[new])
        kept = file.read_text(encoding="utf-8").splitlines()
        assert kept == [ANN, ACME, line_of(entity("Bo", "person", ["runs"])), WORKS]
        await call(client, "delete_entities", entityNames=["Ann"])
        assert file.read_text(encoding="utf-8").splitlines() == [kept[1], kept[2]]
    assert await names(mirrored) == ["Acme", "Bo"]
    assert os.listdir(file.parent) == ["memory.jsonl"]


@pytest.mark.anyio
async def test_what_another_program_wrote_into_a_mirrored_file_is_imported_before_it_is_written(
    reading: Settings, file: Path
) -> None:
    async with in_memory(MEMORY, replace(reading, memory_file_mirror="on")) as client:
        await call(client, "read_graph")
        file.write_text(WHOLE + "\n" + ACME.replace("Acme", "Theirs"), encoding="utf-8")
        await call(
            client, "create_entities", entities=[{"name": "Ours", "entityType": "", "observations": []}]
        )
    assert [json.loads(line).get("name") for line in file.read_text(encoding="utf-8").splitlines()] == [
        "Ann", "Acme", "Ours", "Theirs", None,
    ]  # fmt: skip


def test_a_mirror_that_two_threads_write_holds_everything(
    memories: Memories, settings: Settings, file: Path
) -> None:
    mirror = ReferenceFile(file, memories.database, settings.data_dir)
    plain = KnowledgeGraph(memories)
    graph = KnowledgeGraph(memories, changed=lambda space: mirror.mirror(plain, space))

    def make(letter: str) -> Callable[[], None]:
        return lambda: (
            [graph.create_entities("default", [entity(f"{letter}{n}", "", [])]) for n in range(10)] and None
        )

    threads = [threading.Thread(target=make(letter)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(file.read_text(encoding="utf-8").splitlines()) == 2 + 20 + 1


def test_the_reference_servers_variables_are_read_where_ours_are_not_set() -> None:
    theirs = {"MEMORY_FILE_PATH": "/a/graph.jsonl", "MEMORY_READ_GRAPH": "full"}
    read = load_settings(environ=theirs)
    assert (read.memory_file, read.memory_read_graph) == ("/a/graph.jsonl", "full")
    ours = load_settings(environ={**theirs, "PYGENT_MEMORY_FILE": "/b", "PYGENT_MEMORY_READ_GRAPH": "paged"})
    assert (ours.memory_file, ours.memory_read_graph) == ("/b", "paged")
