"""When nothing that was found answers: too far in meaning, and too few of the question's words.

Calibrated on every second of 350 questions of seven sets (SciFact, HotpotQA, NFCorpus, Cranfield, CISI,
CACM, functions of Python) put to their own corpus, and of 900 put to the corpus of another field (one of the
first, second or fourth), so that none of the former is refused. On the other half 0.6 % of the former were,
and 20 % of the others answered (27 % when half the words sufficed). Fields that are near each other, as
NFCorpus and SciFact, are hardly told apart. tests/benchmarks/ir.py prints both rates for any sets.
"""

from __future__ import annotations

from collections.abc import Sequence

from pygent_rag.extraction import stem
from pygent_shared.fulltext import terms

NEAR = 0.35
"""Cosine of the best passage from which on it may answer."""

COVERED = 0.6
"""Share of the question's words in one passage from which on it may answer, however far in meaning: of three
words, two."""


def nothing_answers(question: str, best: float, passages: Sequence[str]) -> bool:
    """Whether to say so instead of handing out passages.

    Args:
        best: the cosine of what is nearest in meaning to the question.
        passages: the texts of the best passages, with their titles and headings.
    """
    asked = {stem(term) for term in terms(question)}
    if best >= NEAR or not asked:
        return False
    return all(len(asked & {stem(term) for term in terms(text)}) < COVERED * len(asked) for text in passages)
