"""Where memories are kept: one SQLite file, written and read by id.

The one rule: every statement names the space, so an id of another space is an unknown id.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

from pygent_memory.filters import UNEXPIRED
from pygent_memory.memory import Draft, Memory
from pygent_memory.passages import passages
from pygent_memory.rows import COLUMNS, Keys, key_of, marks, memory
from pygent_memory.sweeping import is_due, sweep
from pygent_memory.writing import STATES, State, Stored, Writer, states
from pygent_shared.caller import caller
from pygent_shared.database import Database

_NO_TURN = 2**62  # stands behind every turn

Kind = TypeVar("Kind", bound=Writer)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Which turns of a conversation: `size` of them before one, after one, or around one. Where none is
    named (0), the last."""

    before: int = 0
    after: int = 0
    around: int = 0
    size: int = 20


class MemoryStore:
    """Memories by space, safe for several threads and processes.

    Times are UTC in ISO 8601; a space that does not exist yet holds nothing.

    Args:
        database: with the tables of `schema.MIGRATIONS`.

    Raises (every method): DatabaseUnusable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys = Keys(database)
        self._counted = threading.local()

    def writing(self, space: str, now: str) -> AbstractContextManager[Writer]:
        """The writes of the caller on one space, all of them or, if anything fails, none."""
        return self.writing_as(Writer, space, now)

    @contextmanager
    def writing_as(self, kind: type[Kind], space: str, now: str) -> Iterator[Kind]:
        """The same with another kind of writer. Some of what expired or ended is taken out first."""
        with self._database.write() as connection:
            sweep(connection, now)
            yield kind(connection, space, now, caller())

    def add(self, space: str, drafts: Sequence[Draft], now: str) -> list[Stored]:
        """Keep all of the drafts or, if anything fails, none. A repeat counts up and adds its tags."""
        split = [(draft, passages(draft.text)) for draft in drafts]
        with self.writing(space, now) as writer:
            return writer.add_all(split)

    def sweep(self, now: str) -> None:
        """Take out some of what expired or ended, if any did."""
        if is_due(self._database, now):
            with self._database.write() as connection:
                sweep(connection, now)

    def get(self, space: str, ids: Sequence[str], now: str = "") -> list[Memory]:
        """The memories among `ids` that are not forgotten, nor expired by `now`, in the order asked for."""
        rows = self._database.query(
            # The plus keeps SQLite from going through all of the space.
            f"SELECT {COLUMNS} FROM memory AS m WHERE +m.space = ? AND m.forgotten_at IS NULL "
            f"AND {UNEXPIRED} AND m.id IN ({marks(ids)})",
            (self._keys.of(space), now, *ids),
        )
        found = {memory.id: memory for memory in map(memory, rows)}
        return [found[id] for id in dict.fromkeys(ids) if id in found]

    def recent(self, space: str, limit: int, now: str = "") -> list[Memory]:
        """The memories recorded last, newest first; neither replaced nor expired by `now`."""
        rows = self._database.query(
            f"SELECT {COLUMNS} FROM memory AS m WHERE m.space = ? AND m.forgotten_at IS NULL "
            f"AND m.replaced_at IS NULL AND {UNEXPIRED} ORDER BY m.key DESC LIMIT ?",
            (key_of(self._database, space), now, limit),
        )
        return [memory(row) for row in rows]

    def turns(self, space: str, conversation: str) -> int | None:
        """How many turns a conversation has had; None where there is none of that name."""
        rows = self._database.query(
            "SELECT turns FROM conversation WHERE space = ? AND name = ?",
            (key_of(self._database, space), conversation),
        )
        return cast(int, rows[0][0]) if rows else None

    def conversations(self, space: str) -> list[str]:
        """The names of the conversations of a space, the latest first; at most a thousand."""
        rows = self._database.query(
            "SELECT name FROM conversation WHERE space = ? ORDER BY id DESC LIMIT 1000",
            (key_of(self._database, space),),
        )
        return [str(name) for (name,) in rows]

    def page(self, space: str, conversation: str, page: Page) -> list[Memory]:
        """Turns of a conversation that are not forgotten, in order."""
        if page.around:
            half = page.size // 2
            before = self._page(space, conversation, "< ?", "DESC", page.around, half)
            return before + self._page(space, conversation, ">= ?", "ASC", page.around, page.size - half)
        if page.after:
            return self._page(space, conversation, "> ?", "ASC", page.after, page.size)
        return self._page(space, conversation, "< ?", "DESC", page.before or _NO_TURN, page.size)

    def _page(
        self, space: str, conversation: str, which: str, order: str, turn: int, size: int
    ) -> list[Memory]:
        rows = self._database.query(
            f"SELECT {COLUMNS} FROM memory AS m WHERE m.forgotten_at IS NULL AND m.conversation = "
            f"(SELECT id FROM conversation WHERE space = ? AND name = ?) AND m.turn {which} "
            f"ORDER BY m.turn {order} LIMIT ?",
            (key_of(self._database, space), conversation, turn, size),
        )
        return sorted(map(memory, rows), key=lambda memory: memory.turn)

    def size(self, space: str) -> int:
        """How many memories are neither forgotten nor replaced."""
        # Counting goes through all of them, and every search asks.
        state = self._database.state()
        if getattr(self._counted, "state", None) != state:
            self._counted.state, self._counted.sizes = state, {}
        if space not in self._counted.sizes:
            # That index is the one that holds all this asks for.
            ((self._counted.sizes[space],),) = self._database.query(
                "SELECT count(*) FROM memory INDEXED BY memory_once "
                "WHERE space = ? AND forgotten_at IS NULL AND replaced_at IS NULL",
                (key_of(self._database, space),),
            )
        return cast(int, self._counted.sizes[space])

    def states(self, space: str, ids: Sequence[str]) -> dict[str, State]:
        """The state of each id this space has, forgotten ones included."""
        key = key_of(self._database, space)
        return states(self._database.query(STATES.format(marks(ids)), (key, *ids)))

    def forget(self, space: str, ids: Sequence[str], now: str) -> dict[str, State]:
        """Take live memories out of everything but this store. Returns the states met, as `states` does."""
        with self.writing(space, now) as writer:
            return {id: state for id in ids if (state := writer.forget(id))}

    def restore(self, space: str, ids: Sequence[str], now: str) -> dict[str, State]:
        """Bring forgotten memories back, unless they were told again. Returns the states met."""
        with self.writing(space, now) as writer:
            return {id: state for id in ids if (state := writer.restore(id))}

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()
