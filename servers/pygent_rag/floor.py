"""When nothing that was found answers: too far in meaning, and too few of the question's words.

Calibrated on questions put to their own corpus and to another one: 400 of SciFact's training split, 100 of
HotpotQA, each to SciFact and to 7,119 paragraphs of HotpotQA. No question to its own corpus was refused; of
those to the other one, 94 % were (141 of 150, through the library).
"""

from __future__ import annotations

from collections.abc import Sequence

from pygent_rag.extraction import stem
from pygent_shared.fulltext import terms

NEAR = 0.35
"""Cosine of the best passage from which on it may answer."""

COVERED = 0.5
"""Share of the question's words in one passage from which on it may answer, however far in meaning."""


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
