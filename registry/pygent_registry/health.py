"""The life of a connection to a server, as a table, and when it is started again. What is absent is illegal.

    connecting ──up──> ready ──doubted──> degraded
        │                │ <──recovered────── │
        ├────────────────┴────────────────────┤
        │ ended                               │ tripped
        v                                     v
     backoff ──retry──> connecting         failed ──retry──> connecting

    every state ──stop──> stopped

`degraded` is up, but not answering as it should: see `pulse.py` and `offer.py` for what raises the doubt and
what settles it. `backoff` waits for the next start: 0.2 s at first, then twice as long each time up to 30 s,
each with jitter. `failed` is an open circuit breaker: five ends within a minute, and it is left alone for a
minute, then tried once (half open); each try that fails doubles that, up to ten minutes. A minute up closes
the breaker and begins anew at 0.2 s. A server that was never reached and one that died are treated alike.

Jitter is "equal": half of the delay is certain, half is chance, so that many servers that went down together
do not come back together, and none is started in a tight loop (M. Brooker, "Exponential Backoff and Jitter",
AWS Architecture Blog, 2015; "Timeouts, retries, and backoff with jitter", Amazon Builders' Library).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["idle", "connecting", "ready", "degraded", "backoff", "failed", "stopped"]
Event = Literal["start", "up", "doubted", "recovered", "ended", "tripped", "retry", "stop"]

TABLE: dict[tuple[State, Event], State] = {
    ("idle", "start"): "connecting",
    ("idle", "stop"): "stopped",
    ("connecting", "up"): "ready",
    ("connecting", "ended"): "backoff",
    ("connecting", "tripped"): "failed",
    ("connecting", "stop"): "stopped",
    ("ready", "doubted"): "degraded",
    ("ready", "ended"): "backoff",
    ("ready", "tripped"): "failed",
    ("ready", "stop"): "stopped",
    ("degraded", "recovered"): "ready",
    ("degraded", "ended"): "backoff",
    ("degraded", "tripped"): "failed",
    ("degraded", "stop"): "stopped",
    ("backoff", "retry"): "connecting",
    ("backoff", "stop"): "stopped",
    ("failed", "retry"): "connecting",
    ("failed", "stop"): "stopped",
    ("stopped", "stop"): "stopped",
}

UP: tuple[State, ...] = ("ready", "degraded")
DOWN: tuple[State, ...] = ("backoff", "failed", "stopped")

FIRST_DELAY = 0.2
LONGEST_DELAY = 30.0
STABLE_SECONDS = 60.0

MOST_ENDS = 5
ENDS_SECONDS = 60.0
FIRST_BREAK = 60.0
LONGEST_BREAK = 600.0
# A call to a server whose breaker is open has it tried at once, but not more often than this.
PROBE_SECONDS = 5.0


def after(state: State, event: Event) -> State:
    """The state after an event.

    Raises:
        ValueError: the event cannot happen in that state.
    """
    try:
        return TABLE[state, event]
    except KeyError:
        raise ValueError(f"a connection that is {state} cannot have the event {event}") from None


@dataclass(frozen=True, kw_only=True)
class Record:
    """How a server has ended lately: what decides when it is started again. It is told the time."""

    ends: tuple[float, ...] = ()
    """When it ended, the last time last; of those that count."""
    delay: float = 0.0
    """Seconds before the next start while the breaker is closed, without jitter."""
    breaks: int = 0
    """How often the breaker has opened without the server having been stable since; 0 is closed."""

    def ended(self, now: float, seconds_up: float) -> Record:
        """The record after one more end, of a life that was up for so long."""
        before = Record() if seconds_up >= STABLE_SECONDS else self
        ends = (*(at for at in before.ends if now - at < ENDS_SECONDS), now)
        delay = min(before.delay * 2, LONGEST_DELAY) or FIRST_DELAY
        opens = before.breaks > 0 or len(ends) >= MOST_ENDS
        return Record(ends=ends, delay=delay, breaks=before.breaks + opens)

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open: the next start is a single try."""
        return self.breaks > 0

    def wait(self, chance: float) -> float:
        """Seconds until the next start, for a chance from 0 to 1."""
        nominal = self.delay
        if self.is_open:
            nominal = min(FIRST_BREAK * 2 ** (self.breaks - 1), LONGEST_BREAK)
        return nominal / 2 + nominal / 2 * chance

    def lately(self, now: float) -> int:
        """How often it ended within the last minute."""
        return sum(now - at < ENDS_SECONDS for at in self.ends)

    def may_be_tried(self, now: float) -> bool:
        """Whether somebody who needs it now may have it started before its time."""
        return not self.ends or now - self.ends[-1] >= PROBE_SECONDS
