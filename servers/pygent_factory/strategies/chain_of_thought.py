"""Chain of thought (Wei et al., NeurIPS 2022, arXiv:2201.11903): the steps come before the answer."""

from __future__ import annotations

from pygent_factory.thinker import Thinker

STEPS = "Think step by step, and write the steps down. Then give the answer."


async def solve(thinker: Thinker, task: str) -> object:
    """The answer with its steps."""
    return await thinker.work(f"{task}\n\n{STEPS}")
