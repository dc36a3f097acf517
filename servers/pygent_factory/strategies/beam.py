"""Tree of Thoughts, breadth first (algorithm 1 of Yao et al.): the best few of each level are followed."""

from __future__ import annotations

from pygent_factory.search.methods import beam
from pygent_factory.strategies.thoughts import DEPTH, is_answer, search
from pygent_factory.thinker import Thinker

WIDTH = 3


async def solve(thinker: Thinker, task: str) -> object:
    """The best answer that was found."""
    return await search(thinker, task, lambda tree: beam(tree, is_answer, width=WIDTH, depth=DEPTH))
