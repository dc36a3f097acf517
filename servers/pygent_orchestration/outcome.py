"""What came of a step, as it is written down."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Outcome(BaseModel):
    """Either a value, or an error, or nothing where it was skipped."""

    value: Any = None
    error: str = ""
    skipped: bool = False
    attempts: int = 1
    run: str = ""
    """Of an agent: the factory's id."""
    usage: dict[str, Any] = {}
    """What it used of models: requests, tokens."""

    @property
    def is_failed(self) -> bool:
        return bool(self.error)
