"""Which replica works on which task, and which of them is dead.

A replica says now and then that it lives; the tasks of one that has not for longer than a lease are anybody's
who takes them first. One that only seemed dead finds out when it next changes such a task: that is refused.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from pygent_a2a.store import TERMINAL, WORKING, Engine, listed


@dataclass(frozen=True, kw_only=True)
class Held:
    """A task that a replica works on, or did."""

    id: str
    owner: str
    version: int
    holder: str | None


class Leases:
    """The leases of all replicas on one database, as one of them sees them.

    Args:
        seconds: how long a replica that says nothing is taken to live.
    """

    def __init__(self, engine: Engine, *, seconds: float = 10.0) -> None:
        self.replica = uuid.uuid4().hex
        self.engine = engine
        self._seconds = seconds

    def begin(self) -> None:
        """Let the others know of this replica."""
        self.engine.enter(self.replica)
        self.beat()

    def beat(self) -> None:
        """Say that this replica lives."""
        with self.engine.writing() as execute:
            execute(
                "INSERT INTO a2a_replica (id, beat) VALUES (?, ?)"
                " ON CONFLICT (id) DO UPDATE SET beat = excluded.beat",
                (self.replica, self.engine.now()),
            )

    def end(self) -> None:
        """Say that this replica ends: what it worked on is the others' at once."""
        with self.engine.writing() as execute:
            execute("DELETE FROM a2a_replica WHERE id = ?", (self.replica,))

    def orphans(self) -> list[Held]:
        """Tasks that somebody worked on who is dead."""
        since = self.engine.now() - self._seconds
        rows = self.engine.query(
            "SELECT task.id, owner, version, holder, replica.beat FROM a2a_task AS task"
            " LEFT JOIN a2a_replica AS replica ON replica.id = task.holder"
            f" WHERE state IN ({listed(WORKING)}) AND (holder IS NULL OR holder <> ?)",
            (self.replica,),
        )
        gone: dict[str | None, bool] = {None: True}
        for *_, holder, beat in rows:
            if holder not in gone:
                gone[holder] = beat is None or beat < since or self.engine.is_gone(holder)
        return [
            Held(id=id, owner=owner, version=version, holder=holder)
            for id, owner, version, holder, _ in rows
            if gone[holder]
        ]

    def adopt(self, orphan: Held) -> bool:
        """Take a task over, unless another replica was faster."""
        with self.engine.writing() as execute:
            return bool(
                execute(
                    "UPDATE a2a_task SET holder = ?, version = version + 1 WHERE id = ? AND version = ?"
                    f" AND state IN ({listed(WORKING)}) AND (holder IS NULL OR holder <> ?) RETURNING id",
                    (self.replica, orphan.id, orphan.version, self.replica),
                )
            )

    def ended_elsewhere(self) -> list[Held]:
        """Tasks that this replica works on and that another has ended, as by a request to cancel."""
        rows = self.engine.query(
            "SELECT id, owner, version, holder FROM a2a_task"
            f" WHERE holder = ? AND state IN ({listed(TERMINAL)})",
            (self.replica,),
        )
        return [
            Held(id=id, owner=owner, version=version, holder=holder) for id, owner, version, holder in rows
        ]

    def release(self, held: Held) -> None:
        """Work no longer on a task that has ended."""
        with self.engine.writing() as execute:
            execute(
                "UPDATE a2a_task SET holder = NULL"
                f" WHERE id = ? AND holder = ? AND state IN ({listed(TERMINAL)})",
                (held.id, self.replica),
            )

    def tidy(self) -> None:
        """Forget replicas that are dead and hold nothing."""
        with self.engine.writing() as execute:
            execute(
                "DELETE FROM a2a_replica WHERE beat < ?"
                " AND NOT EXISTS (SELECT 1 FROM a2a_task WHERE holder = a2a_replica.id)",
                (self.engine.now() - 60 * self._seconds,),
            )

    def works_elsewhere(self, task: str) -> bool:
        """Whether another replica, a living one, works on a task."""
        rows = self.engine.query(
            "SELECT holder, replica.beat FROM a2a_task AS task JOIN a2a_replica AS replica"
            " ON replica.id = task.holder"
            f" WHERE task.id = ? AND holder <> ? AND state IN ({listed(WORKING)})",
            (task, self.replica),
        )
        return any(
            beat >= self.engine.now() - self._seconds and not self.engine.is_gone(holder)
            for holder, beat in rows
        )
