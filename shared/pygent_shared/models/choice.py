"""The choice of a model by rule: the first of those asked for that can do what is needed, takes as much as is
needed, costs no more than there is, and whose key is there. The others that fit follow when it fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from pygent_shared import models
from pygent_shared.errors import InvalidArgument
from pygent_shared.models.table import Capability, Row, Table

ANSWER_TOKENS = 4096
"""Of a request's context, kept free for what the model answers."""


class Needs(BaseModel):
    """What a run needs of a model: `context` tokens go in and come out at once, and one such request costs no
    more than `usd`."""

    capabilities: frozenset[Capability] = frozenset()
    context: int = 0
    usd: float | None = None


class Passed(BaseModel):
    """A model that was passed over, and why."""

    model: str
    why: str


class Choice(BaseModel):
    """The models of a run: the first is used, each other when those before it have failed."""

    names: list[str]
    why: str
    passed: list[Passed]


def choose(names: Sequence[str], needs: Needs, table: Table, environ: Mapping[str, str]) -> Choice:
    """The models that may be used, in order. `auto` among the names stands for all that fit, as the table has
    them; a model that is named is taken at its word.

    Raises:
        InvalidArgument: there is none.
    """
    found: list[str] = []
    passed: list[Passed] = []
    reasons: dict[str, str] = {}
    for name in names:
        rows = list(table) if name == models.AUTO else [Row(name=name)]
        for row in (row for row in rows if row.name not in found):
            fits = needs if name == models.AUTO else Needs()
            if why := misfit(row, fits, environ):
                passed.append(Passed(model=row.name, why=why))
            else:
                found.append(row.name)
                reasons[row.name] = (
                    _fits(needs) if name == models.AUTO else "the first named that has its key"
                )
    if models.HOST in found:  # it does not fail, it waits: nobody after it would be asked
        found.remove(models.HOST)
        found.append(models.HOST)
    if not found:
        raise _none(names, needs, passed)
    return Choice(names=found, why=reasons[found[0]], passed=passed)


def misfit(row: Row, needs: Needs, environ: Mapping[str, str]) -> str:
    """Why a model cannot be used, as a clause; "" where it can."""
    if lacking := sorted(needs.capabilities - set(row.capabilities)):
        return f"has no {lacking[0]}"
    if row.context is not None and row.context < needs.context:
        return f"takes {row.context:,} tokens"
    if needs.usd is not None:
        usd = row.usd(needs.context, min(ANSWER_TOKENS, needs.context))
        if usd is None:
            return "has no price in the table"
        if usd > needs.usd:
            return f"costs up to ${usd:.4f} a request"
    variable = row.needs or models.KEYS.get(row.name.partition(":")[0], "")
    return f"needs {variable}" if variable and not environ.get(variable) else ""


def _fits(needs: Needs) -> str:
    parts = [*sorted(needs.capabilities), f"room for {needs.context:,} tokens"]
    if needs.usd is not None:
        parts.append(f"a price within ${needs.usd:g}")
    return f"the first in the table with {', '.join(parts)} and its key"


def _none(names: Sequence[str], needs: Needs, passed: Sequence[Passed]) -> InvalidArgument:
    keys = sorted({item.why.removeprefix("needs ") for item in passed if item.why.startswith("needs ")})
    said = "; ".join(f"{item.model} {item.why}" for item in passed)
    why = f"none of {', '.join(names)} can be used: {said or 'the table is empty'}"
    if keys:
        return InvalidArgument("model", why, f'Set {" or ".join(keys)}, or add "host": your own model.')
    cure = "Ask for less (needs, budget), or put a model that fits into the file that PYGENT_MODELS names."
    return InvalidArgument("model", why, cure)
