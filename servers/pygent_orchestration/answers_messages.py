"""What the tools for messages answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from pygent_orchestration.bus.bus import Delivery
from pygent_orchestration.bus.in_process import IN_PROCESS
from pygent_orchestration.bus.message import AgentMessage

MOST_TEXT = 2_000
"""Of a payload in a text for a model."""
_BUS = "redis; or in-process: it ends with this process, and reaches no other."


class MessageRow(BaseModel):
    id: str
    sender: str
    recipient: str
    type: str
    payload: dict[str, Any]
    timestamp: str
    correlation_id: str
    receipt: str = Field(default="", description="For receive_messages(done=…).")

    @classmethod
    def of(cls, message: AgentMessage, receipt: str = "") -> MessageRow:
        return cls(**message.model_dump(mode="json"), receipt=receipt)

    def line(self) -> str:
        said = json.dumps(self.payload, ensure_ascii=False)
        about = f" about {self.correlation_id}" if self.correlation_id else ""
        end = "…" if len(said) > MOST_TEXT else ""
        return f"{self.type} of {self.sender} to {self.recipient}{about}: {said[:MOST_TEXT]}{end}"


class SentAnswer(BaseModel):
    id: str = Field(description="Of the message.")
    bus: str = Field(description=_BUS)
    answer: MessageRow | None = None
    next: str = ""

    @classmethod
    def of(cls, message: AgentMessage, came: AgentMessage | None, waited: float, bus: str) -> SentAnswer:
        is_late = waited and came is None
        next = f'Nobody answered in {waited:g} s. Look later: receive_messages(reader="{message.sender}").'
        row = MessageRow.of(came) if came else None
        return cls(id=message.id, bus=bus, answer=row, next=next if is_late else "")

    def text(self) -> str:
        where = "" if self.bus != IN_PROCESS else ", within this process: no other hears it"
        return self.answer.line() if self.answer else self.next or f"It is sent{where}."


class MessagesAnswer(BaseModel):
    messages: list[MessageRow]
    bus: str = Field(description=_BUS)

    @classmethod
    def of(cls, found: Sequence[Delivery], kind: str) -> MessagesAnswer:
        return cls(messages=[MessageRow.of(each.message, each.receipt) for each in found], bus=kind)

    def text(self) -> str:
        rows = [f"{row.line()} [receipt {row.receipt}]" for row in self.messages]
        return "\n".join(rows) or "There are none."


class WorkerRow(BaseModel):
    """A process at work, as it last said."""

    process: str = Field(description="As in `running`.")
    host: str
    pid: int
    running: int
    limit: int = Field(description="How many it takes at once.")
    since: str
    heard: str = Field(description="When it last said so.")

    @classmethod
    def of(cls, beat: AgentMessage) -> WorkerRow:
        said = beat.payload
        return cls(
            process=said["executor"],
            heard=beat.timestamp.isoformat(timespec="milliseconds"),
            **{name: said[name] for name in ("host", "pid", "running", "limit", "since")},
        )

    def line(self) -> str:
        return f"{self.host}, pid {self.pid}: at {self.running} of {self.limit}, since {self.since}"
