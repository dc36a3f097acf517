"""Putting the rankings of several search legs together, by their scores.

A leg is a mapping from item to score, higher is better; an item a leg did not return counts as that leg's
lowest. Reciprocal rank fusion (Cormack et al., SIGIR 2009) is not here on purpose: it throws the margins
away and was measured worse than score fusion on every set we tried.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from statistics import pstdev
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)


def min_max_sum(legs: Sequence[Mapping[Item, float]], weights: Sequence[float]) -> dict[Item, float]:
    """Each leg scaled to 0..1, then added by weight; best first.

    A leg whose scores are all equal gives each of its items 1: it found them, and cannot say more.
    """
    return _ranked([_min_max(leg) for leg in legs], weights)


def sigma_sum(
    legs: Sequence[Mapping[Item, float]], weights: Sequence[float], deviations: Sequence[float] = ()
) -> dict[Item, float]:
    """Each leg divided by its standard deviation, then added by weight; best first.

    The mean of a leg does not change a ranking, so it is not taken off; an item missing from a leg gets that
    leg's lowest score.

    Args:
        deviations: those of the scores of everything searched, where they are known. The best matches alone
            lie closer together, each leg's in its own way: their deviation was measured a far worse unit.
            0 stands for unknown.
    """
    known = deviations or [0.0] * len(legs)
    return _ranked([_sigma(leg, deviation) for leg, deviation in zip(legs, known, strict=True)], weights)


def _min_max(leg: Mapping[Item, float]) -> dict[Item, float]:
    if not leg:
        return {}
    low, high = min(leg.values()), max(leg.values())
    if high == low:
        return dict.fromkeys(leg, 1.0)
    return {item: (score - low) / (high - low) for item, score in leg.items()}


def _sigma(leg: Mapping[Item, float], deviation: float) -> dict[Item, float]:
    if not leg:
        return {}
    low, deviation = min(leg.values()), deviation or pstdev(leg.values())
    return {item: (score - low) / deviation if deviation else 1.0 for item, score in leg.items()}


def _ranked(legs: Sequence[Mapping[Item, float]], weights: Sequence[float]) -> dict[Item, float]:
    total: dict[Item, float] = {}
    for leg, weight in zip(legs, weights, strict=True):
        for item, score in leg.items():
            total[item] = total.get(item, 0.0) + weight * score
    # Ties keep the order of the legs, so a ranking never depends on hashing.
    return dict(sorted(total.items(), key=lambda entry: -entry[1]))
