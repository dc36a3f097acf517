"""The graph in and out as JSONL, and the file of the reference memory server beside it.

The one rule: a file is read at most once for each content it has, and never changed by reading. Lines that
are damaged are copied into a file of their own beside it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pygent_memory.graph.entity import Entity, Relation
from pygent_memory.graph.jsonl import Parsed, lines_of, parsed
from pygent_memory.graph.knowledge import KnowledgeGraph
from pygent_memory.graph.reading import GraphReader
from pygent_shared.database import Database
from pygent_shared.errors import FileRefused
from pygent_shared.locks import locked

log = logging.getLogger(__name__)

AT_ONCE = 200
"""So many entities are written in one transaction of an import: others may write in between."""

_READ = "imported file"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import brought: how many entities and relations a file holds, how many of them were new, and
    the damaged lines with their numbers."""

    entities: int = 0
    relations: int = 0
    new_entities: int = 0
    new_relations: int = 0
    damaged: tuple[tuple[int, bytes], ...] = ()


def export_jsonl(graph: KnowledgeGraph, space: str, stream: TextIO) -> int:
    """Write a space's graph in the reference server's format; returns the number of lines."""
    count = 0
    for line in lines_of(items(graph.reader(space))):
        stream.write(line + "\n")
        count += 1
    return count


def import_jsonl(graph: KnowledgeGraph, space: str, content: bytes, source: str = "") -> Imported:
    """Add what a file in the reference server's format holds to a space's graph; what is there stays.

    Args:
        source: where it comes from; kept with each observation.
    """
    found: Parsed = parsed(content)
    new_entities = new_relations = 0
    for start in range(0, len(found.entities), AT_ONCE):
        with graph.writing(space, trust="import", source=source) as writer:
            new_entities += len(writer.create(found.entities[start : start + AT_ONCE], merge=True))
    if found.relations:
        with graph.writing(space, trust="import", source=source) as writer:
            new_relations = len(writer.relate(found.relations))
    return Imported(
        entities=len(found.entities),
        relations=len(found.relations),
        new_entities=new_entities,
        new_relations=new_relations,
        damaged=tuple(found.damaged),
    )


def items(reader: GraphReader) -> Iterator[Entity | Relation]:
    """The whole graph: entities in the order they were made, then relations."""
    told = dict(reader.all_observations())
    for node in reader.nodes():
        texts = tuple(text for _, text in told.get(node.id, ()))
        yield Entity(name=node.name, type=node.type, observations=texts)
    for edge in reader.edges():
        yield Relation(source=edge.source, target=edge.target, type=edge.type)


class ReferenceFile:
    """The file that the reference memory server keeps a graph in (its MEMORY_FILE_PATH).

    Args:
        path: the file; it need not exist.
        database: where it is written down what was read.
        folder: where damaged lines go if they cannot lie beside the file.
    """

    def __init__(self, path: Path, database: Database, folder: Path) -> None:
        self.path = path
        self._database = database
        self._folder = folder

    def read_into(self, graph: KnowledgeGraph, space: str) -> Imported | None:
        """Import the file, unless it is not there or this content of it was read before.

        Raises:
            FileRefused: it is there and cannot be read.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            raise FileRefused(self.path, why, "Check MEMORY_FILE_PATH and the file's permissions.") from error
        if self._was_read(content):
            return None
        imported = import_jsonl(graph, space, content, source=self.path.name)
        log.info("%s: %d entities, %d relations", self.path, imported.entities, imported.relations)
        if imported.damaged:
            aside = self._set_aside([line for _, line in imported.damaged])
            log.warning(_report(self.path, aside, [number for number, _ in imported.damaged]))
        self._write_down(space, content)
        return imported

    def mirror(self, graph: KnowledgeGraph, space: str) -> None:
        """Write the graph into the file, whole or not at all. What another program wrote into it is imported
        first.

        Raises:
            FileRefused: it is there and cannot be read.
            OSError: it cannot be written.
        """
        with locked(self._folder / "memory-mirror.lock"):
            self.read_into(graph, space)
            content = "\n".join(lines_of(items(graph.reader(space)))).encode()
            self._write_down(space, content)
            file, name = tempfile.mkstemp(prefix=self.path.name, suffix=".tmp", dir=self.path.parent)
            try:
                with open(file, "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.replace(name, self.path)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(name)

    def _was_read(self, content: bytes) -> bool:
        return bool(
            self._database.query(
                "SELECT 1 FROM event WHERE memory = ? AND what = ?", (_fingerprint(content), _READ)
            )
        )

    def _write_down(self, space: str, content: bytes) -> None:
        if not self._was_read(content):
            with self._database.write() as connection:
                connection.execute(
                    "INSERT INTO event (at, space, memory, what) SELECT strftime('%FT%TZ', 'now'), id, ?, ? "
                    "FROM space WHERE name = ?",
                    (_fingerprint(content), _READ, space),
                )

    def _set_aside(self, lines: list[bytes]) -> Path:
        """Add lines to the file of damaged ones, unless they are there; returns which file that is."""
        aside = self.path.with_name(f"{self.path.stem}.damaged.jsonl")
        try:
            _append(aside, lines)
        except OSError:
            aside = self._folder / aside.name
            _append(aside, lines)
        return aside


def _report(path: Path, aside: Path, numbers: list[int]) -> str:
    which = ("line " if len(numbers) == 1 else "lines ") + ", ".join(map(str, numbers[:10]))
    more = f" and {len(numbers) - 10} more" if len(numbers) > 10 else ""
    return (
        f'"{path}" is damaged in {which}{more}; the rest was imported, and what is damaged was copied to '
        f'"{aside}". Mend it in the first: it is read again at the next start.'
    )


def _append(path: Path, lines: list[bytes]) -> None:
    known = set(path.read_bytes().split(b"\n")) if path.exists() else set()
    with path.open("ab") as stream:
        stream.writelines(line + b"\n" for line in lines if line not in known)
        stream.flush()
        os.fsync(stream.fileno())


def _fingerprint(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
