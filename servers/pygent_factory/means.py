"""What a run thinks with, and within which bounds: chosen and set when it begins, the same after a crash."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pygent_factory.budgets import Limit, Meter, Spent, deadline, limits
from pygent_factory.spec import Spec
from pygent_shared import models
from pygent_shared.durable.deadline import Deadline
from pygent_shared.errors import InvalidArgument
from pygent_shared.models.choice import ANSWER_TOKENS, Choice, Needs, choose
from pygent_shared.models.table import Table, published
from pygent_shared.peers import Peers, asked_with

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from pygent_shared.models.chain import Chain

LETTERS_A_TOKEN = 4


@dataclass
class At:
    """What a run has been at in this process, and how often it has spoken: to its user, or to say what it
    needs its host's model for.
    """

    texts: list[str] = field(default_factory=list)
    spoken: int = 0

    def tell(self, text: str) -> None:
        """It begins something."""
        self.texts.append(text)

    def speak(self) -> None:
        """It has said something that is waited for."""
        self.spoken += 1


@dataclass(frozen=True, kw_only=True)
class Means:
    """Of one run: the models it may use, the one it uses, what it has spent, and when it must have ended."""

    choice: Choice
    model: Chain
    meter: Meter
    deadline: Deadline

    def told(self) -> dict[str, Any]:
        """Which model was used and why, for JSON."""
        first = self.choice.names[0]
        return {
            "used": [*(item["model"] for item in self.model.failed), self.model.current],
            "why": self.choice.why and f"{first}: {self.choice.why}",
            "passed": [item.model_dump() for item in self.choice.passed],
            "failed": self.model.failed,
        }


def needed(spec: Spec, tools: Sequence[Mapping[str, Any]], task: str, history: Sequence[Any]) -> Needs:
    """What a run needs of a model that is chosen for it."""
    given = {"tools": bool(tools), "json": spec.output is not None}
    letters = len(spec.instructions) + len(task) + len(json.dumps([*tools, *history]))
    return Needs(
        capabilities=frozenset(
            {*spec.needs.capabilities, *(name for name in ("tools", "json") if given[name])}
        ),
        context=max(spec.needs.context, letters // LETTERS_A_TOKEN + ANSWER_TOKENS),
        usd=spec.budget.usd,
    )


def usable(spec: Spec, needs: Needs, table: Table) -> Choice:
    """The models of a run, in order.

    Raises:
        InvalidArgument: none can be used, or one has no price that its budget could be kept by.
        MissingExtra: what runs agents is not installed.
    """
    choice = _named(spec) or choose(spec.models, needs, table, os.environ)
    for name in {choice.names[0], *spec.models}.intersection(choice.names) - {models.HOST}:
        models.resolve(name)  # what is wrong with it is said now
    bounds = [*limits("budget", spec.budget), *limits("allowance", spec.allowance)]
    if priced := [limit for limit in bounds if limit.field == "usd"]:
        for name in choice.names:
            if table.usd(name, 1, 1) is None and published(name) is None:
                why = f"cannot be kept: nobody knows what {name} costs"
                cure = "Put its price into the file that PYGENT_MODELS names, or leave usd out."
                raise InvalidArgument(f"{priced[0].group}.usd", why, cure)
    return choice


class InTime:
    """Peers whose calls are cut off when a run must have ended."""

    def __init__(self, peers: Peers, until: Deadline) -> None:
        self._peers = peers
        self._until = until

    async def call_tool(
        self, name: str, arguments: dict[str, Any], *, asking: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return await self._until.kept(lambda: self._peers.call_tool(name, arguments, **asked_with(asking)))

    async def list_tools(self) -> list[dict[str, Any]]:
        return await self._peers.list_tools()


async def begun(spec: Spec, needs: Needs, table: Table, before: Spent | None, at: At) -> Means:
    """The means of the run that begins: the choice of a model and the deadline are steps of it.

    Args:
        before: what the agent's other runs have spent, where it has an allowance.
        at: is told of what happens.
    """
    from pygent_shared.durable import workflow
    from pygent_shared.models.chain import Chain

    bounds: list[Limit] = [*limits("budget", spec.budget), *limits("allowance", spec.allowance, before)]
    until = await deadline(bounds)

    async def choice() -> dict[str, Any]:
        return usable(spec, needs, table).model_dump(mode="json")

    chosen = _named(spec) or Choice.model_validate(await workflow.step("choose model", choice))
    chain = Chain(chosen.names, lambda name: _made(name, until, at), at.tell)
    return Means(choice=chosen, model=chain, meter=Meter(bounds, table), deadline=until)


def _named(spec: Spec) -> Choice | None:
    """The one model that is named; None where there is something to choose."""
    if len(spec.models) > 1 or spec.models[0] == models.AUTO:
        return None
    return Choice(names=list(spec.models), why="", passed=[])


def _made(name: str, until: Deadline, at: At) -> Model:
    if name == models.HOST:
        from pygent_shared.models.host import HostModel

        return HostModel(until, at.speak)
    model = models.resolve(name)
    if name.partition(":")[0] == models.SCRIPTED:
        return model
    from pygent_shared.models.recorded import RecordedModel

    return RecordedModel(model, until)
