"""Tree of Thoughts, depth first (algorithm 2 of Yao et al.): one thought is followed to its end. What is
judged impossible is pruned, and the search goes back to the last thought that has something left to try.
"""

from __future__ import annotations

from pygent_factory.search.methods import depth_first
from pygent_factory.strategies.thoughts import BRANCHES, DEPTH, WORTH, is_answer, search
from pygent_factory.thinker import Thinker


async def solve(thinker: Thinker, task: str) -> object:
    """The first answer that was found."""
    return await search(
        thinker,
        task,
        lambda tree: depth_first(
            tree, is_answer, threshold=WORTH["impossible"], branches=BRANCHES, depth=DEPTH
        ),
    )
