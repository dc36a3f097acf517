"""When a workflow must have ended. It is kept in steps alone: the clock decides nothing when a workflow is
run again, and a crash does not put it off.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from math import inf
from typing import TypeVar

import anyio

from pygent_shared.errors import PygentError

Result = TypeVar("Result")


class Deadline:
    """A moment, or none.

    Args:
        at: in seconds since 1970; None is never.
        late: the error that says so.
    """

    def __init__(self, at: float | None = None, late: Callable[[], PygentError] = PygentError) -> None:
        self._at = at
        self._late = late

    @classmethod
    async def within(cls, seconds: float, late: Callable[[], PygentError]) -> Deadline:
        """So many seconds from now: a step of the workflow that runs."""
        from pygent_shared.durable import workflow

        async def at() -> float:
            return time.time() + seconds

        return cls(await workflow.step("deadline", at), late)

    def left(self) -> float:
        """Seconds until then."""
        return inf if self._at is None else self._at - time.time()

    async def kept(self, do: Callable[[], Awaitable[Result]]) -> Result:
        """Do something within a step, and no longer than until then. Raises `late`."""
        if self._at is None:
            return await do()
        with anyio.move_on_after(self.left()):
            if self.left() > 0:
                return await do()
        raise self._late()

    async def met(self) -> None:
        """Look at the clock: a step, where there is a deadline. Raises Failed: it is too late."""
        if self._at is None:
            return
        from pygent_shared.durable import workflow

        async def look() -> None:
            if self.left() <= 0:
                raise self._late()

        await workflow.step("in time", look)

    def missed(self) -> PygentError:
        """The error of one who has waited until then."""
        return self._late()
