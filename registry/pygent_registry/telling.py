"""What is said of a call while it goes on reaches its host in order, and before the call's result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio


class Telling:
    """A result closes its stream, so it must not overtake a report that is still being written."""

    def __init__(self) -> None:
        self._turn: anyio.Lock | None = None

    async def tell(self, send: Callable[..., Awaitable[Any]], *said: Any, **more: Any) -> None:
        """Send it, after what came before."""
        if self._turn is None:
            self._turn = anyio.Lock()  # first come, first served
        async with self._turn:
            await send(*said, **more)

    async def told(self) -> None:
        """Wait until everything that has come so far was sent."""
        if self._turn is not None:
            async with self._turn:
                pass
