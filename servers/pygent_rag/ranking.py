"""Putting the lexical and the semantic search together into one ranking.

Each leg counts in units of its standard deviation over all that was searched: so fused, the ranking was
never below the better of its legs on the sets tried, which by the deviation of the best hundred it was.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pygent_shared.fusion import sigma_sum

Leg = Literal["semantic", "lexical"]

SEMANTIC = 0.7
"""Weight of meaning, where words have the rest: of 0.6 to 0.75 all are as good on SciFact's 809 training
questions, and on the sets held out."""

AROUND = 0.5
"""Of both, the share of what is around a chunk: its document's words, and the meaning of its neighbours. A
chunk says little of what it is about. On the same questions nDCG@10 is 0.754 with it, 0.753 without the
neighbours, and 0.744 without the parts of names either; of seven sets held out six gain by the two, and one
(CISI) loses 0.003."""

DEPTH = 1000
"""How many of its best each leg brings."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A chunk's place in a ranking; `score` compares within one ranking only."""

    id: int
    score: float
    found_by: tuple[Leg, ...]


def fuse(
    semantic: Mapping[int, float],
    lexical: Mapping[int, float],
    around: Mapping[int, float] | None = None,
    cosines: Mapping[int, float] | None = None,
    *,
    spread: float = 0.0,
    searched: int = 0,
    around_spread: float = 0.0,
) -> list[Ranked]:
    """What either leg found, best first.

    Args:
        semantic: cosines.
        lexical: BM25 scores; what is not in it has 0.
        around: BM25 scores of the documents of these chunks; what is not in it has 0.
        cosines: those of what only words found, too.
        spread: the standard deviation of the cosines of all that was searched.
        searched: how many chunks that were.
        around_spread: the standard deviation of `around` over all documents.
    """
    found = {"semantic": semantic, "lexical": lexical}
    none = dict.fromkeys([*semantic, *lexical], 0.0)
    words = [{**none, **lexical}, {id: (around or {}).get(id, 0.0) for id in none}]
    deviations = [deviation(lexical.values(), searched), around_spread]
    shares = [1 - AROUND, AROUND]
    if semantic:
        meant = {**semantic, **(cosines or {})}
        weights = [SEMANTIC, *((1 - SEMANTIC) * share for share in shares)]
        total = sigma_sum([meant, *words], weights, [spread, *deviations])
    else:
        total = sigma_sum(words, shares, deviations)
    legs: Sequence[Leg] = ("semantic", "lexical")
    return [
        Ranked(id=id, score=score, found_by=tuple(leg for leg in legs if id in found[leg]))
        for id, score in total.items()
    ]


def surrounded(
    ranked: Sequence[Ranked], cosines: Mapping[int, float], nearby: Mapping[int, float], spread: float
) -> list[Ranked]:
    """A ranking anew, the meaning of what is around each chunk counted with its own.

    Args:
        ranked: as `fuse` ranked them.
        cosines: their own.
        nearby: the mean cosines of them and of those around them.
        spread: as for `fuse`; without one there is nothing to measure by.
    """
    if not spread:
        return list(ranked)
    weight = SEMANTIC * AROUND / spread
    scores = {
        entry.id: entry.score + weight * (nearby[entry.id] - cosines[entry.id])
        if entry.id in cosines and entry.id in nearby
        else entry.score
        for entry in ranked
    }
    return sorted((replace(one, score=scores[one.id]) for one in ranked), key=lambda one: -one.score)


def deviation(scores: Collection[float], population: int) -> float:
    """The standard deviation of a population in which all but these scores are 0."""
    population = max(population, len(scores), 1)
    mean = sum(scores) / population
    return math.sqrt(max(0.0, sum(score * score for score in scores) / population - mean * mean))


def joined(parts: Sequence[Ranked]) -> Ranked:
    """The place of chunks that are handed out together: that of the best, found by what found any."""
    best = max(parts, key=lambda part: part.score)
    legs: Sequence[Leg] = ("semantic", "lexical")
    return replace(best, found_by=tuple(leg for leg in legs if any(leg in part.found_by for part in parts)))
