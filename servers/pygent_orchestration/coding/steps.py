"""Steps of a task's workflow: what fails is done again as often as its class says, and then ends the task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

import anyio

from pygent_orchestration.coding.recovery import RECOVERIES, classed, pause
from pygent_orchestration.coding.work import Failure
from pygent_shared.durable.failure import Failed

Result = TypeVar("Result")


class Ended(Exception):
    """The task, or an attempt at it, goes no further."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.why)


async def step(name: str, do: Callable[[], Awaitable[Result]]) -> Result:
    """A step of the workflow that runs.

    Raises:
        Ended: it failed, the last time too.
    """
    from pygent_shared.durable import workflow

    for again in count():
        try:
            return await workflow.step(name, do)
        except Failed as error:
            failure = classed(error.kind, str(error))
        if again >= RECOVERIES[failure.kind].again:
            raise Ended(failure)
        await wait(failure, again)
    raise AssertionError


async def wait(failure: Failure, before: int) -> None:
    """Wait as long as a failure's class asks for, where the same was done again so many times before."""
    from pygent_shared.durable import workflow

    await workflow.step("wait", lambda: anyio.sleep(pause(RECOVERIES[failure.kind], before)))
