"""Runs: what a judge's answers change, written down step by step, so that a run can be taken back.

The one rule: raw text stays. Answers add derived memories and end others; a run that is undone takes out
exactly what it added and brings back what it ended, and its pages are handed out again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import apsw

from pygent_memory.consolidation.judge import Answers
from pygent_memory.consolidation.steps import Steps
from pygent_memory.consolidation.undoing import Undoing, Undone
from pygent_memory.memories import Memories
from pygent_memory.writing import Writer
from pygent_shared.database import Database
from pygent_shared.errors import InvalidArgument

PREFIX = "c"
"""What a run's name begins with, before its number."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of the answers: the run they belong to, the ids of the facts in the order sent, those of
    them that were new, and the ids of what holds no more."""

    run: str = ""
    facts: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    judged: int = 0


class Runs:
    """Takes answers into the spaces of a database, and takes them back.

    Args:
        memories: the memories themselves.

    Raises (every method): DatabaseUnusable.
    """

    def __init__(self, memories: Memories) -> None:
        self._memories = memories
        self._database: Database = memories.database

    def take(self, space: str, answers: Answers, now: str, *, run: str = "", judge: str = "") -> Taken:
        """Take all of the answers, or none if anything is wrong with one of them.

        Args:
            run: the run they belong to; "" begins one.
            judge: who begins it.

        Raises:
            InvalidArgument: a run, id or name is unknown here, or a verdict does not fit what it is about.
        """
        if not answers.facts and not answers.judged:
            return Taken(run=run)
        with self._database.write() as connection:
            number = _begun(connection, space, now, judge) if not run else _known(connection, space, run)
            writer = Writer(connection, space, now, _actor(number))
            steps = Steps(connection, writer, number, space, now)
            for place, fact in enumerate(answers.facts):
                text, _ = self._memories.mask.masked(fact.text)
                steps.add(replace(fact, text=text), f"facts[{place}].")
            for place, judged in enumerate(answers.judged):
                steps.judge(judged, f"judged[{place}].")
        self._memories.notify()
        return Taken(
            run=f"{PREFIX}{number}",
            facts=tuple(steps.facts),
            added=tuple(steps.added),
            replaced=tuple(steps.replaced),
            judged=len(answers.judged),
        )

    def undo(self, space: str, run: str, now: str) -> Undone:
        """Take a run back.

        Raises:
            InvalidArgument: there is no such run here, or it was taken back already.
        """
        with self._database.write() as connection:
            number = _known(connection, space, run)
            writer = Writer(connection, space, now, _actor(number))
            undone = Undoing(connection, writer, number).all(now)
        self._memories.notify()
        return undone


def _begun(connection: apsw.Connection, space: str, now: str, judge: str) -> int:
    connection.execute(
        "INSERT INTO consolidation (space, at, judge) SELECT id, ?, ? FROM space WHERE name = ?",
        (now, judge, space),
    )
    if not connection.changes():
        why = f'space "{space}" holds no memories to consolidate'
        raise InvalidArgument("space", why, "Name another one.")
    return connection.last_insert_rowid()


def _known(connection: apsw.Connection, space: str, run: str) -> int:
    rows: Sequence[Sequence[object]] = connection.execute(
        "SELECT c.id, c.undone_at FROM consolidation AS c JOIN space AS s ON s.id = c.space "
        "WHERE s.name = ? AND ? || c.id = ?",
        (space, PREFIX, run),
    ).fetchall()
    if not rows:
        why = f'space "{space}" has no run {run[:40]!r}' if run else "is empty"
        raise InvalidArgument("run", why, "Take it from an answer of memory_worklist.")
    ((number, undone_at),) = rows
    if undone_at:
        raise InvalidArgument("run", f"{run} was taken back at {undone_at}", "Begin another: leave run out.")
    return cast(int, number)


def _actor(number: int) -> str:
    return f"consolidation {PREFIX}{number}"
