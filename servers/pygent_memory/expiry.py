"""How long a memory is kept: until when it was told to be, and a working memory for a week.

What has expired is in no answer from that second on; `sweeping` takes it out of the database later.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pygent_memory.memory import NEVER, Draft, moment, utc
from pygent_shared.errors import InvalidArgument

WORKING_DAYS = 7
"""How long a working memory is kept unless somebody says otherwise."""

LONGEST_DAYS = 36_500


def expiry(draft: Draft, now: str) -> str:
    """When a draft that is kept now expires; "" for never."""
    if draft.expires_at == NEVER:
        return ""
    if not draft.expires_at and draft.kind == "working":
        return after(WORKING_DAYS, now)
    return draft.expires_at


def told_expiry(expires_at: str, ttl_days: float, now: str) -> str:
    """The expiry that a caller names by a time or by days from now: a moment, "never", or "" for neither.

    Raises:
        InvalidArgument: both are named, or it is no date, past, or beyond a hundred years.
    """
    if expires_at and ttl_days:
        raise InvalidArgument("ttl_days", "came together with expires_at", "Send one of the two.")
    if not 0 <= ttl_days <= LONGEST_DAYS:
        why = f"is {ttl_days:g}, and it must be 0 to {LONGEST_DAYS:,}"
        raise InvalidArgument("ttl_days", why, f'Send a number of days, or expires_at="{NEVER}".')
    if ttl_days:
        return after(ttl_days, now)
    if expires_at.strip() == NEVER:
        return NEVER
    if (told := moment(expires_at, "expires_at")) and told <= now:
        cure = "Take a later time, or take the memory out: memory_forget."
        raise InvalidArgument("expires_at", f"{told} has passed", cure)
    return told


def after(days: float, now: str) -> str:
    """The time so many days after another."""
    return utc(datetime.fromisoformat(now) + timedelta(days=days))
