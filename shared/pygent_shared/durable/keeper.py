"""An engine that is begun when it is first needed, and ended when its server is.

It begins and ends in one task of its own, as what it holds open must.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from pygent_shared import traces
from pygent_shared.durable.engine import Engine

log = logging.getLogger(__name__)


class Keeper:
    """Keeps one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._owner: asyncio.Task[None] | None = None
        self._begun: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Let it begin, and do not wait for it."""
        if self._owner is None:
            self._begun = asyncio.get_running_loop().create_future()
            self._begun.add_done_callback(_noted)
            # As nobody's step: whose workflow asked for it first, in this process, is done with before it.
            self._owner = asyncio.create_task(self._own(self._begun), context=traces.alone())

    async def on(self) -> None:
        """Have it at work; it stays so. Raises what `Engine.running` does, and tries anew the next time."""
        self.begin()
        assert self._begun is not None
        try:
            await asyncio.shield(self._begun)
        except Exception:
            self._owner = None
            raise

    async def off(self) -> None:
        """Have it end, if it was begun."""
        if self._owner is not None:
            self._owner.cancel()
            with suppress(asyncio.CancelledError):
                await self._owner
            self._owner = None

    async def _own(self, begun: asyncio.Future[None]) -> None:
        try:
            async with self._engine.running():
                begun.set_result(None)
                await asyncio.Event().wait()
        except Exception as error:
            if begun.done():
                raise
            begun.set_exception(error)


def _noted(begun: asyncio.Future[None]) -> None:
    if not begun.cancelled() and (error := begun.exception()):
        log.warning("Durable work does not go on: %s", error)
