"""What is derived from a database and kept in memory to answer faster, while the rows stay the truth."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from pygent_shared.arenas import give_back

log = logging.getLogger(__name__)

Kept = TypeVar("Kept")
State = TypeVar("State")


class Mirror(Generic[Kept, State]):
    """One such thing. Until it is made, in a thread of its own, whoever asks has to look into the database.

    Not safe for threads, but for `wait`.

    Args:
        name: what is mirrored, for the log.
        state: where the database stands; equal to the one before if nothing changed since.
        make: make it, from the database; None for nothing.
        follow: take over what changed since a state; False where that is not known.
    """

    def __init__(
        self,
        name: str,
        state: Callable[[], State],
        make: Callable[[], Kept | None],
        follow: Callable[[Kept, State], bool],
    ) -> None:
        self._name = name
        self._state, self._make, self._follow = state, make, follow
        self._made: tuple[Kept, State] | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name=f"mirror {name}", daemon=True).start()

    @property
    def kept(self) -> Kept | None:
        """It as it was; None while there is none."""
        return self._made[0] if self._made is not None else None

    @property
    def is_lost(self) -> bool:
        """Whether it could not be made, or to follow: another one may be begun."""
        return self._ended.is_set() and self._made is None

    def current(self) -> Kept | None:
        """It as the database is now; None while there is none."""
        if self._made is None:
            return None
        kept, before = self._made
        if (now := self._state()) != before:
            self._made = (kept, now) if self._follow(kept, before) else None
        return self.kept

    def wait(self, seconds: float) -> bool:
        """Wait at most so long until it is made; whether it is."""
        return self._ended.wait(seconds) and self._made is not None

    def _run(self) -> None:
        try:
            state = self._state()
            if (kept := self._make()) is not None:
                self._made = kept, state
        except Exception:
            log.exception("The %s could not be mirrored; they are read from the database instead", self._name)
        finally:
            self._ended.set()
            give_back()
