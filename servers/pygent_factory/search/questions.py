"""What a search asks while it goes on, and who answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from pygent_factory.search.tree import Node, S

Of = TypeVar("Of")
Asked = TypeVar("Asked", contravariant=True)


@dataclass(frozen=True, kw_only=True)
class Expand(Generic[S]):
    """Which states follow from this one? Answered by a sequence of states, the most promising first."""

    node: Node[S]


@dataclass(frozen=True, kw_only=True)
class Judge(Generic[S]):
    """What are these worth? Answered by one number for each, higher is better."""

    nodes: tuple[Node[S], ...]


Question: TypeAlias = Expand[Of] | Judge[Of]

Steps: TypeAlias = Generator[Question[Of], Sequence[Any], None]
"""A search method at work."""

Goal: TypeAlias = Callable[[Of], bool]
"""Whether a state is a solution."""


class Proposer(Protocol[S]):
    """Thinks further."""

    async def propose(self, state: S) -> Sequence[S]:
        """The states that may follow; none where nothing does."""


class Evaluator(Protocol[Asked]):
    """Judges: each state by itself ("value"), or all against each other ("vote", by its share of them)."""

    async def judge(self, states: Sequence[Asked]) -> Sequence[float]:
        """What each is worth, in the order given; higher is better."""
