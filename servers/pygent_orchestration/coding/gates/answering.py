"""Makes held-out cases, or answers them: two processes that share nothing but files of JSON.

    answering.py make HOLDOUT SEED MOST OUT       runs the holdout's `cases(random)`; writes OUT/cases.json
    answering.py answer CALLS SOURCES OUT         calls the work; writes OUT/answers.json

What is no exact None, bool, int, float, str, bytes, list, tuple, set or dict is not told, only its class.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from itertools import islice
from operator import attrgetter
from pathlib import Path
from random import Random
from typing import Any

PLAIN = (type(None), bool, int, float, str)


def told(thing: Any) -> Any:
    """A value as JSON that keeps its type."""
    kind = type(thing)
    if kind in PLAIN:
        return thing
    if kind in (list, tuple):
        return {kind.__name__: [told(part) for part in thing]}
    if kind in (set, frozenset):
        return {"set": sorted((told(part) for part in thing), key=json.dumps)}
    if kind is dict:
        pairs = [[told(key), told(value)] for key, value in thing.items()]
        return {"dict": sorted(pairs, key=lambda pair: json.dumps(pair[0]))}
    if kind is bytes:
        return {"bytes": thing.hex()}
    return {"other": f"{kind.__module__}.{kind.__qualname__}"}


def heard(said: Any) -> Any:
    """The value that was told."""
    if not isinstance(said, dict):
        return said
    ((kind, parts),) = said.items()
    if kind == "dict":
        return {heard(key): heard(value) for key, value in parts}
    if kind == "bytes":
        return bytes.fromhex(parts)
    if kind not in ("list", "tuple", "set"):
        raise ValueError(f"{parts} cannot be told in JSON")
    inside = [heard(part) for part in parts]
    return tuple(inside) if kind == "tuple" else set(inside) if kind == "set" else inside


def make(holdout: str, seed: str, most: str, out: str) -> None:
    """Write the cases."""
    own: dict[str, Any] = {"__name__": "holdout", "__file__": holdout}
    exec(compile(Path(holdout).read_bytes(), holdout, "exec"), own)
    found = [_case(*case) for case in islice(own["cases"](Random(int(seed))), int(most))]
    Path(out, "cases.json").write_text(json.dumps(found))


def _case(call: str, arguments: Any, expected: Any, then: Any = ()) -> Mapping[str, Any]:
    raises = isinstance(expected, type) and issubclass(expected, BaseException)
    right = {"raises": expected.__name__} if raises else told(expected)
    calls = [[call, *(told(part) for part in arguments)]]
    calls += [[name, *(told(part) for part in parts)] for name, parts in then]
    for said in (*(part for call in calls for part in call[1:]), None if raises else right):
        heard(said)  # or the work could not be asked, or be right
    return {"calls": calls, "expected": right}


def answer(calls: str, sources: str, out: str) -> None:
    """Write an answer to each case."""
    sys.dont_write_bytecode = True
    asked = json.loads(Path(calls).read_text())
    dumps, to = json.dumps, Path(out, "answers.json")
    sys.path.insert(0, sources)
    to.write_text(dumps([_answer(case) for case in asked]))


def _answer(calls: list[Any]) -> Any:
    try:
        (name, *arguments), *then = calls
        module, _, inside = name.partition(":")
        made = answered = attrgetter(inside)(import_module(module))(*map(heard, arguments))
        for name, *arguments in then:
            answered = getattr(made, name)(*map(heard, arguments))
        return {"is": told(answered)}
    except BaseException as error:  # noqa: BLE001 - what it raises is the answer
        return {"raises": [kind.__name__ for kind in type(error).__mro__]}


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(*sys.argv[2:])
    else:
        answer(*sys.argv[2:])
