"""Self-consistency (Wang et al., ICLR 2023, arXiv:2203.11171): several chains of thought, and a vote."""

from __future__ import annotations

import re
from collections import Counter

from pygent_factory.strategies.chain_of_thought import STEPS
from pygent_factory.thinker import Thinker

SAMPLES = 5

_ANSWER = re.compile(r"answer\s*:\s*(.+)", re.IGNORECASE)


async def solve(thinker: Thinker, task: str) -> object:
    """The first of the chains whose answer most of them share."""
    said = [
        str(await thinker.work(f'{task}\n\n{STEPS} End with a line "Answer: …".')) for _ in range(SAMPLES)
    ]
    winner, votes = majority(said)
    thinker.note("votes", {final(text): count for text, count in votes.items()})
    return winner


def majority(texts: list[str]) -> tuple[str, Counter[str]]:
    """The first text with the most frequent final answer, and how often each answer was given."""
    votes = Counter(final(text).casefold() for text in texts)
    ((most, _),) = votes.most_common(1)
    return next(text for text in texts if final(text).casefold() == most), votes


def final(text: str) -> str:
    """What stands behind the last "Answer:", or the last line."""
    found = _ANSWER.findall(text)
    return str(found[-1] if found else text.strip().split("\n")[-1]).strip(" .*")
