"""What memory_get answers about the past of memories.

The one rule: of what is forgotten it tells that and when, but nothing of what it said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from pygent_memory.answers import GetAnswer, MemoryRow, unknown_line
from pygent_memory.fencing import quoted, shortened
from pygent_memory.history import Event, History, Version


class EventRow(BaseModel):
    at: str
    what: str
    actor: str = Field(description="On whose behalf, where that is known.")
    before: dict[str, Any] = Field(description="What was other before it.")

    @classmethod
    def of(cls, event: Event, *, silent: bool) -> EventRow:
        return cls(
            at=event.at, what=event.what, actor=event.actor, before={} if silent else dict(event.before)
        )


class VersionRow(BaseModel):
    id: str
    text: str = Field(description='"" where it is forgotten.')
    recorded_at: str
    valid_from: str
    valid_to: str
    replaced_at: str
    replaced_by: str
    forgotten_at: str
    version: int
    events: list[EventRow]

    @classmethod
    def of(cls, version: Version) -> VersionRow:
        memory = version.memory
        return cls(
            id=memory.id,
            text="" if version.forgotten_at else memory.text,
            recorded_at=memory.recorded_at,
            valid_from=memory.valid_from,
            valid_to=memory.valid_to,
            replaced_at=memory.replaced_at,
            replaced_by=memory.replaced_by,
            forgotten_at=version.forgotten_at,
            version=memory.version,
            events=[EventRow.of(event, silent=bool(version.forgotten_at)) for event in version.events],
        )


class HistoryAnswer(GetAnswer):
    """`memories` as ever, and for each id that was asked for all its versions, oldest first."""

    history: dict[str, list[VersionRow]] = Field(default={}, description="By the id that was asked for.")

    @classmethod
    def told(cls, space: str, ids: Sequence[str], history: History, now: str) -> HistoryAnswer:
        """The histories of these ids, as they are known at a time."""
        versions = {id: history.of(space, id, now) for id in dict.fromkeys(ids)}
        return cls(
            space=space,
            memories=[
                MemoryRow.of(one.memory)
                for id, found in versions.items()
                for one in found
                if one.memory.id == id and not one.forgotten_at
            ],
            unknown=[id for id, found in versions.items() if not found],
            history={id: [VersionRow.of(one) for one in found] for id, found in versions.items() if found},
        )

    def text(self) -> str:
        told = [_version_text(row) for rows in self.history.values() for row in rows]
        return "\n\n".join([*told, *unknown_line(self.unknown, self.space)])


def _version_text(row: VersionRow) -> str:
    end = f"replaced by {row.replaced_by or 'another'} on {row.replaced_at}" if row.replaced_at else ""
    gone = f"forgotten on {row.forgotten_at}" if row.forgotten_at else ""
    valid = " to ".join(filter(None, [row.valid_from, row.valid_to]))
    facts = [f"version {row.version}", f"told {row.recorded_at}", valid and f"valid {valid}", end, gone]
    head = " · ".join([row.id, *filter(None, facts)])
    events = [_event_text(event) for event in row.events]
    return "\n".join([head, *filter(None, [quoted(shortened(row.text))]), *events])


def _event_text(event: EventRow) -> str:
    before = ", ".join(f"{name} was {value!r}" for name, value in event.before.items())
    by = f" by {event.actor}" if event.actor else ""
    return f"- {event.at} {event.what}{by}{f': {before}' if before else ''}"
