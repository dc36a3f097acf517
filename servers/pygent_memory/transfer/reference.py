"""The file of the reference memory server, whose lines `graph.jsonl` understands: entities with what was
observed of them, and relations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pygent_memory.graph.entity import OBSERVATION
from pygent_memory.graph.jsonl import parsed
from pygent_memory.memory import Draft
from pygent_memory.transfer.found import Damaged, Entity, Format, Found, Relation


def fits(path: Path, head: str) -> bool:
    """Whether the first line of a file is an entity or a relation."""
    first = parsed(head.lstrip().partition("\n")[0].encode(errors="replace"))
    return path.is_file() and bool(first.entities or first.relations)


def read(path: Path) -> Iterator[Found]:
    """What a file holds; damaged lines last."""
    found = parsed(path.read_bytes())
    for entity in found.entities:
        yield Entity(name=entity.name, type=entity.type)
        for text in entity.observations:
            yield Draft(text=text, kind=OBSERVATION, entity=entity.name, trust="import", source=path.name)
    for relation in found.relations:
        yield Relation(source=relation.source, type=relation.type, target=relation.target)
    for number, line in found.damaged:
        why = "It is no entity or relation, or not all of it can be kept."
        yield Damaged(place=f"line {number}", why=why, text=line.decode(errors="surrogateescape"))


FORMAT = Format(name="reference", title="the reference memory server's JSON lines", fits=fits, read=read)
