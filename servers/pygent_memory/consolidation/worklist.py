"""What is to be judged, page by page: pairs, working memories, names, and stretches of conversations.

The one rule: what is on a page follows from the database alone. Whoever asks again before answering gets the
same page; what was answered is on none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import TypeVar, cast

from pygent_memory.consolidation.judge import Page, Stretch
from pygent_memory.consolidation.names import alike
from pygent_memory.consolidation.pairs import Pairs
from pygent_memory.filters import HOLDS
from pygent_memory.memories import Memories
from pygent_memory.memory import Memory, utc
from pygent_memory.recall import header_tokens, tokens
from pygent_memory.rows import COLUMNS, key_of, memory

PAIRS = 10
NAMES = 10
STALE = 10
TURNS = 200
"""Most of each on a page."""
TURN_TOKENS = 12
COMPARED_NAMES = 5_000
"""So many names are compared in a sixth of a second."""
STALE_AFTER = timedelta(days=4)
SOON = timedelta(days=3)
COMPARING_S = 1.0
"""About how long a page may take to look for pairs."""

Item = TypeVar("Item")


class Worklist:
    """The pages of the spaces in a database.

    Args:
        memories: the memories themselves.

    Raises (every method): DatabaseUnusable.
    """

    def __init__(self, memories: Memories) -> None:
        self._memories = memories
        self._database = memories.database
        self._pairs = Pairs(memories)

    def page(self, space: str, now: datetime, max_tokens: int) -> Page:
        """What comes next, in about `max_tokens`; one item at least, if there is any."""
        waiting = self._pairs.find(space, COMPARING_S)
        room = _Room(max_tokens)
        return Page(
            pairs=tuple(
                room.fill(
                    self._pairs.open(space, PAIRS, utc(now)), lambda pair: _cost(pair.newer, pair.older)
                )
            ),
            stale=tuple(room.fill(self._stale(space, now), _cost)),
            names=tuple(room.fill(islice(self._names(space), NAMES), lambda pair: tokens(" ".join(pair)))),
            stretches=tuple(_stretches(room.fill(self._unread(space, utc(now)), _turn_cost))),
            waiting=waiting,
        )

    def _stale(self, space: str, now: datetime) -> list[Memory]:
        """Working memories that are not new, and nobody kept or are about to expire."""
        rows = self._database.query(
            f"SELECT {COLUMNS} FROM memory AS m WHERE m.space = ? AND m.kind = 'working' "
            "AND m.forgotten_at IS NULL AND m.replaced_at IS NULL "
            f"AND {HOLDS} AND m.recorded_at < ? AND ifnull(m.expires_at < ?, m.read_by IS NULL) "
            "ORDER BY m.key LIMIT ?",
            (
                key_of(self._database, space),
                utc(now),
                utc(now),
                utc(now - STALE_AFTER),
                utc(now + SOON),
                STALE,
            ),
        )
        return [memory(row) for row in rows]

    def _names(self, space: str) -> Iterator[tuple[str, str]]:
        """Names that are probably the same, among the newest, and were not judged."""
        key = key_of(self._database, space)
        names = cast(
            "list[tuple[str]]",
            self._database.query(
                "SELECT name FROM entity WHERE space = ? AND forgotten_at IS NULL ORDER BY id DESC LIMIT ?",
                (key, COMPARED_NAMES),
            ),
        )
        judged = {
            frozenset(pair)
            for pair in self._database.query(
                "SELECT a.name, b.name FROM entity_pair AS p JOIN entity AS a ON a.id = p.one "
                "JOIN entity AS b ON b.id = p.other WHERE a.space = ?",
                (key,),
            )
        }
        return (pair for pair in alike(name for (name,) in reversed(names)) if frozenset(pair) not in judged)

    def _unread(self, space: str, now: str) -> Iterator[Memory]:
        """Turns that nobody read and from which nothing was derived, conversation by conversation."""
        rows = self._database.query(
            f"SELECT {COLUMNS} FROM memory AS m WHERE m.space = ? AND m.conversation IS NOT NULL "
            f"AND m.read_by IS NULL AND m.forgotten_at IS NULL AND m.replaced_at IS NULL AND {HOLDS} "
            "AND NOT EXISTS (SELECT 1 FROM derived_from AS d JOIN memory AS f ON f.key = d.memory "
            "WHERE d.source = m.key AND f.forgotten_at IS NULL) "
            "ORDER BY m.conversation, m.turn LIMIT ?",
            (key_of(self._database, space), now, now, TURNS),
        )
        return map(memory, rows)


class _Room:
    """Takes items while they fit, and the first one even if it does not."""

    def __init__(self, max_tokens: int) -> None:
        self._left = max_tokens
        self._is_empty = True

    def fill(self, items: Iterable[Item], cost: Callable[[Item], int]) -> Iterator[Item]:
        for item in items:
            self._left -= cost(item)
            if self._left < 0 and not self._is_empty:
                return
            self._is_empty = False
            yield item


def _cost(*memories: Memory) -> int:
    return sum(header_tokens(memory) + tokens(memory.text) for memory in memories)


def _turn_cost(turn: Memory) -> int:
    """Of a turn little more than its id and speaker stands beside its text."""
    return TURN_TOKENS + tokens(turn.speaker) + tokens(turn.text)


def _stretches(turns: Iterable[Memory]) -> Iterator[Stretch]:
    for conversation, some in groupby(turns, key=lambda turn: turn.conversation):
        yield Stretch(conversation=conversation, turns=tuple(some))
