"""What the knowledge graph is made of, and what may be stored in it.

The one rule: a name is kept and compared character for character, as the reference memory server does. An
observation is a memory of kind "observation"; a relation holds names, so an end of it need not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pygent_memory.memory import memory_text, normalised, unicode_text
from pygent_shared.errors import InvalidArgument, UnknownName, nearest

MAX_NAME = 1_000

OBSERVATION: Literal["observation"] = "observation"


@dataclass(frozen=True, kw_only=True)
class Entity:
    """Something with a name, of some type, and what is known about it."""

    name: str
    type: str
    observations: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Relation:
    """That one entity has to do with another: `source` `type` `target`, in active voice."""

    source: str
    target: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What is known about an entity: all of it, or what of it is new."""

    entity: str
    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Node:
    """A stored entity without its observations; later ones have higher ids."""

    id: int
    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Edge(Relation):
    """A stored relation."""

    id: int


class UnknownEntity(UnknownName):
    """A name that no entity has. It begins as the reference server says it."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__("entity", name, known)
        hint = f'. Did you mean "{near}"?' if (near := nearest(name, self.known)) else ""
        self.args = (f"Entity with name {name} not found{hint}",)


def entity(name: str, type: str, observations: Iterable[str], place: str = "") -> Entity:
    """A checked entity; `place` says in an error where it stood, such as "entities[3].".

    Raises:
        InvalidArgument: the name is empty, or something is too long or no Unicode.
    """
    return Entity(
        name=entity_name(name, place + "name"),
        type=_short(type, place + "entityType"),
        observations=observation_texts(observations, place + "observations"),
    )


def relation(source: str, target: str, type: str, place: str = "") -> Relation:
    """A checked relation.

    Raises:
        InvalidArgument: a name is empty, or something is too long or no Unicode.
    """
    return Relation(
        source=entity_name(source, place + "from"),
        target=entity_name(target, place + "to"),
        type=_short(type, place + "relationType"),
    )


def entity_name(name: str, place: str) -> str:
    """The name of an entity, as it is.

    Raises:
        InvalidArgument: it is empty, longer than 1,000 characters, or no Unicode.
    """
    if not name.strip():
        raise InvalidArgument(place, "is empty", "Name the entity.")
    return _short(name, place)


def observation_texts(texts: Iterable[str], place: str) -> tuple[str, ...]:
    """Observations, each once and as first written; empty ones say nothing and are left out.

    Raises:
        InvalidArgument: one holds more than 64 kB, or is no Unicode.
    """
    told: dict[str, str] = {}
    for number, text in enumerate(texts):
        if text.strip():
            told.setdefault(same(memory_text(text, f"{place}[{number}]")), text)
    return tuple(told.values())


def same(text: str) -> str:
    """Equal for two observations that count as one: as it is for memories, blanks and Unicode form aside."""
    return normalised(text)


def _short(text: str, place: str) -> str:
    if len(text) > MAX_NAME:
        raise InvalidArgument(place, f"has {len(text):,} characters", f"Use at most {MAX_NAME:,}.")
    return unicode_text(text, place)
