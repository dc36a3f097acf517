"""What runs spend, and what they may: counted after each answer of a model, looked at before the next one. An
answer that is paid for is never thrown away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pygent_factory.spec import Allowance
from pygent_shared.durable.deadline import Deadline
from pygent_shared.durable.status import Step
from pygent_shared.errors import BudgetSpent
from pygent_shared.models.table import Table

if TYPE_CHECKING:
    from pydantic_ai.usage import RequestUsage

WORDS = {"requests": "{:g} request(s)", "tokens": "{:,.0f} tokens", "usd": "${:g}", "seconds": "{:g} s"}


@dataclass
class Spent:
    """What was spent; `usd` is None where a price is not known."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def add(self, other: Spent) -> None:
        """Add what was spent elsewhere."""
        self.requests += other.requests
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.usd = None if self.usd is None or other.usd is None else self.usd + other.usd
        self.seconds += other.seconds

    @classmethod
    def traced(cls, trace: Mapping[str, Any], seconds: float) -> Spent:
        """What a run has spent that has ended."""
        counted = {name: trace["usage"][name] for name in ("requests", "input_tokens", "output_tokens")}
        return cls(**counted, usd=trace.get("usd"), seconds=seconds)

    @classmethod
    def stepped(cls, steps: Iterable[Step], prices: Table, seconds: float) -> Spent:
        """What a run has spent that left no trace, by the answers of models among its steps."""
        spent = cls(seconds=seconds)
        for said in (step.result for step in steps if step.name.startswith("model ") and step.result):
            tokens = {name: said["usage"].get(name) or 0 for name in ("input_tokens", "output_tokens")}
            known = said["usage"].get("cost")
            usd = prices.usd(
                f"{said['provider_name']}:{said['model_name']}",
                tokens["input_tokens"],
                tokens["output_tokens"],
                said["usage"].get("cache_read_tokens") or 0,
                known=known if known is None else float(known),
            )
            spent.add(cls(requests=1, **tokens, usd=usd))
        return spent


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What may be spent: `field` of a spec's budget or allowance, and what was spent of it before."""

    group: str
    field: str
    most: float
    before: float = 0.0

    def spent(self) -> BudgetSpent:
        """The error that says that it is."""
        whose = "The run's budget" if self.group == "budget" else "The allowance of all of the agent's runs"
        cure = f'configure_agent(…, more={{"{self.group}": {{"{self.field}": …}}}})'
        return BudgetSpent(whose, WORDS[self.field].format(self.most), f"Give it more: {cure}.")


def limits(group: str, of: Allowance, before: Spent | None = None) -> list[Limit]:
    """The limits that a budget or an allowance sets."""
    return [
        Limit(group=group, field=field, most=most, before=getattr(before, field) or 0 if before else 0)
        for field in type(of).model_fields
        if (most := getattr(of, field)) is not None
    ]


def exhausted(of: Sequence[Limit], spent: Spent) -> Limit | None:
    """The first limit that has been reached."""
    return next(
        (limit for limit in of if limit.before + (getattr(spent, limit.field) or 0) >= limit.most), None
    )


class Meter:
    """What one run spends.

    Args:
        limits: what it may.
        prices: what models cost.
    """

    def __init__(self, limits: Sequence[Limit], prices: Table) -> None:
        self._limits = [limit for limit in limits if limit.field != "seconds"]
        self._prices = prices
        self.spent = Spent()

    def check(self) -> None:
        """Do nothing. Raises BudgetSpent: there is nothing left for another request."""
        if limit := exhausted(self._limits, self.spent):
            raise limit.spent()

    def add(self, model: str, usage: RequestUsage) -> None:
        """Count an answer of a model."""
        known = None if usage.cost is None else float(usage.cost)
        usd = self._prices.usd(
            model, usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, known=known
        )
        tokens = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        self.spent.add(Spent(requests=1, **tokens, usd=usd))


async def deadline(of: Sequence[Limit]) -> Deadline:
    """When a run must have ended: a step of it, where time is limited."""
    timed = [limit for limit in of if limit.field == "seconds"]
    first = min(timed, key=lambda limit: limit.most - limit.before, default=None)
    if first is None:
        return Deadline()
    return await Deadline.within(first.most - first.before, first.spent)
