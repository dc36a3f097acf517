"""Monte Carlo tree search over thoughts (UCT; Zhou et al., ICML 2024, arXiv:2310.04406)."""

from __future__ import annotations

from pygent_factory.search.methods import tree_search
from pygent_factory.strategies.thoughts import DEPTH, is_answer, search
from pygent_factory.thinker import Thinker


async def solve(thinker: Thinker, task: str) -> object:
    """The best answer that was found."""
    return await search(thinker, task, lambda tree: tree_search(tree, is_answer, depth=DEPTH))
