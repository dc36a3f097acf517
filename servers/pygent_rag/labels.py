"""What tells a group of texts from the others: its own words, by class-based TF-IDF.

A word counts by how often the group has it, and by how rare it is in all groups together. Words are counted
by their stems and shown in their commonest form.

Source: Grootendorst, "BERTopic: Neural topic modeling with a class-based TF-IDF procedure", arXiv 2203.05794.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pygent_rag.extraction import stem
from pygent_shared.fulltext import terms

MOST = 5
"""Words in a label."""
SHORTEST = 3
_EMPTY = frozenset(
    "her hers herself him himself his itself being been became become both each either more most much many "
    "may might must one two three other others only own same such very well new first last several used "
    "during under between through until upon within without while again known called made make later".split()
)
"""Words that tell of no subject, beside those that searches leave out."""


class Words:
    """The words of one group."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._counts.update(terms(text))

    def stems(self) -> tuple[Counter[str], dict[str, str]]:
        """How often each stem is there, and the commonest word of each."""
        counts: Counter[str] = Counter()
        forms: dict[str, str] = {}
        for word, count in self._counts.most_common():
            telling = word not in _EMPTY and not any(letter.isdigit() for letter in word)
            if telling and len(word) >= SHORTEST:
                root = stem(word)
                counts[root] += count
                forms.setdefault(root, word)
        return counts, forms


def labels(groups: Sequence[Words]) -> list[list[str]]:
    """The words that tell each group from the others, the most telling first."""
    counted = [group.stems() for group in groups]
    everywhere: Counter[str] = Counter()
    for counts, _ in counted:
        everywhere.update(counts)
    mean = everywhere.total() / max(1, len(groups))
    return [_telling(counts, forms, everywhere, mean) for counts, forms in counted]


def _telling(counts: Counter[str], forms: dict[str, str], everywhere: Counter[str], mean: float) -> list[str]:
    weights: dict[str, float] = defaultdict(float)
    for root, count in counts.items():
        weights[root] = count * math.log(1 + mean / everywhere[root])
    best = sorted(weights, key=lambda root: (-weights[root], root))[:MOST]
    return [forms[root] for root in best]
