"""Tree of Thoughts, best first: whatever is the most promising of all thoughts is followed next."""

from __future__ import annotations

from pygent_factory.search.methods import best_first
from pygent_factory.strategies.thoughts import DEPTH, is_answer, search
from pygent_factory.thinker import Thinker


async def solve(thinker: Thinker, task: str) -> object:
    """The best answer that was found."""
    return await search(thinker, task, lambda tree: best_first(tree, is_answer, depth=DEPTH))
