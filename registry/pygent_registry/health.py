"""The life of a connection to a server, as a table. What is absent is illegal.

    starting ──up──> ready ──lost──> waiting ──retry──> starting
        └────failed──────────────────────┘
    every state ──stop──> stopped

A server that was never reached and one that died are both `waiting`: it is started again after a delay that
doubles from 0.2 s to 30 s, and begins anew at 0.2 s once it stayed ready for a minute.
"""

from __future__ import annotations

from typing import Literal

State = Literal["idle", "starting", "ready", "waiting", "stopped"]
Event = Literal["start", "up", "failed", "lost", "retry", "stop"]

TABLE: dict[tuple[State, Event], State] = {
    ("idle", "start"): "starting",
    ("idle", "stop"): "stopped",
    ("starting", "up"): "ready",
    ("starting", "failed"): "waiting",
    ("starting", "stop"): "stopped",
    ("ready", "lost"): "waiting",
    ("ready", "stop"): "stopped",
    ("waiting", "retry"): "starting",
    ("waiting", "stop"): "stopped",
    ("stopped", "stop"): "stopped",
}

FIRST_DELAY = 0.2
LONGEST_DELAY = 30.0
STABLE_SECONDS = 60.0


def after(state: State, event: Event) -> State:
    """The state after an event.

    Raises:
        ValueError: the event cannot happen in that state.
    """
    try:
        return TABLE[state, event]
    except KeyError:
        raise ValueError(f"a connection that is {state} cannot have the event {event}") from None


def next_delay(delay: float, seconds_ready: float) -> float:
    """Seconds before the next start, after one after `delay` that stayed ready for `seconds_ready`."""
    return FIRST_DELAY if seconds_ready >= STABLE_SECONDS else min(delay * 2, LONGEST_DELAY)
