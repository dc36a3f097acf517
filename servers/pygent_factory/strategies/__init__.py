"""The ways an agent thinks, one file each: `solve(thinker, task) -> str`. `table` finds them by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pygent_factory.thinker import Solve


def table(name: str) -> Solve:
    """The strategy of a name, which is its file's."""
    solve: Solve = import_module(f"pygent_factory.strategies.{name}").solve
    return solve
