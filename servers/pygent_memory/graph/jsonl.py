"""The file format of the reference memory server: one JSON object a line, an entity or a relation. Pure.

The one rule: what cannot be understood is given back as it was, never dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pygent_memory.graph.entity import Entity, Relation, entity, relation
from pygent_shared.errors import InvalidArgument

_DECODER = json.JSONDecoder()


@dataclass(kw_only=True)
class Parsed:
    """What a file holds: `damaged` are the lines, with their numbers, that were not understood wholly."""

    entities: list[Entity] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    damaged: list[tuple[int, bytes]] = field(default_factory=list)


def parsed(content: bytes) -> Parsed:
    """The graph in a file. Two objects on one line, which lost writes leave behind, are two objects."""
    found = Parsed()
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip() and not _understood(line, found):
            found.damaged.append((number, line))
    return found


def line_of(item: Entity | Relation) -> str:
    """An entity or relation as a line of the file, without its end."""
    if isinstance(item, Entity):
        data: dict[str, Any] = {
            "type": "entity",
            "name": item.name,
            "entityType": item.type,
            "observations": list(item.observations),
        }
    else:
        data = {"type": "relation", "from": item.source, "to": item.target, "relationType": item.type}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def lines_of(items: Iterable[Entity | Relation]) -> Iterator[str]:
    """The lines of a file."""
    return (line_of(item) for item in items)


def _understood(line: bytes, found: Parsed) -> bool:
    """Put what a line holds into `found`; returns whether that was all."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return False
    place, whole = 0, True
    while rest := text[place:].lstrip():
        place = len(text) - len(rest)
        try:
            item, place = _DECODER.raw_decode(text, place)
        except (json.JSONDecodeError, RecursionError):
            return False
        whole = _taken(item, found) and whole
    return whole


def _taken(item: Any, found: Parsed) -> bool:
    try:
        match item:
            case {"type": "entity", "name": str(name), "entityType": str(type), "observations": [*told]}:
                texts, whole = _usable(told)
                found.entities.append(entity(name, type, texts))
                return whole
            case {"type": "relation", "from": str(source), "to": str(target), "relationType": str(type)}:
                found.relations.append(relation(source, target, type))
                return True
    except InvalidArgument:
        return False
    return False


def _usable(told: list[Any]) -> tuple[list[str], bool]:
    """The observations that can be kept, and whether those are all."""
    usable = []
    for text in told:
        try:
            if isinstance(text, str):
                entity("-", "", [text])
                usable.append(text)
        except InvalidArgument:
            continue
    return usable, len(usable) == len(told)
