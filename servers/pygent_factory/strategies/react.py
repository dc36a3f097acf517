"""ReAct (Yao et al., ICLR 2023, arXiv:2210.03629): think, use a tool, look, until it is done."""

from __future__ import annotations

from pygent_factory.thinker import Thinker


async def solve(thinker: Thinker, task: str) -> object:
    """The answer of one conversation with the model and the tools."""
    return await thinker.work(task)
