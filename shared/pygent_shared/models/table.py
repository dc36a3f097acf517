"""Which models there are to choose from, as data: the rows of `configs/models.toml`, and before them those of
a file of the user's own.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pygent_shared import models
from pygent_shared.errors import ConfigInvalid, FileRefused, InvalidArgument
from pygent_shared.shipped import shipped

Capability = Literal["tools", "json", "vision", "reasoning"]

MILLION = 1_000_000


class Row(BaseModel):
    """A model: what it can do, what it takes, and what a million tokens cost in dollars. None: not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    capabilities: tuple[Capability, ...] = ()
    context: int | None = Field(default=None, ge=1)
    usd_in: float | None = Field(default=None, ge=0)
    usd_cached: float | None = Field(default=None, ge=0)
    usd_out: float | None = Field(default=None, ge=0)
    needs: str = ""

    def usd(self, tokens_in: int, tokens_out: int, cached: int = 0) -> float | None:
        """What so many tokens cost, `cached` of those that go in at the price of such; None is not known."""
        if self.usd_in is None or self.usd_out is None:
            return None
        price = self.usd_in if self.usd_cached is None else self.usd_cached
        return ((tokens_in - cached) * self.usd_in + cached * price + tokens_out * self.usd_out) / MILLION


class Table:
    """All models to choose from, in the order in which they are preferred.

    Args:
        own: the file of the user's rows; "" where there is none.

    Raises:
        FileRefused, ConfigInvalid: it cannot be read, or is no such table.
    """

    def __init__(self, own: str = "") -> None:
        self.own = _read(Path(own).expanduser()) if own else {}

    def __iter__(self) -> Iterator[Row]:
        yield from self.own.values()
        yield from (row for name, row in _shipped().items() if name not in self.own)

    def usd(
        self, name: str, tokens_in: int, tokens_out: int, cached: int = 0, known: float | None = None
    ) -> float | None:
        """What so many tokens of a model cost: by the user's row; else what is `known` of it elsewhere; else
        by the row that is shipped. What runs on one's own machine, or is read from a file, costs nothing."""
        if name in self.own:
            return self.own[name].usd(tokens_in, tokens_out, cached)
        if known is not None:
            return known
        if name.partition(":")[0] in (models.SCRIPTED, "ollama"):
            return 0.0
        row = _shipped().get(name)
        return None if row is None else row.usd(tokens_in, tokens_out, cached)


@cache
def _shipped() -> dict[str, Row]:
    """The rows that come with the program."""
    return _read(shipped("models.toml"))


def published(name: str) -> float | None:
    """What a million tokens in and as many out cost, as published; None where that is not known."""
    from genai_prices import Usage, calc_price

    provider, _, model = name.partition(":")
    try:
        usage = Usage(input_tokens=MILLION, output_tokens=MILLION)
        return float(calc_price(usage, model, provider_id=provider).total_price)
    except LookupError:
        return None


def _read(path: Path) -> dict[str, Row]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        cure = "Check PYGENT_MODELS."
        raise FileRefused(path, f"cannot be read: {error.strerror}", cure) from error
    except ValueError as error:
        raise ConfigInvalid(path, f"is no TOML: {error}", "Mend that line.") from error
    if data.keys() != {"model"} or not isinstance(data["model"], list):
        raise ConfigInvalid(path, "is no table of models", 'Write each as [[model]] with a name = "…".')
    rows = [_row(path, number, item) for number, item in enumerate(data["model"], 1)]
    if twice := _twice(row.name for row in rows):
        raise ConfigInvalid(path, f'has the model "{twice}" twice', "Remove one of the two rows.")
    return {row.name: row for row in rows}


def _row(path: Path, number: int, data: object) -> Row:
    try:
        row = Row.model_validate(data)
        models.checked(row.name)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "it"
        why = f"cannot be used: in model {number}, {field}: {first['msg'][0].lower()}{first['msg'][1:]}"
        known = (
            f"A model has {', '.join(Row.model_fields)}; capabilities are {', '.join(get_args(Capability))}."
        )
        raise ConfigInvalid(path, why, known) from error
    except InvalidArgument as error:
        why = f"cannot be used: in model {number}, {row.name!r} names no model"
        raise ConfigInvalid(path, why, "Write provider:model, such as ollama:qwen3.") from error
    return row


def _twice(names: Iterable[str]) -> str:
    """A name that is there more than once; "" where none is."""
    return next((name for name, count in Counter(names).items() if count > 1), "")
