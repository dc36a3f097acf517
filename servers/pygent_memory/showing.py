"""A memory as it is printed in an answer: one line of facts, then its text, quoted.

The one rule: a remembered text is quoted line by line ("> "), so that nothing in it can pass for ours; and it
is never changed: what "yesterday" means stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pygent_memory import times
from pygent_memory.fencing import one_line, quoted
from pygent_memory.memory import Memory

MOST_DATES = 3
"""Relative dates of a text that are worked out, so that a long one does not fill its first line."""

_PLAIN = ("episodic", "semantic")


def shown(
    memory: Memory,
    text: str,
    *,
    whole: bool = True,
    alike: Sequence[str] = (),
    why: Sequence[str] = (),
    meant: Mapping[str, str] | None = None,
) -> str:
    """A memory with as much of its text as is to be shown, and the dates that are meant in that, where they
    are known already."""
    notes = [
        "" if whole else "part of it; all: memory_get",
        f"the same again: {', '.join(alike)}" if alike else "",
        f"why: {', '.join(why)}" if why else "",
    ]
    return f"{heading(memory, text, notes, meant)}\n{quoted(text)}"


def heading(
    memory: Memory, text: str, notes: Iterable[str] = (), meant: Mapping[str, str] | None = None
) -> str:
    """The facts about a memory in one line: its id, its absolute date, who said it, its tags, what became of
    it; and the dates that as much of its text as is shown means."""
    facts = [
        memory.id,
        "" if memory.kind in _PLAIN else memory.kind,
        short_date(memory.date),
        one_line(memory.speaker),
        " ".join(f"#{one_line(tag)}" for tag in memory.tags),
        f"about {one_line(memory.entity)}" if memory.entity else "",
        *states(memory),
        *(f'"{words}": {day}' for words, day in (dates(memory, text) if meant is None else meant).items()),
        *notes,
    ]
    return " · ".join(filter(None, facts))


def states(memory: Memory) -> list[str]:
    """Since when and until when it holds, and what took its place, where that is known."""
    replaced = f"replaced by {memory.replaced_by or 'another'}" if memory.replaced_at else ""
    known = [
        f"true from {short_date(memory.valid_from)}" if memory.valid_from else "",
        f"true until {short_date(ended)}" if (ended := memory.valid_to or memory.replaced_at) else "",
        replaced,
    ]
    return [state for state in known if state]


def dates(memory: Memory, text: str) -> dict[str, str]:
    """What "yesterday" and the like mean in a part of its text, as absolute dates, by when it happened."""
    found = times.relative(text, times.day(memory.date))
    return {words: str(span) for words, span in found[:MOST_DATES]}


def short_date(moment: str) -> str:
    """A day, or a time without seconds that are zero."""
    return f"{moment[:16]}Z" if moment.endswith(":00Z") else moment
