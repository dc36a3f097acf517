"""What stands around a turn of a conversation, written beside its passage for full-text search.

"Yes, since June" answers a question that only its neighbours name. Measured on LoCoMo, BM25 finds 11 points
more with what two turns before and after say. It must be capped: long texts around long ones drown an index
(on BEAM, 13 points less). The one rule: a write touches a few turns, however long the conversation is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import apsw

from pygent_memory.passages import first_words, is_short
from pygent_shared import segments

AROUND = 2
"""Turns before and after that are read with a turn."""
FROM_EACH = 40
"""Words of each of them."""
SHORT = 60
"""Words that a turn has at most to be read with its neighbours."""
PAUSE = timedelta(hours=6)
"""After which a conversation that goes on is another one."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A turn: `key` is its memory's, `date` when it was said."""

    key: int
    speaker: str
    text: str
    date: str


def said(speaker: str, text: str) -> str:
    """A text as it is searched. Who said it is searched too: measured, BM25 +3 and vectors +14 points."""
    return f"{speaker}: {text}" if speaker else text


def context(turns: Sequence[Turn], place: int) -> str:
    """What the neighbours of `turns[place]` say."""
    if not is_short(turns[place].text, SHORT):
        return ""
    before = _without_pause(turns[place::-1])
    after = _without_pause(turns[place:])
    return "\n".join(
        first_words(said(turn.speaker, turn.text), FROM_EACH) for turn in (*reversed(before), *after)
    )


def contexts(connection: apsw.Connection, conversation: int, first: int, last: int) -> dict[int, str]:
    """What now stands around the turns from `first` to `last`, and around those next to them, as full-text
    search takes it; by the keys of their memories."""
    reach = 2 * AROUND
    before = connection.execute(_BEFORE, (conversation, first, reach)).fetchall()
    these = connection.execute(_THESE, (conversation, first, last)).fetchall()
    after = connection.execute(_AFTER, (conversation, last, reach)).fetchall()
    turns = [_turn(row) for row in (*reversed(before), *these, *after)]
    start, stop = max(0, len(before) - AROUND), len(before) + len(these) + min(AROUND, len(after))
    return {turns[place].key: segments.stored(context(turns, place)) for place in range(start, stop)}


def refresh(connection: apsw.Connection, memory: int) -> None:
    """Have those around a turn read with the neighbours they have now. Nothing where the memory is no turn.

    Args:
        connection: in a write transaction.
        memory: the key of a memory that came, or holds no longer.
    """
    rows: Any = connection.execute(
        "SELECT conversation, turn FROM memory WHERE key = ?", (memory,)
    ).fetchall()
    ((conversation, turn),) = rows
    if conversation is not None:
        refresh_at(connection, conversation, turn)


def refresh_at(connection: apsw.Connection, conversation: int, turn: int) -> None:
    """The same, for a turn that may be gone for good."""
    for key, text in contexts(connection, conversation, turn, turn).items():
        write(connection, key, text)


def write(connection: apsw.Connection, memory: int, text: str) -> None:
    """Have a turn that is indexed already read with this context."""
    connection.execute(_WRITE, (text, memory))


def is_apart(one: str, other: str) -> bool:
    """Whether two turns, by when they were said, belong to different sittings. Two days next to each other
    are different."""
    if min(len(one), len(other)) == len("2025-03-01"):
        return one[:10] != other[:10]
    return abs(datetime.fromisoformat(one) - datetime.fromisoformat(other)) > PAUSE


def _without_pause(turns: Sequence[Turn]) -> list[Turn]:
    """The nearest of the turns behind the first, up to a pause."""
    near: list[Turn] = []
    for last, turn in pairwise(turns[: AROUND + 1]):
        if is_apart(last.date, turn.date):
            break
        near.append(turn)
    return near


def _turn(row: Any) -> Turn:
    key, speaker, text, date = row
    return Turn(key=key, speaker=speaker, text=text, date=date)


_TURNS = (
    "SELECT key, speaker, text, date FROM memory WHERE conversation = ? "
    "AND forgotten_at IS NULL AND replaced_at IS NULL AND "
)
_BEFORE = _TURNS + "turn < ? ORDER BY turn DESC LIMIT ?"
_THESE = _TURNS + "turn BETWEEN ? AND ? ORDER BY turn"
_AFTER = _TURNS + "turn > ? ORDER BY turn LIMIT ?"
# The first passage only: what has several is too long to have a context.
_WRITE = """
    UPDATE passage SET context = ?1 WHERE id = (SELECT min(id) FROM passage WHERE memory = ?2)
    AND context <> ?1
"""
