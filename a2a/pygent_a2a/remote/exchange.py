"""One request to an agent, on its way: it goes on whoever waits, and is stopped with whoever gives it up.

The one rule: a call that is cancelled stops the agent's task, also where the agent has not yet said which
task that is; a call that merely has waited long enough does not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from pygent_a2a.remote.agent import CALL_SECONDS, Agent, Headers, Tell
from pygent_a2a.remote.told import Told
from pygent_shared.errors import PygentError

LATE_SECONDS = 10.0
"""How long a task that nobody wants any more is waited for, to be stopped."""

Work = Callable[[Told, Tell], Awaitable[None]]
Report = Callable[[int, str], Awaitable[None]]


class Exchange:
    """A request to `agent`, carried out in `tasks`.

    Args:
        stops: whether the agent's task is stopped when the request is given up.
    """

    def __init__(self, agent: Agent, tasks: TaskGroup, headers: Headers, *, stops: bool = True) -> None:
        self.told = Told()
        self._stops = stops
        self._agent, self._tasks, self._headers = agent, tasks, headers
        self._error: PygentError | None = None
        self._over = False
        self._unwanted = False
        self._news = anyio.Event()
        self._scope = anyio.CancelScope()
        self._reported = 0

    def begin(self, work: Work) -> None:
        """Carry it out; what it hears goes into `told`."""
        self._tasks.start_soon(self._run, work)

    async def wait(self, seconds: float, report: Report) -> Told:
        """What was heard, at the end or after so many seconds; `report` gets what is said meanwhile.

        Raises:
            PygentError: it failed.
        """
        try:
            with anyio.move_on_after(seconds):
                while True:
                    news = self._news
                    while self._reported < len(self.told.said):
                        self._reported += 1
                        await report(self._reported, self.told.said[self._reported - 1])
                    if self._over:
                        break
                    await news.wait()
        except anyio.get_cancelled_exc_class():
            self.give_up()
            raise
        if self._error is not None:
            raise self._error
        return self.told

    async def named(self, seconds: float) -> str:
        """Id of the task that the agent made of it; "" where it has made none by then."""
        with anyio.move_on_after(seconds):
            while not self._over and not self.told.task_id:
                await self._news.wait()
        return self.told.task_id

    def leave(self) -> None:
        """Hear no more of it. The agent goes on, and its task can be looked at by its id."""
        self._scope.cancel()

    async def _run(self, work: Work) -> None:
        try:
            with self._scope:
                await work(self.told, self._tell)
        except PygentError as error:
            self._error = error
        finally:
            self._over = True
            self._news.set()

    async def _tell(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()
        if self._unwanted and self.told.task_id:
            self._scope.cancel()
            self._tasks.start_soon(self._stop)

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self._over

    def give_up(self) -> None:
        """Have the agent stop what it does about it."""
        if self._over or self._unwanted:
            return
        if not self._stops:
            self.leave()
            return
        self._unwanted = True
        if self.told.task_id:
            self._scope.cancel()
            self._tasks.start_soon(self._stop)
        else:
            self._scope.deadline = anyio.current_time() + LATE_SECONDS

    async def _stop(self) -> None:
        with anyio.move_on_after(CALL_SECONDS):
            try:
                await self._agent.cancel(self.told.task_id, self._headers)
            except PygentError:
                return  # it is over, or cannot be reached: there is nobody left to tell
