"""Something opened at its first use and closed with the last connection.

A host may start a server only to ask what it is: nothing is opened for that. And a database that cannot be
opened must cost the call that needs it, with a sentence, not the server.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar


class Closeable(Protocol):
    def close(self) -> None: ...


Opened = TypeVar("Opened", bound=Closeable)


class Lazy(Generic[Opened]):
    """Holds what `open` gives. One object serves all connections of a server (`lifespan` counts them).

    `lifespan` fits `MCPServer(lifespan=…)`: over stdio and in memory it is entered once a connection, over
    HTTP once an application.
    """

    def __init__(self, open: Callable[[], Opened]) -> None:
        self._open = open
        self._lock = threading.Lock()
        self._value: Opened | None = None
        self._users = 0

    def get(self) -> Opened:
        """The object, opened now if it is not yet. A failure to open is raised, and tried anew next time."""
        with self._lock:
            if self._value is None:
                self._value = self._open()
            return self._value

    @asynccontextmanager
    async def lifespan(self, server: object) -> AsyncIterator[Lazy[Opened]]:
        """Keep the object until the last user is gone."""
        with self._lock:
            self._users += 1
        try:
            yield self
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users:
                return
            value, self._value = self._value, None
        if value is not None:
            value.close()
