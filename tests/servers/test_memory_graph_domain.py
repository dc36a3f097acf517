"""The graph's thinking, without a database: pages and paths."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from hypothesis import given
from hypothesis import strategies as st

from pygent_memory.graph.entity import Edge, Node
from pygent_memory.graph.pages import Cursor, Known, cursor, paged, tokens
from pygent_memory.graph.paths import around, shortest

PAIRS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=25)
TOLD = st.lists(st.lists(st.text("ab\n水", max_size=40), max_size=6), max_size=8)


@given(told=TOLD, pairs=PAIRS, budget=st.integers(1, 200), limit=st.integers(0, 4))
def test_all_pages_together_are_the_whole_graph(
    told: list[list[str]], pairs: list[tuple[int, int]], budget: int, limit: int
) -> None:
    nodes = [Node(id=3 * place + 1, name=f"N{place}", type="t") for place in range(len(told))]
    known = {node.id: list(enumerate(texts, start=1)) for node, texts in zip(nodes, told, strict=True)}
    edges = _edges(pairs)
    found: dict[str, list[str]] = {}
    relations: list[dict[str, str]] = []
    start = Cursor()
    for _ in range(200):
        page = paged(
            [node for node in nodes if node.id > start.nodes_after],
            lambda node: Known(told=known[node.id], count=len(known[node.id])),
            lambda after: [edge for edge in edges if edge.id > after],
            start,
            budget=budget,
            limit=limit,
        )
        assert page.entities or page.relations or page.next is None
        size = sum(map(tokens, [*page.entities, *page.relations]))
        assert size <= budget or len(page.entities) + len(page.relations) == 1
        assert not limit or len(page.entities) + len(page.relations) <= limit
        for item in page.entities:
            found.setdefault(item["name"], []).extend(item["observations"])
        relations += page.relations
        if page.next is None:
            break
        start = cursor(str(page.next))
    assert list(found.items()) == [(node.name, texts) for node, texts in zip(nodes, told, strict=True)]
    assert [(item["from"], item["to"]) for item in relations] == [(e.source, e.target) for e in edges]


@given(pairs=PAIRS, start=st.integers(0, 7), goal=st.integers(0, 7))
def test_a_path_is_as_long_as_its_ends_are_far_apart(
    pairs: list[tuple[int, int]], start: int, goal: int
) -> None:
    edges = _edges(pairs)
    way = shortest(str(start), str(goal), 20, _touching(edges))
    far = around([str(start)], 20, 100, _touching(edges)).distances.get(str(goal))
    assert (None if way is None else len(way)) == far
    place = str(start)
    for edge in way or []:
        assert place in (edge.source, edge.target)
        place = edge.target if place == edge.source else edge.source
    assert way is None or place == str(goal)
    directed = shortest(str(start), str(goal), 20, _touching(edges), directed=True)
    assert directed is None or [str(start), *(edge.target for edge in directed)] == [
        *(edge.source for edge in directed),
        str(goal),
    ]


@given(pairs=PAIRS, depth=st.integers(0, 4), limit=st.integers(1, 8))
def test_what_lies_around_is_bounded_and_has_all_relations_among_it(
    pairs: list[tuple[int, int]], depth: int, limit: int
) -> None:
    edges = _edges(pairs)
    found = around(["0"], depth, limit, _touching(edges))
    assert len(found.distances) <= limit
    assert max(found.distances.values()) <= depth
    assert list(found.distances.values()) == sorted(found.distances.values())
    assert list(found.edges) == [
        edge for edge in edges if {edge.source, edge.target} <= found.distances.keys()
    ]


def test_a_search_for_a_path_gives_up_in_a_graph_without_end() -> None:
    asked = 0

    def tree(names: Collection[str]) -> list[Edge]:
        nonlocal asked
        asked += len(names)
        return list(_children(names))

    assert shortest("", "nowhere", 100, tree) is None
    assert asked < 50_000


def _children(names: Collection[str]) -> Iterator[Edge]:
    for name in names:
        for side in "lr":
            yield Edge(id=hash(name + side), source=name, target=name + side, type="")


def _edges(pairs: list[tuple[int, int]]) -> list[Edge]:
    return [
        Edge(id=place, source=str(one), target=str(other), type="t")
        for place, (one, other) in enumerate(pairs, start=1)
    ]


def _touching(edges: list[Edge]):  # type: ignore[no-untyped-def]
    return lambda names: [edge for edge in edges if edge.source in names or edge.target in names]
