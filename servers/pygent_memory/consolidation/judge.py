"""The seam: a page of what is to be judged, the answers to it, and whoever gives them.

The calling agent is one such judge (the tool `memory_worklist` is this protocol over MCP), a language model
of ours another, a script in a test a third. None writes: what an answer may do, `runs` alone knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pygent_memory.memory import Draft, Memory

Verdict = Literal["same", "update", "contradiction", "unrelated", "done", "keep"]
"""Of a pair of memories: they say the same · the first is newer and ends the second · both cannot be true,
and which one is remains open · each stands by itself. Of a stretch of a conversation: `done`, nothing more to
take from it. Of a working memory: `keep`. Of two names: `same` or `unrelated`."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two memories that hold and are alike: by their vectors (cosine), or by their words (Jaccard)."""

    newer: Memory
    older: Memory
    likeness: float


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Turns of a conversation, in order, of which nothing was derived yet."""

    conversation: str
    turns: tuple[Memory, ...]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some of what is to be judged. `waiting` counts the memories that were not compared with others yet."""

    pairs: tuple[Pair, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    stale: tuple[Memory, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    waiting: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.pairs or self.stretches or self.stale or self.names)

    def says_as_much_as(self, other: Page) -> bool:
        """Whether both hold the same items, and as many memories still wait."""
        return self.waiting == other.waiting and self._items() == other._items()

    def _items(self) -> set[tuple[str, ...]]:
        return {
            *((pair.newer.id, pair.older.id) for pair in self.pairs),
            *((turn.id,) for stretch in self.stretches for turn in stretch.turns),
            *((memory.id,) for memory in self.stale),
            *self.names,
        }


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A verdict on one item: `about` holds the ids of a pair (first the one that holds), the first and last
    turn's of a stretch, a working memory's, or two names."""

    about: tuple[str, ...]
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a judge made of a page. The facts (and summaries, rules) name what they were derived from."""

    judged: Sequence[Judged] = ()
    facts: Sequence[Draft] = ()


class Judge(Protocol):
    """Whoever reads pages."""

    @property
    def name(self) -> str:
        """Who, for the record, such as a model's name."""

    def answer(self, page: Page) -> Answers:
        """The answers to a page; what is left out is handed out again.

        Raises:
            PygentError: the judge cannot answer. Nothing of the page is taken then.
        """
