"""Where a durable workflow stands, and what it has done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

State = Literal["waiting", "running", "done", "failed", "cancelled"]

UNENDED: tuple[State, ...] = ("waiting", "running")

_STATES: dict[str, State] = {
    "ENQUEUED": "waiting",
    "DELAYED": "waiting",
    "PENDING": "running",
    "SUCCESS": "done",
    "ERROR": "failed",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
    "CANCELLED": "cancelled",
}


@dataclass(frozen=True, kw_only=True)
class Status:
    """Where a workflow stands. `error` says why it failed; `executor` is the process last at work on it."""

    id: str
    workflow: str
    state: State
    result: Any = None
    error: str = ""
    executor: str = ""
    started: datetime
    changed: datetime


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step that was done, and what it gave."""

    number: int
    name: str
    result: Any = None
    error: str = ""
    started: datetime
    ended: datetime


def stands(found: Any) -> Status:
    """A workflow as DBOS has it."""
    return Status(
        id=found.workflow_id,
        workflow=found.name.partition("@")[0],
        state=_STATES[found.status],
        result=found.output,
        error=str(found.error or ""),
        executor=found.executor_id or "",
        started=_time(found.created_at),
        changed=_time(found.updated_at),
    )


def done(step: Mapping[str, Any]) -> Step:
    """A step as DBOS has it."""
    return Step(
        number=step["function_id"],
        name=step["function_name"],
        result=step["output"],
        error=str(step["error"] or ""),
        started=_time(step["started_at_epoch_ms"]),
        ended=_time(step["completed_at_epoch_ms"]),
    )


def _time(milliseconds: int | None) -> datetime:
    return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC)
