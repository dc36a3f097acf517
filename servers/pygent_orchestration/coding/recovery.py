"""What is done when something fails: its class, and what that asks for. Tables, and no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pygent_orchestration.coding.work import Class, Failure


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What a class of failure asks for.

    Args:
        again: how often the same is simply done again, which is no attempt of the coder's.
        wait: seconds before that, doubled each time.
        is_told: whether the coder is then told why, and tries anew; else the task has failed.
    """

    again: int = 0
    wait: float = 0.0
    is_told: bool = False


RECOVERIES: Mapping[Class, Recovery] = {
    "model_limit": Recovery(again=3, wait=20.0),
    "timeout": Recovery(is_told=True),
    "gate_red": Recovery(is_told=True),
    "review": Recovery(is_told=True),
    "conflict": Recovery(is_told=True),
    "tool_error": Recovery(again=2, wait=2.0),
    "crash": Recovery(again=2, wait=1.0),
    "stuck": Recovery(),
    "refused": Recovery(),
}
"""Of each class. A limit of a model's passes by itself; a server comes back; what a coder did wrong it is
told; who goes round in circles, or refuses, would do so again."""

_BY_ERROR: Mapping[str, Class] = {
    "TooMany": "model_limit",
    "ModelFailed": "model_limit",
    "BudgetSpent": "model_limit",
    "TimeoutError": "timeout",
    "ServerUnavailable": "tool_error",
    "ConnectionLost": "tool_error",
    "Red": "refused",
    "UnknownName": "refused",
    "InvalidArgument": "refused",
    "FileRefused": "refused",
    "ConfigInvalid": "refused",
    "NotAllowed": "refused",
    "IllegalMove": "refused",
    "SandboxMissing": "refused",
    "MissingExtra": "refused",
}
_BY_TEXT: tuple[tuple[str, Class], ...] = (
    (r"allowance of all of the agent's runs", "refused"),
    (r"budget of [\d.,]+ s is spent|took more than [\d.]+ s|timed? ?out|did not answer", "timeout"),
    (r"is spent, and so it was stopped|rate.?limit|\b429\b|overloaded|quota|at its limit of", "model_limit"),
    (r"context (length|window)|too many tokens|gives no answer", "model_limit"),
    (r"says nothing of any use|round in circles|did the same .* again", "stuck"),
    (r'^Server "|cannot be reached|connection (was )?(lost|closed|reset|refused)', "tool_error"),
)


def classed(error: str, why: str, *, otherwise: Class = "crash") -> Failure:
    """A failure by the class of an error and its words, such as those of another server, whose errors have
    no class here.

    Args:
        error: the name of the error's class; "" where it has none.
        otherwise: what it is if neither tells.
    """
    for pattern, kind in _BY_TEXT:
        if re.search(pattern, why, re.IGNORECASE):
            return Failure(kind=kind, why=why)
    return Failure(kind=_BY_ERROR.get(error, otherwise), why=why)


def pause(recovery: Recovery, before: int) -> float:
    """Seconds to wait when the same was done again so many times before."""
    return recovery.wait * float(2**before)
