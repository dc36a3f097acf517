"""Consolidation put together: pages out, answers in, runs taken back; and the loop of a judge at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pygent_memory.consolidation.judge import Answers, Judge, Page
from pygent_memory.consolidation.runs import Runs, Taken
from pygent_memory.consolidation.undoing import Undone
from pygent_memory.consolidation.worklist import Worklist
from pygent_memory.memories import Memories
from pygent_memory.memory import utc

PAGE_TOKENS = 3000


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a judge's run came to. `left` is the page it did not answer; empty when all was judged."""

    run: str
    added: int
    replaced: int
    judged: int
    left: Page


class Consolidation:
    """What makes derived memories of memories.

    Args:
        memories: the memories themselves.
        clock: the time of a write.
    """

    def __init__(self, memories: Memories, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._worklist = Worklist(memories)
        self._runs = Runs(memories)
        self._clock = clock

    def page(self, space: str, max_tokens: int = PAGE_TOKENS) -> Page:
        """What is to be judged next."""
        return self._worklist.page(space, self._clock(), max_tokens)

    def take(self, space: str, answers: Answers, *, run: str = "", judge: str = "") -> Taken:
        """Take all of the answers, or none; see `Runs.take`."""
        return self._runs.take(space, answers, utc(self._clock()), run=run, judge=judge)

    def undo(self, space: str, run: str) -> Undone:
        """Take a run back; see `Runs.undo`."""
        return self._runs.undo(space, run, utc(self._clock()))

    def run(self, space: str, judge: Judge, max_tokens: int = PAGE_TOKENS) -> Ran:
        """Have a judge answer page after page, as one run, until nothing is left or it gets no further.

        Raises:
            PygentError: the judge cannot answer, or answered with something unknown. What was taken before
                stays, and the next run goes on there.
        """
        name, added, replaced, judged, met = "", 0, 0, 0, Page()
        while not (page := self.page(space, max_tokens)).says_as_much_as(met):
            met = page
            if page.is_empty:  # memories are still being compared
                continue
            taken = self.take(space, judge.answer(page), run=name, judge=judge.name)
            name, judged = taken.run, judged + taken.judged
            added, replaced = added + len(taken.added), replaced + len(taken.replaced)
        return Ran(run=name, added=added, replaced=replaced, judged=judged, left=page)
