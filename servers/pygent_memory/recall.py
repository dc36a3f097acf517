"""From what the search legs found to what is shown: fuse, fold, fill.

Passages are found; memories are shown. The two legs' scores are scaled and added half and half, which was
measured best on LoCoMo (plain reciprocal rank fusion was worse than full-text search alone).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pygent_memory.memory import Memory
from pygent_shared.fusion import min_max_sum

LEG = 200
"""How many passages each leg brings."""

LEAST_COSINE = 0.15
"""Below this a passage is only the nearest of what is there, not near. On LoCoMo nothing found is lost by it,
not even at 0.25."""

IMPORTANCE = 0.1
"""How far importance may move a score; unmeasured, hence small."""

HEADER_TOKENS = 25
"""What the line above a result costs a reader, besides its tags and speaker."""

Leg = Literal["lexical", "semantic"]

_LOWEST: dict[Leg, float] = {"lexical": 0.0, "semantic": LEAST_COSINE}
_ABSENT = -1  # stands for the passages a leg did not bring


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a passage stands: in which memory, and where in its text."""

    memory: str
    start: int
    stop: int
    importance: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """A memory that was found: its score (0 to 1), by which legs, and its best passage."""

    memory: str
    score: float
    by: tuple[Leg, ...]
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class Recalled:
    """A memory as it is shown: `text` is all of it when `whole`, else its best passage."""

    memory: Memory
    text: str
    whole: bool
    score: float
    by: tuple[Leg, ...]


def near(leg: Mapping[int, float]) -> dict[int, float]:
    """The passages of the semantic leg that are near enough to mean anything."""
    return {passage: cosine for passage, cosine in leg.items() if cosine >= LEAST_COSINE}


def fuse(legs: Mapping[Leg, Mapping[int, float]]) -> dict[int, float]:
    """One score from 0 to 1 a passage, best first; the legs that took part weigh the same.

    A leg that brought fewer than it may has seen all there is: its scale then begins below its last passage,
    which was found after all.
    """
    scales = [leg if len(leg) >= LEG else {**leg, _ABSENT: _LOWEST[name]} for name, leg in legs.items()]
    fused = min_max_sum(scales, [1 / len(legs)] * len(legs))
    fused.pop(_ABSENT, None)
    return fused


def fold(legs: Mapping[Leg, Mapping[int, float]], places: Mapping[int, Place]) -> list[Found]:
    """The memories the passages belong to, best first; a memory is as good as its best passage.

    Passages without a place (forgotten in the meantime) are left out.
    """
    fused = {passage: score for passage, score in fuse(legs).items() if passage in places}
    best: dict[str, int] = {}
    by: dict[str, set[Leg]] = {}
    for passage in fused:
        memory = places[passage].memory
        best.setdefault(memory, passage)
        by.setdefault(memory, set()).update(leg for leg, found in legs.items() if passage in found)
    ranked = [
        Found(
            memory=memory,
            score=_with_importance(fused[passage], places[passage].importance),
            by=tuple(leg for leg in legs if leg in by[memory]),
            start=places[passage].start,
            stop=places[passage].stop,
        )
        for memory, passage in best.items()
    ]
    return sorted(ranked, key=lambda found: -found.score)


def fill(found: Sequence[tuple[Found, Memory]], max_tokens: int) -> list[Recalled]:
    """As many as fit into `max_tokens`, best first; one that does not fit makes room for smaller ones.

    The best is always there, cut if it must be.
    """
    shown: list[Recalled] = []
    left = max_tokens
    for item, memory in found:
        text, whole = excerpt(memory.text, item.start, item.stop)
        cost = header_tokens(memory) + tokens(text)
        if cost > left and not shown:
            text, whole = _cut(text, max(left - header_tokens(memory), 1)), False
        elif cost > left:
            continue
        shown.append(Recalled(memory=memory, text=text, whole=whole, score=item.score, by=item.by))
        left -= cost
    return shown


def excerpt(text: str, start: int, stop: int) -> tuple[str, bool]:
    """The part `[start, stop)` with marks where something was left out, and whether nothing was."""
    before, after = bool(text[:start].strip()), bool(text[stop:].strip())
    if not before and not after:
        return text.strip(), True
    return f"{'… ' if before else ''}{text[start:stop]}{' …' if after else ''}", False


def tokens(text: str) -> int:
    """About how many tokens a language model reads in a text: a quarter of its UTF-8 bytes, rounded up."""
    return -(-len(text.encode()) // 4)


def header_tokens(memory: Memory) -> int:
    """About how many tokens the line above a result takes."""
    return HEADER_TOKENS + tokens(memory.speaker) + sum(tokens(tag) + 1 for tag in memory.tags)


def _with_importance(score: float, importance: float) -> float:
    return score * (1 + IMPORTANCE * importance) / (1 + IMPORTANCE)


def _cut(text: str, limit: int) -> str:
    return text.encode()[: limit * 4].decode(errors="ignore").rstrip() + " …"
