"""L2: the held-out check. Fresh cases, which the coder never sees, are answered by the work in a process of
its own; all that comes back is JSON, and it is compared here.

A holdout is a Python file with one function:

    def cases(random):
        for _ in range(20):
            width, height = random.randrange(100), random.randrange(100)
            yield "shapes:area", [width, height], width * height
        yield "shapes:area", [-1, 2], ValueError
        yield "shapes:Pile", [3], 7, [("add", [4]), ("height", [])]

Each case is a call, its arguments and the answer, or the exception, that is right. Where there is a fourth
part, the first call makes an object, whose methods these are, and the last one's answer counts. Types must be
the same; floats may differ by a part in a thousand million.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from secrets import randbits
from typing import Any

from pygent_orchestration.coding.gates.bench import Bench, left
from pygent_orchestration.coding.gates.policy import Policy
from pygent_shared.errors import FileRefused

MOST = 1000
ANSWERING = Path(__file__).with_name("answering.py")


async def held_out(bench: Bench, policy: Policy) -> tuple[str, str]:
    """Why the answers are not right, empty where they are; and which calls gave others.

    Raises:
        FileRefused: the holdout makes no cases.
        SandboxMissing: this machine cannot give the sandbox.
    """
    assert policy.holdout is not None
    cases, seed = await _cases(bench, policy.holdout)
    calls, out = bench.folder / "calls.json", bench.place("answered")
    calls.write_text(json.dumps([case["calls"] for case in cases]))
    words = [str(bench.python), "-I", str(ANSWERING), "answer", str(calls)]
    ended = await bench.ran(
        [*words, str(bench.tree / policy.sources), str(out)], write=out, read=(bench.tree, calls, ANSWERING)
    )
    if ended.killed:
        return ended.killed, ""
    answers = _read(left(out, "answers.json"))
    if not isinstance(answers, list) or len(answers) != len(cases):
        return "the work does not answer: its process ended before it had", ended.output
    bad = list(_bad(cases, answers))
    why = f"{len(bad)} of {len(cases)} answers to held-out cases are not right" if bad else ""
    counted = [f"{name}: {how} ({count})" for (name, how), count in Counter(bad).items()]
    return why, "\n".join([*counted, f"(seed {seed})"])


async def _cases(bench: Bench, holdout: Path) -> tuple[list[Any], int]:
    """Fresh cases, and what they can be made again from."""
    if not holdout.is_file():
        raise FileRefused(
            holdout, "is no file with held-out cases", "Give a Python file with `cases(random)`."
        )
    copy, out, seed = bench.folder / "holdout.py", bench.place("made"), randbits(48)
    shutil.copyfile(holdout, copy)
    words = [sys.executable, "-I", str(ANSWERING), "make", str(copy), str(seed), str(MOST), str(out)]
    ended = await bench.ran(words, write=out, read=(copy, ANSWERING))
    cases = _read(left(out, "cases.json"))
    if ended.killed or ended.code or not cases:
        said = ended.killed or (ended.output.strip().splitlines() or ["cases(random) gives none"])[-1]
        raise FileRefused(holdout, f"makes no held-out cases: {said}", "Mend it.")
    return list(cases), seed


def _read(file: bytes | None) -> Any:
    try:
        return json.loads(file or b"null")
    except (ValueError, RecursionError):
        return None


def _bad(cases: list[Any], answers: list[Any]) -> Iterator[tuple[str, str]]:
    for case, answer in zip(cases, answers, strict=True):
        if how := _how(case["expected"], answer if isinstance(answer, dict) else {}):
            yield case["calls"][0][0], how


def _how(expected: Any, answer: dict[str, Any]) -> str:
    """In which way an answer is wrong; empty where it is right."""
    raised = answer.get("raises")
    if isinstance(expected, dict) and "raises" in expected:
        if not isinstance(raised, list):
            return f"does not raise {expected['raises']}"
        return "" if expected["raises"] in raised else f"raises {raised[0]} instead of {expected['raises']}"
    if isinstance(raised, list) and raised:
        return f"raises {raised[0]}"
    if _same(expected, answer.get("is", {})):
        return ""
    given, right = _kind(answer.get("is")), _kind(expected)
    return f"gives a wrong {given}" if given == right else f"gives {given} instead of {right}"


def _kind(told: Any) -> str:
    if isinstance(told, dict) and len(told) == 1:
        ((name, what),) = told.items()
        return str(what) if name == "other" else str(name)
    return "None" if told is None else type(told).__name__


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) or (
            math.isnan(one) and math.isnan(other)
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)
