"""Puzzles whose solutions can be checked, and the published logs of the Tree-of-Thoughts paper on them.

A log's proposals and judgements were GPT-4's. Replayed, they measure the search and not the model: the
paper's code and ours must choose alike.
"""

from __future__ import annotations

import ast
import csv
import itertools
import json
import operator
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from pygent_factory.search.explore import Budget, explore
from pygent_factory.search.methods import beam, depth_first
from pygent_factory.search.tree import Tree

DATA = Path(__file__).parents[3] / "shared" / "data" / "tot"

Numbers = tuple[Fraction, ...]

# ---- Game of 24: make 24 of four numbers

TARGET = (Fraction(24),)
HELPFUL = frozenset(map(Fraction, (24, 12, 8, 6, 4, 3, 2)))


def puzzles() -> list[Numbers]:
    """The 1,362 puzzles, the easiest for people first."""
    with (DATA / "24.csv").open(encoding="utf-8") as file:
        return [tuple(sorted(map(Fraction, row["Puzzles"].split()))) for row in csv.DictReader(file)]


@cache
def moves(numbers: Numbers) -> tuple[Numbers, ...]:
    """All that two of the numbers may be made into, with the others."""
    found: dict[Numbers, None] = {}
    for one, other in itertools.combinations(range(len(numbers)), 2):
        a, b = numbers[one], numbers[other]
        rest = [numbers[place] for place in range(len(numbers)) if place not in (one, other)]
        made = [a + b, a * b, a - b, b - a, *([a / b] if b else []), *([b / a] if a else [])]
        found |= dict.fromkeys(tuple(sorted([*rest, number])) for number in made)
    return tuple(found)


@cache
def solvable(numbers: Numbers) -> bool:
    return numbers == TARGET if len(numbers) == 1 else any(map(solvable, moves(numbers)))


class Symbolic:
    """Proposes every move, and judges as the paper's prompt asks for: sure, likely or impossible where two
    numbers are left; of three, whether one of them goes well with 24."""

    async def propose(self, state: Numbers) -> Sequence[Numbers]:
        return moves(state) if len(state) > 1 else ()

    async def judge(self, states: Sequence[Numbers]) -> Sequence[float]:
        return [self._worth(state) for state in states]

    def _worth(self, state: Numbers) -> float:
        if len(state) > 2:
            return 3.0 if HELPFUL & set(state) else 1.0
        return 60.0 if solvable(state) else 0.003


def is_answer(puzzle: str, text: str) -> bool:
    """Whether a text's last line uses each number once and makes 24, as the paper's code has it."""
    last = text.strip().split("\n")[-1].lower().replace("answer: ", "").split("=")[0]
    if sorted(re.findall(r"\d+", last)) != sorted(re.findall(r"\d+", puzzle)):
        return False
    try:
        return _value(ast.parse(last.strip(), mode="eval").body) == 24
    except (SyntaxError, ValueError, ZeroDivisionError):
        return False


_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.Constant(value=int(number)):
            return Fraction(number)
    raise ValueError(ast.dump(node))


# ---- the logged beam search

BEAM_LOG = "gpt-4_0.7_propose1_value3_greedy5_start900_end1000.json"


class LoggedGame:
    """Answers as the log of one puzzle says, and fails where it is asked what was not asked then."""

    def __init__(self, steps: list[dict[str, Any]]) -> None:
        self._proposals = [group for step in steps for group in _grouped(step["ys"], step["new_ys"])]
        self._levels = [(step["new_ys"], step["values"]) for step in steps]

    async def propose(self, state: str) -> Sequence[str]:
        return self._proposals.pop(0)

    async def judge(self, states: Sequence[str]) -> Sequence[float]:
        asked, values = self._levels.pop(0)
        assert list(states) == asked
        return [float(value) for value in values]


def _grouped(parents: list[str], children: list[str]) -> list[list[str]]:
    """Which children came of which parent: each parent's follow one another and begin with it."""
    groups, place = [], 0
    for parent in parents:
        group = []
        while place < len(children) and children[place].startswith(parent):
            group.append(children[place])
            place += 1
        groups.append(group)
    assert place == len(children)
    return groups


async def replay_beam() -> tuple[int, int, int]:
    """Selections as in the log, selections, and puzzles solved of the 100."""
    same = total = solved = 0
    for record in json.loads((DATA / BEAM_LOG).read_text()):
        steps = record["steps"]
        puzzle, tree, logged = steps[0]["x"], Tree(""), LoggedGame(steps)
        # The log holds some states twice, with a value for each.
        search = beam(tree, lambda text: False, width=5, depth=4, distinct=False)
        await explore(tree, search, logged, logged)
        for step in steps:
            level = [node for node in tree.nodes if node.depth == step["step"] + 1 and node.fate != "pruned"]
            chosen = sorted(level, key=lambda node: node.value or 0.0, reverse=True)
            same += [node.state for node in chosen] == step["select_new_ys"]
            total += 1
        solved += any(is_answer(puzzle, node.state) for node in level)
    return same, total, solved


