"""Arguments that several tools take, as a model reads them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pygent_memory.memory import Told


def optional(description: str = "") -> Any:
    """What may be left out, and is then empty: a model need not read that of each."""
    return Field(description=description or None, json_schema_extra=without_default)


def without_default(schema: dict[str, Any]) -> None:
    """Take out of an argument's schema what it is when it is left out."""
    schema.pop("default", None)


Text = Annotated[str, optional()]
Space = Annotated[str, optional("A separate memory. Empty: the default one.")]
KindArgument = Annotated[
    Told,
    Field(description="episodic: what happened; semantic: what is so; procedural: how to; working: for now."),
]
Tags = Annotated[list[str], optional("Labels, such as a project's name.")]
Importance = Annotated[float, Field(ge=0, le=1, description="Moves a result up a little.")]
OccurredAt = Annotated[str, optional("ISO 8601 day or time, such as 2025-03-01.")]
Ids = Annotated[list[str], Field(description="Ids as memory_add or memory_search gave them.")]
