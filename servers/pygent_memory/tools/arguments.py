"""Arguments that several tools take, as a model reads them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pygent_memory.memory import Told, unicode_text
from pygent_shared.errors import InvalidArgument


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

MAX_IDS = 100


def some(ids: list[str]) -> list[str]:
    """Ids to look up.

    Raises:
        InvalidArgument: there is none, or more than 100, or one is empty.
    """
    if not ids:
        raise InvalidArgument("ids", "is empty", "Take ids from memory_search or memory_add.")
    if len(ids) > MAX_IDS:
        raise InvalidArgument("ids", f"holds {len(ids)} ids", f"Send at most {MAX_IDS} a call.")
    if not all(unicode_text(id, "ids").strip() for id in ids):
        raise InvalidArgument("ids", "holds an empty id", "Take ids from memory_search or memory_add.")
    return ids
