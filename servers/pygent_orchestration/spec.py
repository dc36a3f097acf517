"""What a workflow is: data. Its steps are a directed acyclic graph by what they need and read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pygent_orchestration.expressions import expressions, read

Type = Literal["string", "integer", "number", "boolean", "array", "object", "any"]
Kind = Literal["agent", "tool", "gate", "approval", "signal", "condition", "map", "repeat", "workflow"]

KINDS: tuple[Kind, ...] = (
    "map",
    "repeat",
    "agent",
    "tool",
    "gate",
    "approval",
    "signal",
    "condition",
    "workflow",
)
"""A step is of the first of these that it has; after `map` and `repeat` may stand `workflow`, their body."""

STEP_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

ROOTS = ("inputs", "steps", "item", "index", "last")
"""What expressions may read."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Input(_Part):
    """Something a workflow is given. Without a default it must be."""

    type: Type = "any"
    description: str = ""
    default: Any = None

    @property
    def is_required(self) -> bool:
        return "default" not in self.model_fields_set


class Action(_Part):
    """Something done once: an agent's run, a tool's call, or a command."""

    agent: str = Field(default="", description="A deployed agent of the factory, given `task`.")
    task: str = Field(default="", description="agent: what it is to do.")
    workspace: str = Field(default="", description="agent: a git repository it works on.")
    branch: str = Field(default="", description="agent: where its work begins.")
    tool: str = Field(default="", description="server__tool, given the arguments in `with`.")
    arguments: dict[str, Any] = Field(
        default={}, alias="with", description="tool, workflow: what it is given."
    )
    gate: str | tuple[str, ...] = Field(
        default="", description="A command, for sh or as words: red, with its output, unless it exits with 0."
    )
    folder: str = Field(default="", description="gate: the folder it is run in, in a copy.")


class Step(Action):
    """One node of the graph."""

    approval: str = Field(default="", description="A question; goes on when somebody approves.")
    signal: str = Field(default="", description="What is waited for: a message by `signal_workflow`.")
    condition: str = Field(default="", description="An expression; the result is its value.")
    map: Any = Field(default=None, description="A list, or an expression for one: the body is done for each.")
    repeat: int | None = Field(default=None, ge=1, le=100, description="Rounds, at most, of the body.")
    until: str = Field(
        default="", description="repeat: an expression that ends it; `last` is the round's result."
    )
    workflow: str = Field(default="", description="Another workflow; the body, where there is map or repeat.")
    steps: dict[str, Step] = Field(
        default={}, description="map, repeat: the body; reads `item`, `index`, `last`."
    )
    output: Any = Field(default=None, description="map, repeat: a template for what the body gives.")
    concurrency: int | None = Field(default=None, ge=1, description="map: how many at once.")

    needs: tuple[str, ...] = Field(default=(), description="Steps that come first, beside those it reads.")
    when: str = Field(default="", description="An expression; where it is false the step is skipped.")
    retries: int = Field(default=0, ge=0, le=20, description="How often it is tried again.")
    retry_wait: float = Field(
        default=1.0, ge=0, description="Seconds before the first retry; doubled each time."
    )
    timeout: float | None = Field(
        default=None, gt=0, description="Seconds that it, or one try of it, may take."
    )
    optional: bool = Field(default=False, description="Whether the rest goes on, with null, when it fails.")
    undo: Action | None = Field(
        default=None, description="What takes it back when a later step fails, or the workflow is cancelled."
    )

    @property
    def kind(self) -> Kind:
        return next(kind for kind in KINDS if getattr(self, kind) not in ("", None, ()))

    @property
    def has_body(self) -> bool:
        """Whether it is done for each item, or in rounds."""
        return self.kind in ("map", "repeat")

    def templates(self) -> Iterator[tuple[str, Any]]:
        """Its templates by field; `map` without braces, `when`, `until` and `condition` are made ones."""
        for field in ("agent", "task", "workspace", "branch", "tool", "gate", "folder", "approval"):
            yield field, getattr(self, field)
        if not self.has_body:
            yield "with", self.arguments
        for field in ("when", "condition"):
            yield field, braced(getattr(self, field))
        yield "map", braced(self.map) if isinstance(self.map, str) else self.map
        if self.undo is not None:
            yield "undo", self.undo.model_dump(exclude_unset=True)

    def inner_templates(self) -> Iterator[tuple[str, Any]]:
        """Those that are filled in its body."""
        yield "until", braced(self.until)
        if self.has_body:
            yield "with", self.arguments
        yield "output", self.output


Step.model_rebuild()


class Definition(_Part):
    """One version of a workflow."""

    description: str = Field(default="", description="What it is for, in a sentence.")
    inputs: dict[str, Input] = {}
    steps: dict[str, Step] = Field(min_length=1)
    output: Any = Field(default=None, description="A template; empty: what the last steps gave.")
    concurrency: int = Field(default=16, ge=1, le=1000, description="How many of its steps run at once.")

    def walk(self) -> Iterator[Step]:
        """All its steps, those in bodies too."""
        yield from _walk(self.steps)

    @property
    def uses(self) -> set[str]:
        """The workflows that its steps name."""
        return {step.workflow for step in self.walk() if step.workflow}

    @property
    def tools(self) -> set[str]:
        """The tools that its steps name, but for those that are only known at run time."""
        actions = [action for step in self.walk() for action in (step, step.undo) if action]
        return {action.tool for action in actions if action.tool and "{{" not in action.tool}

    @property
    def has_agents(self) -> bool:
        """Whether agents are at work in it."""
        return any(action.agent for step in self.walk() for action in (step, step.undo) if action)


def _walk(steps: Mapping[str, Step]) -> Iterator[Step]:
    for step in steps.values():
        yield step
        yield from _walk(step.steps)


def braced(expression: str) -> str:
    """An expression as a template that is nothing else."""
    stripped = expression.strip()
    return stripped if not stripped or stripped.startswith("{{") else f"{{{{ {stripped} }}}}"


def bare(expression: str) -> str:
    """An expression without the braces it may have."""
    return braced(expression).strip()[2:-2]


def steps_read(step: Step) -> set[str]:
    """The steps whose results a step, or its body, reads from around it."""
    names = _names(template for _, template in step.templates())
    inner = _names(template for _, template in step.inner_templates())
    for part in step.steps.values():
        inner |= steps_read(part)
    return names | (inner - set(step.steps))


def _names(templates: Iterator[Any]) -> set[str]:
    return {
        key
        for template in templates
        for expression in expressions(template)
        for root, key in read(expression)
        if root == "steps" and key
    }
