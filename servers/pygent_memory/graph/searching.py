"""Which entities answer a query: those that hold it word for word, else those that what is known tells of.

The second is the search of memories, among observations; their passages carry the entity's name. Before
them stand the entities that the query names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pygent_memory.filters import Filter
from pygent_memory.graph.entity import OBSERVATION, Node
from pygent_memory.graph.pages import Known
from pygent_memory.graph.reading import GraphReader
from pygent_memory.memories import Memories
from pygent_memory.memory import MAX_QUERY

FOUND = 20
"""So many observations the search among them gives at most."""

MUCH = 20
"""Of an entity about which more is known, a search shows what the query found, and as many at most where it
found only the name."""

_WORDS = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class Hit:
    """An entity that was found, and the observations that were: by their places, or their texts."""

    node: Node
    places: frozenset[int] = frozenset()
    texts: frozenset[str] = frozenset()

    def relevant(self, about: Known) -> Known:
        """What of the observations to show."""
        if about.count <= MUCH:
            return about
        found = [one for one in about.told if one[0] in self.places or one[1] in self.texts]
        return Known(told=found or about.told[-MUCH:], count=about.count)


class Searcher:
    """Searches the graph of one space."""

    def __init__(self, memories: Memories, reader: GraphReader, space: str) -> None:
        self._memories = memories
        self._reader = reader
        self._space = space

    def hits(self, query: str) -> list[Hit]:
        """The entities that hold the query, in the order they were made; else those that answer it, best
        first."""
        nodes, places = self._reader.containing(query)
        if nodes:
            return [Hit(node=node, places=frozenset(places.get(node.id, ()))) for node in nodes]
        return self._answering(query) if _WORDS.search(query) else []

    def _answering(self, query: str) -> list[Hit]:
        found: dict[str, set[str]] = {name: set() for name in self._named(query)}
        search = self._memories.search(
            self._space,
            query[:MAX_QUERY],
            Filter(kinds=(OBSERVATION,)),
            limit=FOUND,
            max_tokens=1_000_000,
            wait_s=0,
        )
        for result in search.results:
            found.setdefault(result.memory.entity, set()).add(result.memory.text)
        nodes = {node.name: node for node in self._reader.nodes(names=list(found))}
        return [
            Hit(node=nodes[name], texts=frozenset(texts)) for name, texts in found.items() if name in nodes
        ]

    def _named(self, query: str) -> list[str]:
        """The entities whose whole name stands in the query, the longest first."""
        spaced = _spaced(query)
        named = [name for name in self._reader.names() if _spaced(name) in spaced and _spaced(name).strip()]
        return sorted(named, key=lambda name: -len(name))


def _spaced(text: str) -> str:
    """The words of a text in lower case, with a blank before and after each."""
    return f" {' '.join(_WORDS.findall(text.lower()))} "
