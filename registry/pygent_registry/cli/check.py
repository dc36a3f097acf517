"""One thing that `pygent doctor` looked at, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["ok", "warn", "fail"]
Facts = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing looked at. `facts` are for machines."""

    level: Level
    subject: str
    finding: str
    cure: str = ""
    facts: Facts = field(default_factory=dict)


def ok(subject: str, finding: str, facts: Facts | None = None) -> Check:
    return Check(level="ok", subject=subject, finding=finding, facts=facts or {})


def warn(subject: str, finding: str, cure: str, facts: Facts | None = None) -> Check:
    return Check(level="warn", subject=subject, finding=finding, cure=cure, facts=facts or {})


def fail(subject: str, finding: str, cure: str, facts: Facts | None = None) -> Check:
    return Check(level="fail", subject=subject, finding=finding, cure=cure, facts=facts or {})
