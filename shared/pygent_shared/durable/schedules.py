"""Workflows that are begun by the clock: cron expressions, each in a time zone of its own.

However many processes are at work on a store, each time of a schedule begins one workflow: its id is made of
the schedule's name and that time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter

from pygent_shared.errors import InvalidArgument

UTC = "UTC"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a workflow is begun: `argument` is what it is given, `next` the next time; None while paused;
    `failed` says why the last one has failed, if it has.
    """

    name: str
    workflow: str
    cron: str
    zone: str
    paused: bool
    argument: Any
    last: datetime | None
    next: datetime | None
    failed: str


def checked(cron: str, zone: str) -> None:
    """Look at a cron expression and a time zone.

    Raises:
        InvalidArgument: one of them is none.
    """
    if not croniter.is_valid(cron, second_at_beginning=True):
        cure = (
            'Give minute, hour, day, month and weekday, such as "30 6 * * 1-5"; a sixth, first, is seconds.'
        )
        raise InvalidArgument("cron", f"{cron!r} is no cron expression", cure)
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        cure = 'Take a name of the IANA database, such as "Europe/Berlin".'
        raise InvalidArgument("zone", f"{zone!r} is no time zone", cure) from error


def upcoming(cron: str, zone: str, now: datetime) -> datetime:
    """The first time of a cron expression after now."""
    local = now.astimezone(ZoneInfo(zone))
    found: datetime = croniter(cron, local, second_at_beginning=True).get_next(datetime)
    return found


def read(row: Mapping[str, Any], workflow: str, now: datetime, failed: str) -> Schedule:
    """A schedule as the engine keeps it."""
    zone = row["cron_timezone"] or UTC
    paused = row["status"] != "ACTIVE"
    last = row["last_fired_at"]
    return Schedule(
        name=row["schedule_name"],
        workflow=workflow,
        cron=row["schedule"],
        zone=zone,
        paused=paused,
        argument=row["context"],
        last=datetime.fromisoformat(last) if last else None,
        next=None if paused else upcoming(row["schedule"], zone, now),
        failed=failed,
    )
