"""The search over thoughts, measured without a model: published logs replayed, and puzzles.

    python -m tests.benchmarks.thoughts

Printed: the Tree-of-Thoughts paper's logs through our engine (are the same thoughts chosen, and what comes
of it), and Game of 24 with a symbolic proposer and evaluator: beams of several widths, and the other methods
given as many expansions as the beam took.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
from tests.servers.thought_puzzles import (
    TARGET,
    Numbers,
    Symbolic,
    puzzles,
    replay_beam,
    replay_crosswords,
    sampled,
    solvable,
)

from pygent_factory.search.explore import Budget, explore
from pygent_factory.search.methods import beam, best_first, tree_search
from pygent_factory.search.questions import Steps
from pygent_factory.search.tree import Tree

WIDTHS = (1, 2, 3, 5, 10, 20, 50)
Method = Callable[[Tree[Numbers]], Steps[Numbers]]


async def main() -> None:
    same, total, solved = await replay_beam()
    print(f"beam replayed: {same} of {total} selections as in the log; {solved} of 100 puzzles solved")
    same, total, letters, words, games = await replay_crosswords()
    print(
        f"depth-first replayed: {same} of {total} states as in the log; "
        f"letters {letters:.0f} %, words {words:.0f} %, games {games} of 20"
    )
    for kind, name in (("cot", "chain of thought"), ("standard", "answer only")):
        right, best, vote = sampled(kind)
        print(f"{name}: {right:.2f} % right, best of 100 {best} %, self-consistency {vote} %")
    print("\nGame of 24, puzzles 900-999, symbolic. Solved, and expansions a puzzle on average:")
    print(
        f"{'beam':>6} {'beam search':>16} {'best first':>16} {'UCT':>16}   at most as many as the beam of it"
    )
    for width in WIDTHS:
        row = [await attempt(lambda tree, width=width: beam(tree, is_goal, width=width, depth=3), None)]
        for method in (best_first, tree_search):
            row.append(await attempt(lambda tree, method=method: method(tree, is_goal), spent(width)))
        print(f"{width:6} " + " ".join(f"{solved:8} {expansions:7.1f}" for solved, expansions in row))


async def attempt(method: Method, most: int | None) -> tuple[int, float]:
    """How many of the hundred puzzles are solved, with how many expansions each."""
    solved = expansions = 0
    symbolic = Symbolic()
    for puzzle in puzzles()[900:1000]:
        tree = Tree(puzzle)
        outcome = await explore(tree, method(tree), symbolic, symbolic, budget=Budget(expansions=most))
        solved += outcome.ended == "goal"
        expansions += outcome.expansions
    return solved, expansions / 100


def spent(width: int) -> int:
    """The expansions a beam makes in three levels: the first has one state."""
    return 1 + 2 * width


def is_goal(numbers: Numbers) -> bool:
    return numbers == TARGET


if __name__ == "__main__":
    assert all(map(solvable, puzzles()[900:1000]))
    begun = time.process_time()
    anyio.run(main)
    print(f"\n{time.process_time() - begun:.1f} s of processor time")
