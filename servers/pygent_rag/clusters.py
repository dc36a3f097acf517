"""Groups among vectors: spherical k-means, the number of groups chosen where none is asked for.

Nothing is left to chance: one seed, so that the same vectors give the same groups.

Sources: Dhillon and Modha, "Concept decompositions for large sparse text data using clustering", 2001
(spherical k-means); Arthur and Vassilvitskii, "k-means++", 2007 (the first centres); Sculley, "Web-scale
k-means clustering", 2010 (batches, for many vectors); Hruschka et al., 2004 (the simplified silhouette).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SEED = 0
WHOLE = 20_000
"""Vectors up to which every one is looked at in every round."""
BATCH = 4_096
ROUNDS = 40
SAMPLE = 2_000
"""Vectors on which numbers of groups are compared."""
COUNTS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24)
LEAST = 3
"""Members that a group has on average, at least, where its number is chosen."""
FEWEST = 12
"""Groups a large collection has at least: on texts the silhouette is best at two, which tells nothing."""

Poll = Callable[[], None]
"""Called between rounds; it may raise to end the work."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A group: the rows of its members, the most typical first."""

    members: NDArray[np.int64]


def clusters(vectors: Floats, count: int, poll: Poll) -> list[Cluster]:
    """Groups of vectors of unit length, the largest first.

    Args:
        count: how many there shall be at most; 0 chooses.
    """
    random = np.random.default_rng(SEED)
    count = min(count, len(vectors)) or chosen(_sample(vectors, random), poll, _fewest(len(vectors)))
    centres = _centres(vectors, count, random, poll)
    labels, likeness = _labels(vectors, centres)
    found = []
    for label in range(count):
        members = np.flatnonzero(labels == label)
        if len(members):
            found.append(Cluster(members=members[np.argsort(-likeness[members], kind="stable")]))
    return sorted(found, key=lambda cluster: -len(cluster.members))


def chosen(vectors: Floats, poll: Poll, fewest: int) -> int:
    """The number of groups, of at least `fewest`, whose members are, on average, nearest to their own centre
    as against the next."""
    best, count = -2.0, 1
    for candidate in COUNTS:
        if candidate < fewest:
            continue
        if candidate * LEAST > len(vectors):
            break
        centres = _centres(vectors, candidate, np.random.default_rng(SEED), poll)
        if (width := _silhouette(vectors, centres)) > best:
            best, count = width, candidate
    return count


def _fewest(count: int) -> int:
    """The cube root: 2 of 18 vectors, 6 of 280, 12 from 1,728 on."""
    return int(min(FEWEST, np.cbrt(count)))


def _silhouette(vectors: Floats, centres: Floats) -> float:
    distances = np.sort(1 - vectors @ centres.T, axis=1)[:, :2]
    own, other = distances.T
    return float(((other - own) / np.maximum(other, 1e-6)).mean())


def _centres(vectors: Floats, count: int, random: np.random.Generator, poll: Poll) -> Floats:
    centres = _spread_out(_sample(vectors, random), count, random)
    return (
        _whole(vectors, centres, poll) if len(vectors) <= WHOLE else _batches(vectors, centres, random, poll)
    )


def _spread_out(vectors: Floats, count: int, random: np.random.Generator) -> Floats:
    """First centres, each drawn among the vectors that are far from those before."""
    rows = [int(random.integers(len(vectors)))]
    far = 1 - vectors @ vectors[rows[0]]
    for _ in range(count - 1):
        weights = np.maximum(far, 0).astype(np.float64) ** 2
        total = weights.sum()
        rows.append(int(random.choice(len(vectors), p=weights / total if total > 0 else None)))
        far = np.minimum(far, 1 - vectors @ vectors[rows[-1]])
    return vectors[rows].copy()


def _whole(vectors: Floats, centres: Floats, poll: Poll) -> Floats:
    labels = np.full(len(vectors), -1)
    for _ in range(ROUNDS):
        poll()
        before, (labels, likeness) = labels, _labels(vectors, centres)
        if (labels == before).all():
            break
        sums = _sums(vectors, labels, len(centres))
        empty = np.flatnonzero(np.bincount(labels, minlength=len(centres)) == 0)
        sums[empty] = vectors[np.argsort(likeness)[: len(empty)]]
        centres = _unit(sums)
    return centres


def _batches(vectors: Floats, centres: Floats, random: np.random.Generator, poll: Poll) -> Floats:
    sums = centres.copy()
    for _ in range(ROUNDS):
        poll()
        some = vectors[random.integers(len(vectors), size=BATCH)]
        labels, _likeness = _labels(some, centres)
        sums += _sums(some, labels, len(centres))
        centres = _unit(sums)
    return centres


def _sums(vectors: Floats, labels: NDArray[np.int64], count: int) -> Floats:
    """The sum of each group's vectors."""
    return np.stack([vectors[labels == label].sum(axis=0) for label in range(count)])


def _labels(vectors: Floats, centres: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Each vector's nearest centre, and its cosine with it."""
    labels = np.empty(len(vectors), np.int64)
    likeness = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), BATCH):
        cosines = vectors[start : start + BATCH] @ centres.T
        labels[start : start + BATCH] = cosines.argmax(axis=1)
        likeness[start : start + BATCH] = cosines.max(axis=1)
    return labels, likeness


def _sample(vectors: Floats, random: np.random.Generator) -> Floats:
    if len(vectors) <= SAMPLE:
        return vectors
    return vectors[np.sort(random.choice(len(vectors), SAMPLE, replace=False))]


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.maximum(lengths, 1e-12)
    return unit
