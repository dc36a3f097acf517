"""Putting the lexical and the semantic search together into one ranking, and fitting it to a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from pygent_rag.passage import Passage
from pygent_rag.sentences import tokens
from pygent_shared.fusion import sigma_sum

Leg = Literal["semantic", "lexical"]

SEMANTIC, LEXICAL = 0.7, 0.3
"""Weights of the legs: the best of those tried on three development sets, and a plateau on seven sets."""

DEPTH = 100
"""How many of its best each leg brings."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A chunk's place in a ranking; `score` compares within one ranking only."""

    id: int
    score: float
    found_by: tuple[Leg, ...]


def fuse(semantic: Mapping[int, float], lexical: Mapping[int, float]) -> list[Ranked]:
    """What either leg found, best first."""
    total = sigma_sum([semantic, lexical], [SEMANTIC, LEXICAL])
    legs: Sequence[tuple[Leg, Mapping[int, float]]] = [("semantic", semantic), ("lexical", lexical)]
    return [
        Ranked(id=id, score=score, found_by=tuple(leg for leg, found in legs if id in found))
        for id, score in total.items()
    ]


def fitting(passages: Sequence[Passage], max_tokens: int) -> int:
    """How many of the first passages have together at most `max_tokens`; always one, so that there is an
    answer."""
    totals = list(accumulate(tokens(passage.text) for passage in passages))
    return max(sum(total <= max_tokens for total in totals), min(1, len(totals)))
