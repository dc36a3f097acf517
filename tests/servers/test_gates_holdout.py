"""The held-out check: fresh cases, JSON between processes, and types that are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from gates_toy import RIGHT, Toy, red

from pygent_orchestration.coding.gates import Gate
from pygent_shared.errors import FileRefused
from pygent_shared.sandbox.run import missing

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(bool(missing()), reason=str(missing())),
]


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


async def held_out(toy: Toy, work: str, cases: str) -> Gate:
    """What the gate says of a work of any kind."""
    toy.holdout.write_text(f"def cases(random):\n    {cases}\n")
    verdict = await toy.judged({"sums.py": work}, tests=None, lint=False, types=False)
    return verdict.gates[-1]


async def test_every_type_that_json_can_tell_comes_back_as_it_was(toy: Toy) -> None:
    same = "def same(thing: object) -> object:\n    return thing\n"
    things = "[None, True, 1, 1.5, 'a', b'a', [1, (2,)], (1, [2]), {1, 2}, {'a': {2: (3,)}}, 10**60]"
    gate = await held_out(toy, same, f"for one in {things}: yield 'sums:same', [one], one")
    assert gate.green, gate.output


@pytest.mark.parametrize(
    ("given", "right", "said"),
    [
        ("True", "1", "gives bool instead of int"),
        ("1.0", "1", "gives float instead of int"),
        ("[1]", "(1,)", "gives list instead of tuple"),
        ("{1: (2,)}", "{1: [2]}", "gives a wrong dict"),
        ("None", "0", "gives None instead of int"),
        ("type('Own', (int,), {})(1)", "1", "gives sums.Own instead of int"),
        ("1 // 0", "1", "raises ZeroDivisionError"),
        ("2", "ValueError", "does not raise ValueError"),
        ("1 // 0", "ValueError", "raises ZeroDivisionError instead of ValueError"),
        ("0.1", "0.1 + 1e-6", "gives a wrong float"),
    ],
)
async def test_an_answer_of_another_value_or_type_is_red(toy: Toy, given: str, right: str, said: str) -> None:
    gate = await held_out(toy, f"def one():\n    return {given}\n", f"yield 'sums:one', [], {right}")
    assert gate.why == "1 of 1 answers to held-out cases are not right"
    assert gate.output.startswith(f"sums:one: {said} (1)")


@pytest.mark.parametrize(
    ("given", "right"),
    [("1 // 0", "ArithmeticError"), ("0.1 + 0.2", "0.3"), ("float('nan')", "float('nan')")],
)
async def test_an_exception_of_the_kind_and_a_float_rounded_otherwise_are_right(
    toy: Toy, given: str, right: str
) -> None:
    gate = await held_out(toy, f"def one():\n    return {given}\n", f"yield 'sums:one', [], {right}")
    assert gate.green, gate.output


async def test_an_object_is_made_and_its_last_method_answers(toy: Toy) -> None:
    pile = "class Pile:\n    def __init__(self, high): self.high = high\n"
    pile += "    def add(self, more): self.high += more\n    def height(self): return self.high\n"
    gate = await held_out(toy, pile, "yield 'sums:Pile', [3], 7, [('add', [4]), ('height', [])]")
    assert gate.green, gate.output


async def test_the_cases_are_others_each_time_and_are_not_told(toy: Toy) -> None:
    wrong = RIGHT.replace("one + other", "0")
    outputs = [
        (await toy.judged({"sums.py": wrong}, tests=None, types=False, lint=False)).feedback() for _ in "12"
    ]
    assert outputs[0] != outputs[1]
    said = outputs[0].splitlines()[:-1]
    assert said == [
        "held-out cases is red: 10 of 10 answers to held-out cases are not right",
        "sums:add: gives a wrong int (10)",
    ]


async def test_work_that_ends_the_process_or_prints_a_lot_does_not_answer(toy: Toy) -> None:
    toy.holdout.write_text("def cases(random):\n    yield 'sums:add', [1, 2], 3\n")
    ends = "import os\nprint('x' * 99999)\nos._exit(0)\n"
    verdict = await toy.judged({"sums.py": ends}, tests=None, lint=False, types=False)
    assert red(verdict) == {"held-out cases": "the work does not answer: its process ended before it had"}
    assert len(verdict.gates[-1].output) < 17_000


@pytest.mark.parametrize(
    ("cases", "why"),
    [
        ("return []", "cases(random) gives none"),
        ("yield 'sums:add', [1, object()], 3", "cannot be told in JSON"),
        ("yield 'sums:add', [1, 2]", "missing 1 required positional argument"),
        ("raise KeyError('x')", "KeyError: 'x'"),
    ],
)
async def test_a_holdout_that_makes_no_cases_is_the_givers_error(toy: Toy, cases: str, why: str) -> None:
    with pytest.raises(FileRefused) as refused:
        await held_out(toy, RIGHT, cases)
    assert why in str(refused.value)


async def test_a_holdout_that_is_not_there_is_named(toy: Toy) -> None:
    toy.holdout.unlink()
    with pytest.raises(FileRefused, match="is no file with held-out cases"):
        await toy.judged({"sums.py": RIGHT}, tests=None, types=False)
