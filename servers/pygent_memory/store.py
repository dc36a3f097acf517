"""Where memories are kept: one SQLite file, written and read by id.

The one rule: every statement names the space, so an id of another space is an unknown id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar, cast

from pygent_memory.filters import UNEXPIRED
from pygent_memory.memory import Draft, Memory
from pygent_memory.passages import passages
from pygent_memory.rows import COLUMNS, marks, memory, space_key
from pygent_memory.sweeping import sweep
from pygent_memory.writing import STATES, State, Stored, Writer, states
from pygent_shared.database import Database

Kind = TypeVar("Kind", bound=Writer)


class MemoryStore:
    """Memories by space, safe for several threads and processes.

    Times are UTC in ISO 8601; a space that does not exist yet holds nothing.

    Args:
        database: with the tables of `schema.MIGRATIONS`.

    Raises (every method): DatabaseUnusable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def writing(self, space: str, now: str, actor: str = "") -> AbstractContextManager[Writer]:
        """The writes on one space, all of them or, if anything fails, none."""
        return self.writing_as(Writer, space, now, actor)

    @contextmanager
    def writing_as(self, kind: type[Kind], space: str, now: str, actor: str = "") -> Iterator[Kind]:
        """The same with another kind of writer. Some of what expired or ended is taken out first."""
        with self._database.write() as connection:
            sweep(connection, now)
            yield kind(connection, space, now, actor)

    def add(self, space: str, drafts: Sequence[Draft], now: str) -> list[Stored]:
        """Keep all of the drafts or, if anything fails, none. A repeat counts up and adds its tags."""
        split = [passages(draft.text) for draft in drafts]
        with self.writing(space, now) as writer:
            return [writer.add(draft, parts) for draft, parts in zip(drafts, split, strict=True)]

    def get(self, space: str, ids: Sequence[str], now: str = "") -> list[Memory]:
        """The memories among `ids` that are not forgotten, nor expired by `now`, in the order asked for."""
        rows = self._database.query(
            f"SELECT {COLUMNS} FROM memory AS m WHERE m.space = ? AND m.forgotten_at IS NULL "
            f"AND {UNEXPIRED} AND m.id IN ({marks(ids)})",
            (self._key(space), now, *ids),
        )
        found = {memory.id: memory for memory in map(memory, rows)}
        return [found[id] for id in dict.fromkeys(ids) if id in found]

    def recent(self, space: str, limit: int, now: str = "") -> list[Memory]:
        """The memories recorded last, newest first; neither replaced nor expired by `now`."""
        rows = self._database.query(
            f"SELECT {COLUMNS} FROM memory AS m WHERE m.space = ? AND m.forgotten_at IS NULL "
            f"AND m.replaced_at IS NULL AND {UNEXPIRED} ORDER BY m.key DESC LIMIT ?",
            (self._key(space), now, limit),
        )
        return [memory(row) for row in rows]

    def size(self, space: str) -> int:
        """How many memories are neither forgotten nor replaced."""
        ((count,),) = self._database.query(
            "SELECT count(*) FROM memory WHERE space = ? AND forgotten_at IS NULL AND replaced_at IS NULL",
            (self._key(space),),
        )
        return cast(int, count)

    def states(self, space: str, ids: Sequence[str]) -> dict[str, State]:
        """The state of each id this space has, forgotten ones included."""
        key = self._key(space)
        return states(self._database.query(STATES.format(marks(ids)), (key, *ids)))

    def forget(self, space: str, ids: Sequence[str], now: str) -> dict[str, State]:
        """Take live memories out of everything but this store. Returns the states met, as `states` does."""
        with self.writing(space, now) as writer:
            return {id: state for id in ids if (state := writer.forget(id))}

    def restore(self, space: str, ids: Sequence[str], now: str) -> dict[str, State]:
        """Bring forgotten memories back, unless they were told again. Returns the states met."""
        with self.writing(space, now) as writer:
            return {id: state for id in ids if (state := writer.restore(id))}

    def spaces(self) -> list[str]:
        """The names of all spaces, sorted."""
        return [str(name) for (name,) in self._database.query("SELECT name FROM space ORDER BY name")]

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _key(self, space: str) -> int | None:
        """The space's number; None, which equals nothing in SQL, where there is no such space."""
        return space_key(self._database.query("SELECT id FROM space WHERE name = ?", (space,)))
