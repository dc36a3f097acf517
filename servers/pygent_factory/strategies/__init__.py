"""The ways an agent thinks, one file each: `solve(thinker, task) -> str`. `table` finds them by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pygent_factory.thinker import Solve

FILES = {
    "react": "react",
    "chain_of_thought": "chain_of_thought",
    "self_consistency": "self_consistency",
    "reflexion": "reflexion",
    "beam": "thoughts",
    "best_first": "thoughts",
    "mcts": "thoughts",
}


def table(name: str) -> Solve:
    """The strategy of a name."""
    module = import_module(f"pygent_factory.strategies.{FILES[name]}")
    solve: Solve = getattr(module, name, None) or module.solve
    return solve
