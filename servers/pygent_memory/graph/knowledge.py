"""The knowledge graph of a process: what the graph's tools do, without MCP.

Observations are memories: they are ranked, kept, forgotten and restored with all others. The one rule: a call
is one transaction; it is done wholly or not at all, and an answer means that it is on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import dropwhile, islice
from types import MappingProxyType

from pygent_memory.graph import paths
from pygent_memory.graph.entity import Edge, Entity, Node, Observed, Relation, UnknownEntity
from pygent_memory.graph.pages import BUDGET, FIELDS, Cursor, Field, Known, Page, paged
from pygent_memory.graph.reading import GraphReader
from pygent_memory.graph.searching import MUCH, Hit, Searcher
from pygent_memory.graph.writing import GraphWriter
from pygent_memory.memories import Memories
from pygent_memory.memory import Trust, utc
from pygent_memory.writing import Writer

FEW = 5
"""So many things known about a neighbour are shown."""

Changed = Callable[[str], None]
"""Told the name of a space whose graph changed."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What of an answer somebody wants: from where on, how much, which fields, and from when on it is new."""

    start: Cursor = Cursor()
    limit: int = 0
    offset: int = 0
    fields: tuple[Field, ...] = FIELDS
    since: str = ""


ALL = Wanted()


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """An entity in a drawing, with some of the `count` things known about it; `distance` is the number of
    relations from where the walk began."""

    entity: Entity
    count: int
    distance: int


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Some entities, those that exist, nearest first, and the relations among their names. `left_out` counts
    the names that were met and not taken."""

    entities: Sequence[Drawn]
    relations: Sequence[Relation]
    left_out: int = 0


class KnowledgeGraph:
    """The graphs in the memories' database, one a space.

    Args:
        memories: what the observations are kept, found and embedded by.
        whole: give whole graphs and whole entities, however large, as the reference server does.
        changed: is told of every change.
        clock: the time.

    Raises (every method): DatabaseUnusable.
    """

    def __init__(
        self,
        memories: Memories,
        *,
        whole: bool = False,
        changed: Changed = lambda space: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._memories = memories
        self._whole = whole
        self._changed = changed
        self._clock = clock

    def create_entities(self, space: str, entities: Sequence[Entity]) -> list[Entity]:
        """Make those whose names are new, and return them as they were made."""
        with self.writing(space) as writer:
            return writer.create(entities)

    def create_relations(self, space: str, relations: Sequence[Relation]) -> list[Relation]:
        """Make those that are new, and return them."""
        with self.writing(space) as writer:
            return writer.relate(relations)

    def add_observations(self, space: str, told: Sequence[Observed]) -> list[Observed]:
        """Add observations to entities; returns for each what was new.

        Raises:
            UnknownEntity: a name that no entity has; then nothing was added.
        """
        with self.writing(space) as writer:
            return writer.observe(told)

    def delete_entities(self, space: str, names: Collection[str]) -> None:
        """Forget entities, their observations and their relations. `restore` brings them back."""
        with self.writing(space) as writer:
            writer.delete_entities(names)

    def delete_observations(self, space: str, told: Sequence[Observed]) -> None:
        """Forget observations."""
        with self.writing(space) as writer:
            writer.delete_observations(told)

    def delete_relations(self, space: str, relations: Sequence[Relation]) -> None:
        """Forget relations."""
        with self.writing(space) as writer:
            writer.delete_relations(relations)

    def restore(self, space: str, names: Sequence[str]) -> list[str]:
        """Bring deleted entities back, with what went with them; returns which ones came."""
        with self.writing(space) as writer:
            return [name for name in dict.fromkeys(names) if writer.restore(name)]

    @contextmanager
    def writing(self, space: str, *, trust: Trust = "agent", source: str = "") -> Iterator[GraphWriter]:
        """The writes on one graph, all of them or, if anything fails, none."""
        now = self._now()
        with self._memories.database.write() as connection:
            yield GraphWriter(connection, Writer(connection, space, now), now, trust=trust, source=source)
        self._memories.notify()
        self._changed(space)

    def read(self, space: str, wanted: Wanted = ALL) -> Page:
        """The graph, or a page of it."""
        reader = self.reader(space, wanted.since)
        nodes = reader.nodes(wanted.start.nodes_after)
        return self._page(_skipped(nodes, wanted), reader, reader.edges, wanted)

    def open(self, space: str, names: Collection[str], wanted: Wanted = ALL) -> Page:
        """The entities of these names, and the relations from or to them."""
        reader = self.reader(space, wanted.since)
        nodes = reader.nodes(wanted.start.nodes_after, names)
        there = [node.name for node in reader.nodes(names=names)]
        return self._page(
            _skipped(nodes, wanted), reader, lambda after: reader.touching(there, after), wanted
        )

    def search(self, space: str, query: str, wanted: Wanted = ALL) -> Page:
        """The entities that hold the query word for word, in the order they were made; where none does, those
        that answer it best, best first. And the relations from or to them.

        Of an entity about which much is known, only what the query found is shown, or else the newest.
        """
        reader = self.reader(space, wanted.since)
        hits = self._searcher(space, reader).hits(query)
        among = {hit.node.id: hit for hit in hits}
        names = [hit.node.name for hit in hits]
        return self._page(
            _skipped(_from(wanted.start, [hit.node for hit in hits]), wanted),
            reader,
            lambda after: reader.touching(names, after),
            wanted,
            known=lambda node: self._relevant(reader, among[node.id]),
        )

    def neighbourhood(self, space: str, name: str, *, depth: int, limit: int) -> Drawing:
        """What lies around an entity, or around a name that only relations have.

        Raises:
            UnknownEntity: nothing has that name.
        """
        reader = self.reader(space)
        self._must_exist(reader, name)
        found = paths.around([name], depth, limit, reader.touching)
        return _drawing(reader, found)

    def path(self, space: str, source: str, target: str, *, most: int, directed: bool) -> list[Edge] | None:
        """The relations of a shortest way from one entity to another; None where there is none.

        Raises:
            UnknownEntity: nothing has one of the names.
        """
        reader = self.reader(space)
        for name in (source, target):
            self._must_exist(reader, name)
        return paths.shortest(source, target, most, reader.touching, directed=directed)

    def subgraph(self, space: str, topic: str, *, limit: int) -> Drawing:
        """The entities that answer a topic best, then those related to them, `limit` at most. Of an entity
        about which much is known, only what the topic found is there."""
        reader = self.reader(space)
        hits = self._searcher(space, reader).hits(topic)
        shown = {hit.node.name: self._relevant(reader, hit) for hit in hits[:limit]}
        found = paths.around(list(shown), 1, limit, reader.touching)
        return _drawing(reader, found, shown, left_out=len(hits) - len(shown))

    def reader(self, space: str, since: str = "") -> GraphReader:
        """The graph of a space as it is now."""
        return GraphReader(self._memories.database, space, self._now(), since)

    def _page(
        self,
        nodes: Iterator[Node],
        reader: GraphReader,
        edges: Callable[[int], Iterable[Edge]],
        wanted: Wanted,
        known: Callable[[Node], Known] | None = None,
    ) -> Page:
        budget = float("inf") if self._whole else BUDGET
        known = known or (lambda node: _all(reader, node))
        return paged(
            nodes, known, edges, wanted.start, budget=budget, limit=wanted.limit, fields=wanted.fields
        )

    def _relevant(self, reader: GraphReader, hit: Hit) -> Known:
        about = _all(reader, hit.node)
        return about if self._whole else hit.relevant(about)

    def _searcher(self, space: str, reader: GraphReader) -> Searcher:
        return Searcher(self._memories, reader, space)

    def _must_exist(self, reader: GraphReader, name: str) -> None:
        if not list(reader.nodes(names=[name])) and not reader.touching([name]):
            raise UnknownEntity(name, reader.names())

    def _now(self) -> str:
        return utc(self._clock())


def _all(reader: GraphReader, node: Node) -> Known:
    told = reader.observations(node)
    return Known(told=told, count=len(told))


def _drawing(
    reader: GraphReader,
    found: paths.Surroundings,
    shown: Mapping[str, Known] = MappingProxyType({}),
    *,
    left_out: int = 0,
) -> Drawing:
    """Of what is known about a neighbour the newest; of a beginning what is `shown`, or more of them."""
    nodes = {node.name: node for node in reader.nodes(names=list(found.distances))}
    drawn = []
    for name, distance in found.distances.items():
        if node := nodes.get(name):
            if not (about := shown.get(name)):
                about = _all(reader, node)
                about = Known(told=about.told[-(FEW if distance else MUCH) :], count=about.count)
            entity = Entity(name=name, type=node.type, observations=tuple(text for _, text in about.told))
            drawn.append(Drawn(entity=entity, count=about.count, distance=distance))
    return Drawing(entities=drawn, relations=found.edges, left_out=found.left_out + left_out)


def _from(start: Cursor, nodes: Sequence[Node]) -> Iterator[Node]:
    """The nodes from where a page begins, in whatever order they stand."""
    if not start.entity:
        return iter(nodes)
    rest = dropwhile(lambda node: node.id != start.entity, nodes)
    return rest if start.observation else islice(rest, 1, None)


def _skipped(nodes: Iterator[Node], wanted: Wanted) -> Iterator[Node]:
    return islice(nodes, wanted.offset, None) if wanted.offset and wanted.start == Cursor() else nodes
