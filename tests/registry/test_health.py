"""The table of a connection's life, and when it is started again."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import get_args

import pytest

from pygent_registry.health import (
    DOWN,
    FIRST_BREAK,
    FIRST_DELAY,
    LONGEST_BREAK,
    LONGEST_DELAY,
    MOST_ENDS,
    PROBE_SECONDS,
    TABLE,
    UP,
    Event,
    Record,
    State,
    after,
)


def test_every_state_can_be_stopped_and_stopped_is_the_end() -> None:
    assert {state for (state, event) in TABLE if event == "stop"} == set(get_args(State))
    assert {event for (state, event) in TABLE if state == "stopped"} == {"stop"}


def test_every_state_can_be_reached_and_every_event_can_happen() -> None:
    assert {"idle", *TABLE.values()} == set(get_args(State))
    assert {event for (_, event) in TABLE} == set(get_args(Event))


@pytest.mark.parametrize(
    ("state", "event"), [pair for pair in product(get_args(State), get_args(Event)) if pair not in TABLE]
)
def test_what_the_table_lacks_is_refused(state: State, event: Event) -> None:
    with pytest.raises(ValueError, match=f"{state} cannot have the event {event}"):
        after(state, event)


@pytest.mark.parametrize("state", ["connecting", *UP])
def test_whatever_runs_may_end_or_trip_the_breaker_and_is_tried_again(state: State) -> None:
    assert after(after(state, "ended"), "retry") == "connecting"
    assert after(after(state, "tripped"), "retry") == "connecting"
    assert {after(state, "ended"), after(state, "tripped")} < set(DOWN)


def ended_every(seconds: float, times: int, record: Record | None = None, start: float = 0.0) -> Record:
    record = record or Record()
    for number in range(times):
        record = record.ended(start + number * seconds, seconds_up=0.0)
    return record


def test_a_server_that_keeps_ending_is_started_ever_more_rarely() -> None:
    # Every half minute: too seldom to open the breaker.
    delays = [ended_every(30, times).wait(chance=1.0) for times in range(1, 13)]
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    assert delays[-1] == LONGEST_DELAY
    assert delays == sorted(delays)


def test_jitter_is_between_half_of_the_delay_and_all_of_it_and_the_same_for_the_same_seed() -> None:
    record = ended_every(30, 4)
    first, second = ([record.wait(chance()) for _ in range(50)] for chance in (Random(7).random,) * 2)
    again = Random(7).random
    assert first == [record.wait(again()) for _ in range(50)]
    assert first != second
    assert record.delay / 2 <= min(first) < record.delay * 0.6
    assert record.delay * 0.9 < max(first) <= record.delay


def test_a_server_that_was_stable_begins_anew() -> None:
    record = ended_every(1, 20).ended(1000.0, seconds_up=60.0)
    assert (record.wait(1.0), record.is_open, record.lately(1000.0)) == (FIRST_DELAY, False, 1)


def test_the_breaker_opens_with_the_fifth_end_within_a_minute_and_not_before() -> None:
    assert [ended_every(14, times).is_open for times in range(1, 7)] == [False] * (MOST_ENDS - 1) + [True] * 2
    assert not ended_every(15.5, 20).is_open


def test_while_the_breaker_is_open_each_failed_try_doubles_the_wait_up_to_ten_minutes() -> None:
    record = ended_every(1, MOST_ENDS)
    waits = []
    for number in range(6):
        waits.append(record.wait(chance=1.0))
        record = record.ended(1000.0 * (number + 1), seconds_up=0.0)
    assert waits == [FIRST_BREAK, 120.0, 240.0, 480.0, LONGEST_BREAK, LONGEST_BREAK]


def test_a_try_that_did_not_last_leaves_the_breaker_open() -> None:
    tripped = ended_every(1, MOST_ENDS)
    assert tripped.ended(200.0, seconds_up=59.0).is_open
    assert not tripped.ended(200.0, seconds_up=60.0).is_open


def test_only_the_ends_of_the_last_minute_are_counted() -> None:
    record = ended_every(10, 4)
    assert [record.lately(now) for now in (30.0, 60.0, 80.0, 200.0)] == [4, 3, 1, 0]


def test_a_server_that_is_left_alone_may_be_tried_for_a_call_but_not_for_each_call() -> None:
    record = ended_every(1, MOST_ENDS)  # the last time at 4 s
    assert Record().may_be_tried(0.0)
    assert not record.may_be_tried(4.0 + PROBE_SECONDS - 0.1)
    assert record.may_be_tried(4.0 + PROBE_SECONDS)
