"""What an agent is: data. A change makes a new version, and none is ever overwritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pygent_factory.soundness import sound
from pygent_shared.errors import InvalidArgument, did_you_mean
from pygent_shared.models.table import Capability
from pygent_shared.names import checked_name

Strategy = Literal[
    "react",
    "chain_of_thought",
    "self_consistency",
    "reflexion",
    "beam",
    "depth_first",
    "best_first",
    "mcts",
]


class Allowance(BaseModel):
    """What all runs of an agent together may spend; None is without limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: int | None = Field(default=None, ge=1, description="Calls of the model.")
    tokens: int | None = Field(default=None, ge=1, description="Tokens in and out.")
    usd: float | None = Field(default=None, gt=0, description="What the model's provider asks for.")
    seconds: float | None = Field(default=None, gt=0, description="From start to end, waiting included.")


class Budget(Allowance):
    """What one run may spend before it is stopped; None is without limit."""

    requests: int | None = Field(default=50, ge=1, description="Calls of the model.")
    tokens: int | None = Field(default=500_000, ge=1, description="Tokens in and out.")


class Needs(BaseModel):
    """What an agent needs of the model that `auto` finds, besides what its tools and output ask for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    capabilities: tuple[Capability, ...] = Field(default=(), description="Such as vision.")
    context: int = Field(default=0, ge=0, description="Tokens in a request; 0: what a run begins with.")


class Spec(BaseModel):
    """One version of an agent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(description="The kind of agent it was made from.")
    description: str = Field(default="", description="What it is good for, in a sentence.")
    instructions: str = Field(default="", description="The system prompt. Empty: it is a draft.")
    model: str | tuple[str, ...] = Field(
        default="host",
        description="provider:model, host (the MCP host's own) or auto; or several, tried in their order.",
    )
    needs: Needs = Needs()
    strategy: Strategy = Field(default="react", description="How it thinks.")
    tools: tuple[str, ...] = Field(default=(), description="Patterns of peers' tools, as server__tool.")
    capabilities: tuple[str, ...] = Field(default=(), description="What it can be asked for.")
    output: dict[str, Any] | None = Field(default=None, description="JSON Schema of what it answers.")
    cites: bool = Field(default=False, description="Whether its answers are checked for their sources.")
    memory_space: str = Field(default="", description="Where its memories are; empty: its own name.")
    budget: Budget = Budget()
    allowance: Allowance = Allowance()

    @property
    def models(self) -> tuple[str, ...]:
        """The names of its models, in order."""
        return (self.model,) if isinstance(self.model, str) else self.model

    @property
    def lacking(self) -> str:
        """The field without which it cannot run; "" where it could."""
        return "" if self.instructions.strip() else "instructions"

    def changed(self, changes: Mapping[str, Any], *, begun: bool = True) -> Spec:
        """The next version.

        Args:
            begun: whether it must be able to run.

        Raises:
            InvalidArgument: a field is unknown or its value unusable.
        """
        return (checked if begun else draft)({**self.model_dump(exclude_unset=True), **changes})


def checked(data: Mapping[str, Any]) -> Spec:
    """A spec from outside that could run.

    Raises:
        InvalidArgument: a field is missing, unknown or unusable; the first that is, is named.
    """
    spec = draft(data)
    if spec.lacking:
        raise InvalidArgument(spec.lacking, "is not usable: it is empty", "Say what the agent is to do.")
    return spec


def draft(data: Mapping[str, Any]) -> Spec:
    """A spec from outside that may lack what it needs to run. Raises as `checked` does."""
    try:
        spec = Spec.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        why, cure = _clause(first["msg"]), "Mend it and send it again."
        if first["type"] == "extra_forbidden":
            why, known = "is no field", _beside(first["loc"])
            cure = f"{did_you_mean(str(first['loc'][-1]), known).strip()} The fields are: {', '.join(known)}."
        raise InvalidArgument(name or "spec", why, cure) from error
    sound(spec)
    return spec


def _beside(place: Sequence[int | str]) -> list[str]:
    """The fields there are where one stands that there is not."""
    within = Spec.model_fields[str(place[0])].annotation if len(place) > 1 else Spec
    return list(within.model_fields) if isinstance(within, type) and issubclass(within, BaseModel) else []


def agent_name(name: str) -> str:
    """A name an agent may have.

    Raises:
        InvalidArgument: it is none.
    """
    return checked_name(name, "release-notes")


def _clause(message: str) -> str:
    return f"is not usable: {message[0].lower()}{message[1:]}"
