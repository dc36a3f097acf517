"""Whose turn it is where only so many are served at once: the callers wait, each in a line of its own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from pygent_registry.tally import OfServer


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
