"""The tree that a search grows: every thought there was, what it was worth, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Literal, TypeVar

S = TypeVar("S")
"""A state: all that was thought up to a point. It is never changed."""

Fate = Literal["open", "expanded", "pruned", "dead", "goal"]
"""`open`: it was not thought further (yet). `pruned`: it was judged not to be worth it. `dead`: nothing
follows from it. `goal`: it is a solution."""


@dataclass(kw_only=True)
class Node(Generic[S]):
    """A thought. `value` is what it was judged to be worth, higher is better; None before that."""

    id: int
    parent: int | None
    depth: int
    state: S
    value: float | None = None
    fate: Fate = "open"
    children: list[int] = field(default_factory=list)


class Tree(Generic[S]):
    """Thoughts by number, in the order in which they came; the first is where the search begins."""

    def __init__(self, root: S) -> None:
        self.nodes: list[Node[S]] = [Node(id=0, parent=None, depth=0, state=root)]

    @property
    def root(self) -> Node[S]:
        """Where the search began."""
        return self.nodes[0]

    def add(self, parent: Node[S], state: S) -> Node[S]:
        """A new thought that follows from another."""
        node = Node(id=len(self.nodes), parent=parent.id, depth=parent.depth + 1, state=state)
        self.nodes.append(node)
        parent.children.append(node.id)
        return node

    def children(self, node: Node[S]) -> list[Node[S]]:
        """What follows from a thought, in the order in which it came."""
        return [self.nodes[id] for id in node.children]

    def path(self, node: Node[S]) -> list[Node[S]]:
        """The thoughts from the first to this one."""
        way = [node]
        while (parent := way[-1].parent) is not None:
            way.append(self.nodes[parent])
        return way[::-1]

    def goals(self) -> Iterator[Node[S]]:
        """The solutions, in the order in which they were found."""
        return (node for node in self.nodes if node.fate == "goal")

    def best(self) -> Node[S]:
        """The solution worth most; without one the thought worth most, and of equals the deeper."""
        goals = list(self.goals())
        return max(goals or self.nodes, key=lambda node: (_worth(node), 0 if goals else node.depth))

    def as_data(self) -> list[dict[str, Any]]:
        """The whole tree, for JSON; states must be fit for that."""
        return [asdict(node) for node in self.nodes]


def _worth(node: Node[S]) -> float:
    return float("-inf") if node.value is None else node.value
