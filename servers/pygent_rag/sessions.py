"""The researches under way: so many at most, for so long, each for the caller that began it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pygent_rag.research import Research
from pygent_shared.errors import InvalidArgument

MOST = 500
"""Researches at a time; with one more, the one that was idle longest ends."""
MOST_EACH = 50
"""Of one caller, likewise."""
IDLE_SECONDS = 1800.0


@dataclass(kw_only=True)
class _Held:
    research: Research
    caller: str
    used: float
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """Safe for threads; of two calls to one research the later waits.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, _Held] = {}  # the one that was idle longest first
        self._lock = threading.Lock()

    def begin(self, research: Research, caller: str) -> str:
        """Keep a new research; its id, which nobody can guess."""
        id = secrets.token_hex(8)
        with self._lock:
            self._end_idle()
            own = [other for other, held in self._held.items() if held.caller == caller]
            if len(own) >= MOST_EACH:
                del self._held[own[0]]
            elif len(self._held) >= MOST:
                del self._held[next(iter(self._held))]
            self._held[id] = _Held(research=research, caller=caller, used=self._clock())
        return id

    @contextmanager
    def use(self, id: str, caller: str) -> Iterator[Research]:
        """A research of this caller, for the time of one call.

        Raises:
            InvalidArgument: there is none, or not any more.
        """
        with self._lock:
            self._end_idle()
            held = self._held.get(id)
            if held is None or held.caller != caller:
                why = f"there is no research {id[:40]!r}; after {IDLE_SECONDS / 60:.0f} idle minutes one ends"
                raise InvalidArgument("session", why, "Begin anew: research(question=…).")
            held.used = self._clock()
            self._held[id] = self._held.pop(id)
        with held.lock:
            yield held.research

    def _end_idle(self) -> None:
        now = self._clock()
        for id in [id for id, held in self._held.items() if now - held.used > IDLE_SECONDS]:
            del self._held[id]