# ---- the logged samples


def sampled(kind: str) -> tuple[float, int, int]:
    """Of 100 samples each for 100 puzzles: right ones in per cent, puzzles with any right one, and puzzles
    whose most frequent answer is right (self-consistency)."""
    right = any_right = by_vote = 0
    named = [" ".join(map(str, numbers)) for numbers in puzzles()]
    for record in json.loads((DATA / f"gpt-4_0.7_naive_{kind}_sample_100_start900_end1000.json").read_text()):
        puzzle, texts = named[record["idx"]], record["ys"]
        marks = [is_answer(puzzle, text) for text in texts]
        right += sum(marks)
        any_right += any(marks)
        answers = Counter(text.strip().split("\n")[-1].lower().replace("answer: ", "") for text in texts)
        by_vote += is_answer(puzzle, answers.most_common(1)[0][0])
    return right / 100, any_right, by_vote


# ---- mini crosswords: five by five letters, ten clues

NAMES = [f"{way}{number}" for way in "hv" for number in range(1, 6)]
EMPTY, FILLED, CHANGED = range(3)


@dataclass(frozen=True)
class Board:
    """Letters, what each of the ten words is, its status, and the words that were put in."""

    letters: tuple[str, ...] = ("_",) * 25
    status: tuple[int, ...] = (EMPTY,) * 10
    actions: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        return words_of(self.letters)

    def put(self, action: str) -> Board:
        """The board after a word was put in, such as "h2. motor"."""
        name, word = action.split(". ")
        place, letters = NAMES.index(name), list(self.letters)
        letters[_slice(place)] = word.upper()
        status = [
            CHANGED if any(old not in (new, "_") for old, new in zip(before, after, strict=True)) else known
            for known, before, after in zip(self.status, self.words, words_of(letters), strict=True)
        ]
        status[place] = FILLED
        return Board(tuple(letters), tuple(status), (*self.actions, action))

    def shown(self, clues: Sequence[str]) -> str:
        """As the paper's prompt shows it."""
        rows = "".join("".join(self.letters[row * 5 : row * 5 + 5]) + "\n" for row in range(5))
        parts = [
            "".join(
                f"{NAMES[place]}. {clues[place]}: {self.words[place]}\n"
                for place in range(10)
                if self.status[place] == status
            )
            for status in (EMPTY, FILLED, CHANGED)
        ]
        return f"Current Board:\n{rows}\nUnfilled:\n{parts[0]}\nFilled:\n{parts[1]}\nChanged:\n{parts[2]}"


def words_of(letters: Sequence[str]) -> tuple[str, ...]:
    return tuple("".join(letters[_slice(place)]) for place in range(10))


def _slice(place: int) -> slice:
    return slice(place * 5, place * 5 + 5) if place < 5 else slice(place - 5, 25, 5)


class LoggedCrossword:
    """Proposes what the model said of a board then, and judges as it did."""

    def __init__(self, clues: Sequence[str], said: dict[str, dict[str, float]], log: list[dict[str, Any]]):
        self._clues, self._said = clues, said
        self._verdicts = [entry["count"]["impossible"] for entry in log]
        self.judged: list[Board] = []

    async def propose(self, state: Board) -> Sequence[Board]:
        sure = self._said[state.shown(self._clues)]
        boards = (state.put(action) for action in sorted(sure, key=sure.__getitem__, reverse=True))
        # Nothing that is filled may be changed.
        return [board for board in boards if len(board.actions) < 10 and CHANGED not in board.status]

    async def judge(self, states: Sequence[Board]) -> Sequence[float]:
        self.judged += states
        return [-self._verdicts.pop(0) for _ in states]


async def replay_crosswords() -> tuple[int, int, float, float, int]:
    """States as in the log, states, and in per cent the letters and words right, and games solved, of 20.

    A game counts by its deepest state.
    """
    games = json.loads((DATA / "mini0505.json").read_text())[::5]
    said = json.loads((DATA / "env_cache.json").read_text())
    same = total = solved = 0
    letters = words = 0.0
    logs = json.loads((DATA / "infoss_dfs_prune.json").read_text())
    for (clues, truth), log in zip(games, logs, strict=False):
        logged, tree = LoggedCrossword(clues, said, log), Tree(Board())
        # "Impossible" said of one clue is enough to go back.
        search = depth_first(tree, lambda board: False, threshold=-1, branches=3)
        await explore(tree, search, logged, logged, budget=Budget(judgements=len(log)))
        boards = logged.judged
        same += sum(list(board.actions) == entry["actions"] for board, entry in zip(boards, log, strict=True))
        total += len(log)
        deepest = max(boards, key=lambda board: len(board.actions))
        letters += sum(map(operator.eq, deepest.letters, truth)) / 25
        right = sum(map(operator.eq, deepest.words, words_of(truth)))
        words += right / 10
        solved += right == 10
    return same, total, 100 * letters / len(logs), 100 * words / len(logs), solved
