"""Full-text search that stays fast where many passages hold common words.

SQLite scores every passage that holds any word of a question: at 100,000 passages that is most of them, and
most hold one common word and nothing else. So the rare words are looked for as they are, and the common ones
where several stand together: they are dealt into groups, and a passage must hold one of each.

The one rule: what is found has the very score that a search for all words would give it, except that a rare
and a common word weigh in each other's company only where both stand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod

ROWS = 3_000
"""Passages that one look is to score, which takes SQLite some two milliseconds. With so few, the first ten
are those of a search for all words, and 98 of the first 100 (120 questions, 100,000 passages)."""
ENOUGH = 200
"""Passages found below which fewer words are asked to stand together."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word of a question as FTS5 takes it, how often the question has it, how many passages do."""

    term: str
    times: int = 1
    passages: int = 0


def any_of(words: Sequence[Word]) -> str:
    """The query for passages with any of these words."""
    return " OR ".join(word.term for word in words for _ in range(word.times))


def counted(terms: Sequence[str], passages: Callable[[Collection[str]], Mapping[str, int]]) -> list[Word]:
    """The different words among these terms, the rarest first; without those that no passage has."""
    asked = Counter(terms)
    found = passages(asked)
    words = [Word(term=term, times=times, passages=found[term]) for term, times in asked.items()]
    return sorted((word for word in words if word.passages), key=lambda word: word.passages)


def found(words: Sequence[Word], total: int, look: Callable[[str], dict[int, float]]) -> dict[int, float]:
    """The passages with words of a question, best first.

    Args:
        words: rarest first.
        total: how many passages there are.
        look: the passages that match a query, and their scores.
    """
    rare, common = _parted(words)
    if not common:
        return look(any_of(rare)) if rare else {}
    scores: dict[int, float] = {}
    if rare:
        scores = look(any_of(rare)) | look(f"({any_of(rare)}) AND ({any_of(common)})")
    scores = _together(common, total, look, len(scores)) | scores
    return dict(sorted(scores.items(), key=lambda entry: -entry[1]))


def _parted(words: Sequence[Word]) -> tuple[Sequence[Word], Sequence[Word]]:
    """The rare words, which few enough passages have among them, and the common ones."""
    rows = 0
    for place, word in enumerate(words):
        rows += word.passages
        if rows > ROWS:
            return words[:place], words[place:]
    return words, ()


def _together(
    common: Sequence[Word], total: int, look: Callable[[str], dict[int, float]], known: int
) -> dict[int, float]:
    """The passages that hold a common word of each group, in as few groups as let few enough through. Where
    enough are known by rare words, one common word alone tells nothing."""
    least = 2 if known >= ENOUGH else 1
    count = next((n for n in range(least, len(common)) if _expected(common, total, n) <= ROWS), len(common))
    while count >= least:
        groups = [common[start::count] for start in range(count)]
        scores = look(" AND ".join(f"({any_of(group)})" for group in groups))
        if known + len(scores) >= ENOUGH or count == 1:
            return scores
        count = count - 1 if count <= 3 else count // 2
    return {}


def _expected(common: Sequence[Word], total: int, groups: int) -> float:
    """How many passages hold a word of each group, if words did not know of each other."""
    return total * prod(
        1 - prod(1 - min(1, word.passages / total) for word in common[start::groups])
        for start in range(groups)
    )
