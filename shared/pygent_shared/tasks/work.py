"""What a task is about: work that goes on by itself and is durable without any task, such as a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import mcp.types as t


@dataclass(frozen=True, kw_only=True)
class Stand:
    """Where work stands.

    Args:
        changed: when it last moved.
        message: what it is at, or waits for, in a sentence.
        asks: what it asks the client, by keys that no two of its questions share.
        result: what its call is answered with, once it has ended or cannot go on by itself.
        error: the protocol's error that it ended with.
        is_cancelled: somebody stopped it.
    """

    changed: datetime
    message: str = ""
    asks: Mapping[str, t.InputRequest] = field(default_factory=dict)
    result: t.CallToolResult | None = None
    error: t.ErrorData | None = None
    is_cancelled: bool = False

    @property
    def status(self) -> str:
        """As the extension has it."""
        if self.is_cancelled:
            return "cancelled"
        if self.error is not None:
            return "failed"
        if self.result is not None:
            return "completed"
        return "input_required" if self.asks else "working"

    @property
    def is_over(self) -> bool:
        return self.status in ("cancelled", "failed", "completed")


class Work(Protocol):
    """The work behind a server's tasks. What it raises of ours is told to the client."""

    async def handle(self, data: Mapping[str, Any]) -> str:
        """By what the work is found again that a tool has just answered with `data`."""

    async def look(self, handle: str, client: t.ClientCapabilities) -> Stand:
        """Where it stands, for a client that can do this."""

    async def answer(self, handle: str, key: str, answer: Mapping[str, Any]) -> None:
        """Take what the client answers to something that was asked. What nobody asked changes nothing.

        Raises:
            ValidationError: it is no answer to that.
        """

    async def cancel(self, handle: str) -> None:
        """Stop it; nothing, where it has ended."""


def takes_forms(client: t.ClientCapabilities) -> bool:
    """Whether a client can have its user fill in a form."""
    asks = client.elicitation
    return asks is not None and (asks.form is not None or asks.url is None)


def form(message: str, **fields: Mapping[str, Any]) -> t.ElicitRequest:
    """A form for the user; the first of its fields must be filled in."""
    schema = {"type": "object", "properties": fields, "required": [next(iter(fields))]}
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema))
