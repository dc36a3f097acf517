"""Ways through a graph: what lies around an entity, and the shortest way between two.

Breadth first (Moore 1959), a whole ring of neighbours a step; what was met is not met again, so cycles end.
The one rule: no walk goes further than its bound. Pure: `touching` gives the relations from or to names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pygent_memory.graph.entity import Edge

MOST_MET = 20_000
"""So many names the search of a path meets before it gives up."""

Touching = Callable[[Collection[str]], Sequence[Edge]]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The names around some others, each with its distance, nearest first; and the relations among them.
    `left_out` counts the names that were met and not taken."""

    distances: Mapping[str, int]
    edges: Sequence[Edge]
    left_out: int


def around(starts: Sequence[str], depth: int, limit: int, touching: Touching) -> Surroundings:
    """The names at most `depth` relations away, whatever their direction, `limit` at most in all; those that
    more relations lead to first among those equally far."""
    distances = dict.fromkeys(starts[:limit], 0)
    met: dict[int, Edge] = {}
    ring, left_out = list(distances), 0
    for distance in range(1, depth + 1):
        edges = touching(ring)
        met.update((edge.id, edge) for edge in edges)
        new = _by_links(edges, distances)
        ring = new[: limit - len(distances)]
        left_out += len(new) - len(ring)
        distances.update(dict.fromkeys(ring, distance))
        if not ring:
            break
    else:
        met.update((edge.id, edge) for edge in touching(ring))
    among = [met[id] for id in sorted(met) if {met[id].source, met[id].target} <= distances.keys()]
    return Surroundings(distances=distances, edges=among, left_out=left_out)


def shortest(
    start: str, goal: str, most: int, touching: Touching, *, directed: bool = False
) -> list[Edge] | None:
    """The relations of a shortest way, in order; None where there is none of at most `most` relations.

    Args:
        directed: walk relations only from their source to their target.
    """
    if start == goal:
        return []
    came: dict[str, tuple[str, Edge] | None] = {start: None}
    ring = [start]
    for _ in range(most):
        here, reached = set(ring), list[str]()
        for edge in touching(ring):
            for one, other in _ways(edge, directed):
                if one in here and other not in came:
                    came[other] = (one, edge)
                    reached.append(other)
        if goal in came:
            return _walked(goal, came)
        if not reached or len(came) > MOST_MET:
            return None
        ring = reached
    return None


def _by_links(edges: Iterable[Edge], known: Collection[str]) -> list[str]:
    counts: dict[str, int] = {}
    for edge in edges:
        for name in {edge.source: 0, edge.target: 0}:
            if name not in known:
                counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: -counts[name])


def _ways(edge: Edge, directed: bool) -> list[tuple[str, str]]:
    forward = (edge.source, edge.target)
    return [forward] if directed else [forward, (edge.target, edge.source)]


def _walked(goal: str, came: Mapping[str, tuple[str, Edge] | None]) -> list[Edge]:
    way: list[Edge] = []
    while (step := came[goal]) is not None:
        goal, edge = step
        way.append(edge)
    return way[::-1]
