"""Putting the lexical and the semantic search together into one ranking, and fitting it to a budget.

Each leg counts in units of its standard deviation over all that was searched: so fused, the ranking was
never below the better of its legs on the sets tried, which by the deviation of the best hundred it was.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from pygent_rag.passage import Passage
from pygent_rag.sentences import tokens
from pygent_shared.fusion import sigma_sum

Leg = Literal["semantic", "lexical"]

SEMANTIC, LEXICAL = 0.7, 0.3
"""Weights of the legs: the best of those tried on three development sets, and a plateau on seven sets."""

DEPTH = 1000
"""How many of its best each leg brings."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A chunk's place in a ranking; `score` compares within one ranking only."""

    id: int
    score: float
    found_by: tuple[Leg, ...]


def fuse(
    semantic: Mapping[int, float], lexical: Mapping[int, float], *, spread: float = 0.0, searched: int = 0
) -> list[Ranked]:
    """What either leg found, best first.

    Args:
        semantic: cosines.
        lexical: BM25 scores; what is not in it has 0.
        spread: the standard deviation of the cosines of all that was searched.
        searched: how many chunks that were.
    """
    legs: dict[Leg, Mapping[int, float]] = {"semantic": semantic, "lexical": lexical}
    if semantic:
        scores = [semantic, {**dict.fromkeys(semantic, 0.0), **lexical}]
        total = sigma_sum(scores, [SEMANTIC, LEXICAL], [spread, deviation(lexical.values(), searched)])
    else:
        total = sigma_sum([lexical], [LEXICAL])
    return [
        Ranked(id=id, score=score, found_by=tuple(leg for leg, found in legs.items() if id in found))
        for id, score in total.items()
    ]


def deviation(scores: Collection[float], population: int) -> float:
    """The standard deviation of a population in which all but these scores are 0."""
    population = max(population, len(scores), 1)
    mean = sum(scores) / population
    return math.sqrt(max(0.0, sum(score * score for score in scores) / population - mean * mean))


def fitting(passages: Sequence[Passage], max_tokens: int) -> int:
    """How many of the first passages have together at most `max_tokens`; always one, so that there is an
    answer."""
    totals = list(accumulate(tokens(passage.text) for passage in passages))
    return max(sum(total <= max_tokens for total in totals), min(1, len(totals)))
