"""The changes that a careless coder makes, as tests/mutants.py makes them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mutants import broken, mutant, mutants

EXERCISES = Path(__file__).parents[1] / "data" / "exercises"
PROGRAM = '''\
def least(numbers: list[int], floor: int = 1) -> int:
    """The least above a floor; "a < b" in a text is left alone."""
    for number in sorted(numbers):  # stays
        if number > floor and not number % 2:
            return min(number, (floor + 1) * 9)
    return -1
'''


def _changes(source: str) -> list[str]:
    return [made.change for made in mutants(source)]


def test_each_mutant_differs_in_one_place() -> None:
    assert _changes("def f(a: int) -> bool:\n    return a < 3\n") == [
        "line 2: a < 3 became a <= 3",
        "line 2: a < 3 became a >= 3",
        "line 2: 3 became 2",
        "line 2: 3 became 4",
    ]


def test_the_rest_of_the_text_stays_as_it_was() -> None:
    for made in mutants(PROGRAM):
        assert '"a < b" in a text is left alone' in made.source
        assert len(made.source.splitlines()) == len(PROGRAM.splitlines())


def test_brackets_are_kept_where_they_say_what_comes_first() -> None:
    assert "line 5: (floor + 1) * 9 became (floor + 1) // 9" in _changes(PROGRAM)


def test_a_seed_always_picks_the_same_one() -> None:
    assert mutant(PROGRAM, "one") == mutant(PROGRAM, "one")
    assert len({mutant(PROGRAM, str(seed)).change for seed in range(20)}) > 5


def test_characters_of_several_bytes_shift_nothing() -> None:
    [made] = mutants("known = 'ä', ß if ß is None else 'é'\n")
    assert made.source == "known = 'ä', ß if ß is not None else 'é'\n"


def test_a_broken_program_lacks_one_sign_and_cannot_be_read() -> None:
    found = {broken(PROGRAM, str(seed)) for seed in range(20)}
    assert len(found) > 5
    for text in found:
        assert len(text) == len(PROGRAM) - 1
        with pytest.raises(SyntaxError):
            ast.parse(text)


@pytest.mark.parametrize("exercise", sorted(place.name for place in EXERCISES.iterdir()))
def test_mutants_of_the_exercises_are_other_programs(exercise: str) -> None:
    source = (EXERCISES / exercise / "solution.py").read_text(encoding="utf-8")
    before = ast.dump(ast.parse(source))
    made = mutants(source)
    assert made
    for changed in made:
        assert ast.dump(ast.parse(changed.source)) != before
