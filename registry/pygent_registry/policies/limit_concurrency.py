"""A server is given so many requests at once; the others wait in line, each caller in its own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from pygent_registry.policies import EntryOf, Handler, Policy, Request
from pygent_registry.tally import OfServer, Tally
from pygent_shared.errors import TooMany


class Turns:
    """Who is served, and who is next.

    Fair: a turn that gets free goes to the callers in rotation, so that one with a hundred requests does not
    hold up another's first.

    Args:
        counted: where waits are counted.
    """

    def __init__(self, counted: OfServer | None = None) -> None:
        self._counted = counted or OfServer()
        self._served = 0
        self._lines: dict[str, deque[anyio.Event]] = {}

    @asynccontextmanager
    async def turn(self, caller: str, most: int) -> AsyncIterator[None]:
        """Wait for a turn, and have it."""
        if self._served < most:
            self._served += 1
        else:
            await self._wait(caller)
        try:
            yield
        finally:
            self._pass_on(most)

    async def _wait(self, caller: str) -> None:
        called = anyio.Event()
        self._lines.setdefault(caller, deque()).append(called)
        self._counted.waiting += 1
        began = time.perf_counter()
        try:
            await called.wait()
        except BaseException:
            if called.is_set():
                self._pass_on(self._served)  # it was called and has left: the next one's turn
            else:
                self._leave(caller, called)
            raise
        finally:
            self._counted.waiting -= 1
            self._counted.waited.add(time.perf_counter() - began)

    def _leave(self, caller: str, called: anyio.Event) -> None:
        self._lines[caller].remove(called)
        if not self._lines[caller]:
            del self._lines[caller]

    def _pass_on(self, most: int) -> None:
        """A turn is free: the next one's, if there is one and the limit was not lowered meanwhile."""
        if not self._lines or self._served > most:
            self._served -= 1
            return
        caller = next(iter(self._lines))
        line = self._lines.pop(caller)
        line.popleft().set()
        if line:
            self._lines[caller] = line  # to the end of the rotation


def limit_concurrency(entry_of: EntryOf, patience: float, tally: Tally) -> Policy:
    """Hold back what is over the entry's `concurrency`, for `patience` seconds at most; `tally` counts."""
    turns: dict[str, Turns] = {}

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            most = entry_of(request.server).concurrency
            if most is None:
                return await handler(request)
            line = turns.get(request.server)
            if line is None:
                line = turns[request.server] = Turns(tally.of(request.server))
            with anyio.move_on_after(patience) as waiting:
                async with line.turn(request.caller, most):
                    waiting.deadline = float("inf")
                    return await handler(request)
            raise TooMany(f'Server "{request.server}"', f"{most} requests at once", patience)

        return handle

    return policy
