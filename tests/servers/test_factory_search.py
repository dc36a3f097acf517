"""The search over thoughts: it chooses as the paper's code did, and keeps what it promises on any tree."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_factory.search.explore import Budget, Outcome, explore
from pygent_factory.search.methods import beam, best_first, depth_first, tree_search
from pygent_factory.search.questions import Goal, Steps
from pygent_factory.search.tree import Tree

from .thought_puzzles import (
    DATA,
    TARGET,
    Numbers,
    Symbolic,
    puzzles,
    replay_beam,
    replay_crosswords,
    sampled,
)

has_logs = pytest.mark.skipif(not DATA.is_dir(), reason=f"there is no {DATA}")

Word = tuple[int, ...]
METHODS: dict[str, Callable[[Tree[Word], Goal[Word]], Steps[Word]]] = {
    "beam": lambda tree, goal: beam(tree, goal, width=3, depth=4),
    "depth_first": lambda tree, goal: depth_first(tree, goal, threshold=0.2, branches=3, depth=4),
    "best_first": lambda tree, goal: best_first(tree, goal, depth=4),
    "tree_search": lambda tree, goal: tree_search(tree, goal, depth=4),
}
every_method = pytest.mark.parametrize("method", METHODS)


class Seeded:
    """Proposals and judgements that depend on the state and a seed alone; counts what it is asked."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.expanded: list[Word] = []
        self.judged: list[Word] = []

    async def propose(self, state: Word) -> Sequence[Word]:
        self.expanded.append(state)
        chance = random.Random(f"{self.seed}{state}")
        return [(*state, chance.randrange(4)) for _ in range(chance.randrange(4))]

    async def judge(self, states: Sequence[Word]) -> Sequence[float]:
        self.judged += states
        return [random.Random(f"{self.seed}:{state}").random() for state in states]


def searched(
    method: str, model: Seeded, goal: Goal[Word] = lambda word: False, **options: Any
) -> Outcome[Word]:
    async def run() -> Outcome[Word]:
        tree: Tree[Word] = Tree(())
        return await explore(tree, METHODS[method](tree, goal), model, model, **options)

    return anyio.run(run)


# ---- as published


@has_logs
def test_the_beam_chooses_as_the_published_log_says() -> None:
    assert anyio.run(replay_beam) == (400, 400, 69)


@has_logs
def test_depth_first_search_meets_the_states_of_the_published_log() -> None:
    same, total, letters, words, games = anyio.run(replay_crosswords)
    assert (same, total, round(letters, 6), round(words, 6), games) == (1856, 1856, 78, 60, 4)


@has_logs
@pytest.mark.parametrize(("kind", "figures"), [("cot", (4.03, 49, 9)), ("standard", (7.34, 33, 9))])
def test_logged_samples_give_the_published_figures(kind: str, figures: tuple[float, int, int]) -> None:
    assert sampled(kind) == figures


@has_logs
@pytest.mark.parametrize(("width", "solved"), [(1, 36), (5, 71), (20, 97), (50, 100)])
def test_a_wider_beam_solves_more_of_game_of_24(width: int, solved: int) -> None:
    assert anyio.run(solving, lambda tree: beam(tree, is_goal, width=width, depth=3), None) == solved


@has_logs
def test_with_the_beams_expansions_monte_carlo_search_solves_no_less() -> None:
    assert anyio.run(solving, lambda tree: tree_search(tree, is_goal), 11) >= 71


async def solving(method: Callable[[Tree[Numbers]], Steps[Numbers]], most: int | None) -> int:
    solved, symbolic = 0, Symbolic()
    for puzzle in puzzles()[900:1000]:
        tree = Tree(puzzle)
        outcome = await explore(tree, method(tree), symbolic, symbolic, budget=Budget(expansions=most))
        solved += outcome.ended == "goal"
    return solved


def is_goal(numbers: Numbers) -> bool:
    return numbers == TARGET


# ---- on any tree


