"""The table of a connection's life."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from pygent_registry.health import FIRST_DELAY, LONGEST_DELAY, TABLE, Event, State, after, next_delay


def test_every_state_can_be_stopped_and_stopped_is_the_end() -> None:
    assert {state for (state, event) in TABLE if event == "stop"} == set(get_args(State))
    assert {event for (state, event) in TABLE if state == "stopped"} == {"stop"}


@pytest.mark.parametrize(
    ("state", "event"), [pair for pair in product(get_args(State), get_args(Event)) if pair not in TABLE]
)
def test_what_the_table_lacks_is_refused(state: State, event: Event) -> None:
    with pytest.raises(ValueError, match=f"{state} cannot have the event {event}"):
        after(state, event)


def test_a_server_that_keeps_dying_is_started_ever_more_rarely() -> None:
    delays = [FIRST_DELAY]
    for _ in range(12):
        delays.append(next_delay(delays[-1], seconds_ready=1.0))
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    assert delays[-1] == LONGEST_DELAY


def test_a_server_that_was_stable_is_started_at_once_again() -> None:
    assert next_delay(LONGEST_DELAY, seconds_ready=61.0) == FIRST_DELAY
