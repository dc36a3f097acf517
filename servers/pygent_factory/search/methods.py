"""The ways to search.

`beam` and `depth_first` are algorithms 1 and 2 of "Tree of Thoughts" (Yao et al., NeurIPS 2023,
arXiv:2305.10601); `tree_search` is UCT (Kocsis and Szepesvári, ECML 2006) as LATS (Zhou et al., ICML 2024,
arXiv:2310.04406) uses it, with the evaluator's judgement in the place of a rollout.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias

from pygent_factory.search.questions import Expand, Goal, Judge, Of, Question, Steps
from pygent_factory.search.tree import Node, S, Tree

DEPTH = 10

_Asking: TypeAlias = "Generator[Question[Of], Sequence[Any], bool]"
"""Steps that end with whether a solution was found."""


def beam(
    tree: Tree[S], goal: Goal[S], *, width: int = 5, depth: int = DEPTH, distinct: bool = True
) -> Steps[S]:
    """Think all of a level further, and keep the best of what comes of it.

    It ends with the first level that holds a solution.

    Args:
        width: how many are kept of a level; among equals those that came first.
        distinct: take a state that comes twice in a level once.
    """
    kept = [tree.root]
    for _ in range(depth):
        level: list[Node[S]] = []
        for node in kept:
            level += yield from _expand(tree, node)
        level = _once(level) if distinct else level
        yield from _judge(level)
        kept = sorted(level, key=_worth, reverse=True)[:width]
        for node in _without(level, kept):
            node.fate = "pruned"
        if _found(kept, goal) or not kept:
            return


def depth_first(
    tree: Tree[S],
    goal: Goal[S],
    *,
    threshold: float,
    branches: int | None = None,
    depth: int = DEPTH,
) -> Steps[S]:
    """Follow one thought to its end, then go back to the last one that still has something to try.

    It ends with the first solution. Children are judged one by one, as they are tried.

    Args:
        threshold: what is worth no more is not thought further.
        branches: how many of a state's children are tried at most.
    """

    def solved(node: Node[S]) -> _Asking[S]:
        for child in (yield from _expand(tree, node))[:branches]:
            yield from _judge([child])
            if _found([child], goal):
                return True
            if _worth(child) <= threshold:
                child.fate = "pruned"
            elif child.depth < depth and (yield from solved(child)):
                return True
        return False

    yield from solved(tree.root)


def best_first(tree: Tree[S], goal: Goal[S], *, depth: int = DEPTH) -> Steps[S]:
    """Think further whatever is worth most of all that was not thought further yet. Ends as `beam` does."""
    waiting: list[tuple[float, int]] = [(0.0, tree.root.id)]
    while waiting:
        _, id = heapq.heappop(waiting)
        children = yield from _expand(tree, tree.nodes[id])
        yield from _judge(children)
        if _found(children, goal):
            return
        for child in children:
            if child.depth < depth:
                heapq.heappush(waiting, (-_worth(child), child.id))


def tree_search(tree: Tree[S], goal: Goal[S], *, exploration: float = 1.0, depth: int = DEPTH) -> Steps[S]:
    """Monte Carlo tree search: walk down by the upper confidence bound, think the leaf further, and let all
    above it know what its best child is worth. Ends as `beam` does.

    Args:
        exploration: how much what was seldom tried is preferred, against values scaled to 0..1.
    """
    trials = _Trials(tree, exploration)
    while (leaf := trials.leaf()) is not None:
        children = yield from _expand(tree, leaf)
        yield from _judge(children)
        if _found(children, goal):
            return
        trials.learn(leaf, children, depth)


@dataclass
class _Trials(Generic[S]):
    """What UCT knows of each thought: how often it was tried, and the sum of what came of it."""

    tree: Tree[S]
    exploration: float
    visits: dict[int, int] = field(default_factory=dict)
    sums: dict[int, float] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    """Thoughts below which there is nothing left to try."""
    low: float = math.inf
    high: float = -math.inf

    def leaf(self) -> Node[S] | None:
        """Where to think further; None when all was tried."""
        node = self.tree.root
        while node.id not in self.closed:
            if node.fate != "expanded":
                return node
            open = [child for child in self.tree.children(node) if child.id not in self.closed]
            node = max(open, key=lambda child: self._bound(child, node))
        return None

    def learn(self, leaf: Node[S], children: Sequence[Node[S]], depth: int) -> None:
        """Take in what thinking a leaf further brought."""
        values = [_worth(child) for child in children]
        self.low, self.high = min([self.low, *values]), max([self.high, *values])
        for child, value in zip(children, values, strict=True):
            self.visits[child.id], self.sums[child.id] = 1, value
            if child.depth >= depth:
                self.closed.add(child.id)
        for node in reversed(self.tree.path(leaf)):
            if values:
                self.visits[node.id] = self.visits.get(node.id, 0) + 1
                self.sums[node.id] = self.sums.get(node.id, 0.0) + max(values)
            if all(child in self.closed for child in node.children):
                self.closed.add(node.id)

    def _bound(self, child: Node[S], parent: Node[S]) -> float:
        visits = self.visits[child.id]
        mean = self.sums[child.id] / visits
        scaled = (mean - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return scaled + self.exploration * math.sqrt(math.log(self.visits[parent.id]) / visits)


def _expand(tree: Tree[S], node: Node[S]) -> Generator[Question[S], Sequence[Any], list[Node[S]]]:
    """Ask what follows from a thought; the new ones."""
    states = yield Expand(node=node)
    node.fate = "expanded" if states else "dead"
    return [tree.add(node, state) for state in states]


def _judge(nodes: Sequence[Node[S]]) -> Steps[S]:
    """Ask what these are worth."""
    if not nodes:
        return
    values = yield Judge(nodes=tuple(nodes))
    for node, value in zip(nodes, values, strict=True):
        node.value = float(value)


def _found(nodes: Sequence[Node[S]], goal: Goal[S]) -> bool:
    """Mark the solutions among these; whether there are any."""
    found = [node for node in nodes if goal(node.state)]
    for node in found:
        node.fate = "goal"
    return bool(found)


def _once(nodes: Sequence[Node[S]]) -> list[Node[S]]:
    """Each state's first node; the others go no further."""
    first: dict[S, Node[S]] = {}
    for node in nodes:
        if first.setdefault(node.state, node) is not node:
            node.fate = "pruned"
    return list(first.values())


def _without(nodes: Sequence[Node[S]], kept: Sequence[Node[S]]) -> list[Node[S]]:
    ids = {node.id for node in kept}
    return [node for node in nodes if node.id not in ids]


def _worth(node: Node[S]) -> float:
    assert node.value is not None
    return node.value
