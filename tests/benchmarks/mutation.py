"""How strong the tests of the exercises are: each mutant of each reference, against its trusted tests and its
own held-out cases.

    python -m tests.benchmarks.mutation [EXERCISE …]
"""

from __future__ import annotations

import copy
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from mutants import mutants

EXERCISES = Path(__file__).parents[1] / "data" / "exercises"
SECONDS = 10
"""That a mutant may take: one that takes longer is stopped, as a gate stops it."""
TESTS, HOLDOUT, SURVIVES = "tests", "held-out cases", "survives"
CODES = {10: TESTS, 11: HOLDOUT, 12: SURVIVES}


def main() -> int:
    found: Counter[str] = Counter()
    for name in sys.argv[1:] or sorted(place.name for place in EXERCISES.iterdir()):
        text = (EXERCISES / name / "solution.py").read_text(encoding="utf-8")
        assert stopped_by(name, text) == SURVIVES, f"the reference of {name} is wrong"
        made = mutants(text)
        fates = [stopped_by(name, mutant.source) for mutant in made]
        found.update(fates)
        print(f"{name:10} {len(made):4} mutants, {fates.count(SURVIVES)} survive", flush=True)
        for mutant, fate in zip(made, fates, strict=True):
            if fate == SURVIVES:
                print(f"    {mutant.change}")
    told = ", ".join(f"{count} {fate}" for fate, count in found.most_common())
    print(f"{found.total()} mutants: {told}")
    return 0


def stopped_by(name: str, text: str) -> str:
    """What stops a program, in a process of its own."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        os._exit(_judged(name, text))
    _, status = os.waitpid(child, 0)
    return TESTS if os.WIFSIGNALED(status) else CODES[os.WEXITSTATUS(status)]


def _judged(name: str, text: str) -> int:
    try:
        program = sys.modules[name] = _module(name, text)
        tests = _module("tests", (EXERCISES / name / f"test_{name}.py").read_text(encoding="utf-8"))
        for test in [value for key, value in vars(tests).items() if key.startswith("test_")]:
            test()
        cases = _module("cases", (EXERCISES / name / "holdout.py").read_text(encoding="utf-8"))
        for call, arguments, expected in cases.cases(Random(name)):
            if not _is_right(getattr(program, call.partition(":")[2]), arguments, expected):
                return 11
        return 12
    except BaseException:  # noqa: BLE001 - whatever it raises, the tests stop it
        return 10


def _is_right(function: Callable[..., Any], arguments: list[Any], expected: Any) -> bool:
    try:
        given = function(*copy.deepcopy(arguments))
    except Exception as error:  # noqa: BLE001 - any but the expected one is wrong
        return isinstance(expected, type) and isinstance(error, expected)
    return type(given) is type(expected) and bool(given == expected)


def _module(name: str, text: str) -> ModuleType:
    module = ModuleType(name)
    exec(compile(text, name, "exec"), vars(module))
    return module


if __name__ == "__main__":
    sys.exit(main())
