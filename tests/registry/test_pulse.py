"""When a server that is up is doubted, when it is ready again, and when it is given up."""

from __future__ import annotations

from collections.abc import Iterable

import anyio
import pytest
from mcp import MCPError

from pygent_registry.pulse import MOST_PINGS, MOST_TIMEOUTS, Pulse, Unreachable

pytestmark = pytest.mark.anyio

IDLE = 0.02


class Patient:
    """A server whose pings end as `answers` says: "yes", "refused", "unreachable", or not at all."""

    def __init__(self, answers: Iterable[str] = (), *, idle: float = IDLE, works: bool = False) -> None:
        self.answers = iter(answers)
        self.said: list[str] = []
        self.pings = 0
        self.pulse = Pulse(
            ping=self._ping,
            works=lambda: works,
            doubted=self.said.append,
            recovered=lambda: self.said.append("recovered"),
            idle=idle,
        )

    async def _ping(self) -> None:
        self.pings += 1
        match next(self.answers, "silence"):
            case "refused":
                raise MCPError(-32601, "no such method")
            case "unreachable":
                raise Unreachable
            case "silence":
                await anyio.sleep_forever()

    async def given_up(self, seconds: float = 5.0) -> str:
        with anyio.move_on_after(seconds):
            return await self.pulse.watch()
        return ""


SILENT = f"has not answered a ping for {IDLE:g} s"


async def test_one_that_leaves_several_pings_in_a_row_unanswered_is_given_up() -> None:
    patient = Patient()
    assert await patient.given_up() == f"left {MOST_PINGS} pings in a row unanswered"
    assert (patient.said, patient.pings) == ([SILENT] * MOST_PINGS, MOST_PINGS)


async def test_one_that_cannot_be_reached_is_given_up_too() -> None:
    assert await Patient(["unreachable"] * MOST_PINGS).given_up()


@pytest.mark.parametrize("answer", ["yes", "refused"])
async def test_any_answer_settles_the_doubt_and_begins_the_count_anew(answer: str) -> None:
    patient = Patient(["silence", "silence", answer, "silence", answer])
    assert await patient.given_up()
    assert patient.said == [SILENT, SILENT, "recovered", SILENT, "recovered", *[SILENT] * MOST_PINGS]


async def test_one_that_visibly_works_is_doubted_but_not_given_up() -> None:
    patient = Patient(works=True)
    assert await patient.given_up(0.5) == ""
    assert patient.pings > MOST_PINGS


async def test_nobody_is_pinged_while_a_request_is_in_flight() -> None:
    patient = Patient()
    with patient.pulse.request():
        assert await patient.given_up(0.3) == ""
    assert (patient.pings, patient.said) == (0, [])


async def test_one_that_is_not_to_be_disturbed_is_not_pinged_unless_it_is_in_doubt() -> None:
    patient = Patient(idle=float("inf"))
    assert await patient.given_up(0.3) == ""
    assert patient.pings == 0


async def test_timeouts_count_only_in_a_row() -> None:
    patient = Patient()
    for _ in range(MOST_TIMEOUTS - 1):
        patient.pulse.timed_out()
    patient.pulse.heard()
    for _ in range(MOST_TIMEOUTS - 1):
        patient.pulse.timed_out()
    assert patient.said == []
    patient.pulse.timed_out()
    patient.pulse.heard()
    assert patient.said == ["has left several requests in a row unanswered", "recovered"]
