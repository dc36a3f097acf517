"""How long the servers that were started are waited for: while they come, or visibly work on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import anyio

from pygent_registry.downstream import Downstream
from pygent_shared.settings import Settings


class Arrivals:
    """The servers of a registry that come up after a start."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._news = anyio.Event()
        self._last_up = 0.0
        self._known: set[str] = set()

    def begin(self) -> None:
        """Servers are being started: patience counts from now."""
        self._last_up = anyio.current_time()

    def look(self, servers: Iterable[Downstream]) -> None:
        """Something about these changed: whoever waits looks again."""
        started = (item for item in servers if item.started)
        known = {item.entry.name for item in started if item.primary.listing is not None}
        if known != self._known:
            self._last_up = anyio.current_time()
        self._known = known
        news, self._news = self._news, anyio.Event()
        news.set()

    async def waited_for(self, servers: Callable[[], Iterable[Downstream]], recalled: bool) -> None:
        """Wait until every server is up or has failed once, or none has come up, nor visibly worked on its
        start, for the list patience.

        Args:
            servers: gives those that there are then.
            recalled: whether a server need not be waited for whose lists are remembered.
        """
        with anyio.move_on_after(self._settings.start_timeout):
            while not all(item.primary.settled or (recalled and item.remembered) for item in servers()):
                deadline = self._last_up + self._settings.list_patience if self._known else float("inf")
                with anyio.CancelScope(deadline=deadline) as patience:
                    await self._news.wait()
                if patience.cancelled_caught:
                    # Every one is asked: the answer is about the time since it was last asked.
                    working = [item.primary.is_working() for item in servers()]
                    if not any(working):
                        return
                    self._last_up = anyio.current_time()
