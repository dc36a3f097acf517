"""How long a request may go without a sign of life."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Clock:
    """Runs out unless it is set anew, and stands still while somebody is asked: they may think."""

    def __init__(self) -> None:
        self._scope: anyio.CancelScope | None = None
        self._seconds = float("inf")
        self._stopped = 0

    def start(self, seconds: float) -> anyio.CancelScope:
        """A new scope, which is cancelled when so many seconds pass without a sign."""
        self._seconds, self._scope = seconds, anyio.CancelScope()
        self.renew()
        return self._scope

    def renew(self) -> None:
        """There was a sign: all the time again."""
        if not self._stopped:
            self._until(anyio.current_time() + self._seconds)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stand still for so long, and then run from the start."""
        self._stopped += 1
        self._until(float("inf"))
        try:
            yield
        finally:
            self._stopped -= 1
            self.renew()

    def _until(self, deadline: float) -> None:
        if self._scope is not None:
            self._scope.deadline = deadline
