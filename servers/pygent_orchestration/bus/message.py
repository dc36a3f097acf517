"""What is said on the bus, by whom, and to whom.

The one rule: the type of a message says whether it may be lost. Progress and heartbeats go to those who
listen at that moment; everything else is kept until whom it is for has dealt with it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MessageType = Literal[
    "TASK_ASSIGNMENT", "TASK_RESULT", "COORDINATION", "PROGRESS_UPDATE", "ERROR", "HEARTBEAT"
]

FLEETING: frozenset[MessageType] = frozenset({"PROGRESS_UPDATE", "HEARTBEAT"})
"""Types of which one that nobody hears is lost."""

EVERYBODY = "*"
TOPIC = "#"
"""Before the name of a topic."""
PROGRESS = "#progress"
"""Where all work tells how far it is."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,199}")


def is_name(address: str) -> bool:
    """Whether it is one's own address: of an agent, a workflow, a host."""
    return _NAME.fullmatch(address) is not None


def is_address(address: str) -> bool:
    """Whether something can be sent there: to one, to a topic or to everybody."""
    return address == EVERYBODY or is_name(address.removeprefix(TOPIC))


def _sender(address: str) -> str:
    if is_name(address):
        return address
    raise ValueError('an address is letters, digits and _ . : / -, such as "agent/coder"')


def _recipient(address: str) -> str:
    if is_address(address):
        return address
    raise ValueError('give a name such as "agent/coder", a topic such as "#design", or "*" for everybody')


def _now() -> datetime:
    return datetime.now(UTC)


class AgentMessage(BaseModel):
    """A message. Those of one id are one message, however often it is sent; a request and its answers have
    one correlation id."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(default_factory=lambda: uuid4().hex, min_length=1, max_length=200)
    sender: Annotated[str, AfterValidator(_sender)]
    recipient: Annotated[str, AfterValidator(_recipient)]
    type: MessageType
    payload: dict[str, Any] = {}
    timestamp: datetime = Field(default_factory=_now)
    correlation_id: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether it must arrive."""
        return self.type not in FLEETING

    def answered(self, type: MessageType, payload: dict[str, Any], sender: str) -> AgentMessage:
        """An answer to it, for its sender."""
        return AgentMessage(
            sender=sender,
            recipient=self.sender,
            type=type,
            payload=payload,
            correlation_id=self.correlation_id or self.id,
        )