@every_method
@given(seed=st.integers(0, 2**32))
def test_the_same_answers_make_the_same_tree(method: str, seed: int) -> None:
    one, other = searched(method, Seeded(seed)), searched(method, Seeded(seed))
    assert one.tree.as_data() == other.tree.as_data()


@every_method
@given(seed=st.integers(0, 2**32), stop=st.integers(0, 12))
def test_a_search_that_was_stopped_goes_on_to_the_same_tree_and_asks_nothing_twice(
    method: str, seed: int, stop: int
) -> None:
    whole, answers = Seeded(seed), list[Sequence[Any]]()
    expected = searched(method, whole, record=answers.append)
    rest = Seeded(seed)
    resumed = searched(method, rest, known=answers[:stop])
    assert resumed.tree.as_data() == expected.tree.as_data()
    assert (resumed.expansions, resumed.judgements) == (expected.expansions, expected.judgements)
    asked = len(whole.expanded) + len(whole.judged)
    assert len(rest.expanded) + len(rest.judged) == asked - sum(
        1 if is_proposal(answer) else len(answer) for answer in answers[:stop]
    )


def is_proposal(answer: Sequence[Any]) -> bool:
    return not answer or isinstance(answer[0], tuple)


@every_method
@given(seed=st.integers(0, 2**32), expansions=st.integers(0, 9), judgements=st.integers(0, 9))
def test_no_budget_is_ever_exceeded(method: str, seed: int, expansions: int, judgements: int) -> None:
    model = Seeded(seed)
    outcome = searched(method, model, budget=Budget(expansions=expansions, judgements=judgements))
    assert (outcome.expansions, outcome.judgements) == (len(model.expanded), len(model.judged))
    assert len(model.expanded) <= expansions
    assert len(model.judged) <= judgements


@every_method
@given(seed=st.integers(0, 2**32))
def test_every_node_hangs_together_and_none_is_thought_further_twice(method: str, seed: int) -> None:
    model = Seeded(seed)
    tree = searched(method, model).tree
    for node in tree.nodes[1:]:
        assert node.parent is not None
        assert node.id in tree.nodes[node.parent].children
        assert node.depth == tree.nodes[node.parent].depth + 1
        assert [step.id for step in tree.path(node)][-2:] == [node.parent, node.id]
    expanded = [node for node in tree.nodes if node.fate in ("expanded", "dead")]
    assert len(expanded) == len(model.expanded)


@every_method
@given(seed=st.integers(0, 2**32))
def test_a_solution_that_was_seen_ends_the_search_and_is_the_best(method: str, seed: int) -> None:
    outcome = searched(method, Seeded(seed), goal=lambda word: len(word) > 1 and word[-1] == 3)
    goals = list(outcome.tree.goals())
    assert (outcome.ended == "goal") == bool(goals)
    assert not goals or outcome.best in goals


@given(seed=st.integers(0, 2**32))
def test_the_beam_takes_a_state_that_comes_twice_in_a_level_once(seed: int) -> None:
    model = Seeded(seed)
    searched("beam", model)
    assert len(set(model.judged)) == len(model.judged)


def test_what_is_judged_too_low_is_not_followed() -> None:
    class Low(Seeded):
        async def judge(self, states: Sequence[Word]) -> Sequence[float]:
            return [0.2 for _ in states]

    tree = searched("depth_first", Low(5)).tree
    assert {node.depth for node in tree.nodes} <= {0, 1}
    assert all(node.fate in ("pruned", "open") for node in tree.nodes[1:])


def test_an_evaluator_that_leaves_a_state_out_is_a_defect_and_not_a_low_value() -> None:
    class Short(Seeded):
        async def propose(self, state: Word) -> Sequence[Word]:
            return [(*state, 1), (*state, 2)]

        async def judge(self, states: Sequence[Word]) -> Sequence[float]:
            return [1.0]

    with pytest.raises(ValueError, match="zip"):
        searched("beam", Short(1))
