"""What is to be pushed where: the targets that callers named, and what is still to be sent to them.

The one rule: what is to be sent is written with the change it tells of (see `store`), and is taken away when
it was sent or given up. So the end of a process loses none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pygent_a2a.store import Engine

# What waits holds up what is behind it.
_FIRST = "SELECT min(id) AS id FROM a2a_delivery GROUP BY task, target"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event of a task that is to be pushed to one target; `old` where that speaks an earlier protocol."""

    id: int
    task: str
    target: str
    owner: str
    attempts: int
    since: float
    old: bool
    event: bytes
    config: bytes


class Outbox:
    """The statements. Every method is safe in any thread."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def aim(self, owner: str, task: str, id: str, config: bytes, *, old: bool) -> None:
        """Push a task's events to a target from now on; one of the same id is replaced."""
        with self.engine.writing() as execute:
            execute(
                "INSERT INTO a2a_target (task, id, owner, body, old) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (task, id) DO UPDATE SET body = excluded.body, old = excluded.old"
                " WHERE a2a_target.owner = excluded.owner",
                (task, id, owner, config, int(old)),
            )

    def targets(self, owner: str | None, task: str) -> list[bytes]:
        """The targets of a task: an owner's, or everyone's."""
        rows = self.engine.query(
            "SELECT body FROM a2a_target WHERE task = ? AND (owner = ? OR ? = 1) ORDER BY id",
            (task, owner or "", int(owner is None)),
        )
        return [bytes(body) for (body,) in rows]

    def remove(self, owner: str, task: str, id: str | None) -> None:
        """Push a task's events no longer to a target, or to any; what was still to be sent there is not."""
        with self.engine.writing() as execute:
            gone = execute(
                "DELETE FROM a2a_target WHERE task = ? AND owner = ? AND (id = ? OR ? = 1) RETURNING id",
                (task, owner, id or "", int(id is None)),
            )
            for (target,) in gone:
                execute("DELETE FROM a2a_delivery WHERE task = ? AND target = ?", (task, target))

    def due(self, most: int, lease: float) -> list[Delivery]:
        """Take what is to be sent now, of each target the oldest alone: so they come in order.

        Args:
            lease: seconds after which it is anybody's again, should this process end meanwhile.
        """
        now = self.engine.now()
        with self.engine.writing() as execute:
            taken = execute(
                "UPDATE a2a_delivery SET due = ? WHERE due <= ? AND id IN"
                f" (SELECT delivery.id FROM a2a_delivery AS delivery JOIN ({_FIRST}) AS first"
                " ON first.id = delivery.id WHERE delivery.due <= ? ORDER BY delivery.due LIMIT ?)"
                " RETURNING id",
                (now + lease, now, now, most),
            )
            if not taken:
                return []
            marks = ",".join("?" * len(taken))
            rows = execute(
                "SELECT delivery.id, delivery.task, delivery.target, target.owner, attempts, delivery.since,"
                " target.old, event.body, target.body FROM a2a_delivery AS delivery"
                " JOIN a2a_target AS target ON target.task = delivery.task AND target.id = delivery.target"
                " JOIN a2a_event AS event ON event.task = delivery.task AND event.version = delivery.version"
                f" WHERE delivery.id IN ({marks}) ORDER BY delivery.id",
                [id for (id,) in taken],
            )
        return [
            Delivery(
                **dict(zip(("id", "task", "target", "owner", "attempts", "since"), row[:6], strict=True)),
                old=bool(row[6]),
                event=bytes(row[7]),
                config=bytes(row[8]),
            )
            for row in rows
        ]

    def done(self, delivery: Delivery) -> None:
        """It was sent, or is not to be sent any more."""
        with self.engine.writing() as execute:
            execute("DELETE FROM a2a_delivery WHERE id = ?", (delivery.id,))

    def postpone(self, delivery: Delivery, seconds: float) -> None:
        """Try it again later."""
        with self.engine.writing() as execute:
            execute(
                "UPDATE a2a_delivery SET attempts = attempts + 1, due = ? WHERE id = ?",
                (self.engine.now() + seconds, delivery.id),
            )

    def give_up(self, delivery: Delivery) -> int:
        """Send neither it nor what waits behind it; how many those are."""
        with self.engine.writing() as execute:
            return len(
                execute(
                    "DELETE FROM a2a_delivery WHERE task = ? AND target = ? RETURNING id",
                    (delivery.task, delivery.target),
                )
            )

    def next_due(self) -> float | None:
        """Seconds until something is to be sent; None where nothing is."""
        ((due,),) = self.engine.query(f"SELECT min(due) FROM a2a_delivery WHERE id IN ({_FIRST})")
        return None if due is None else max(0.0, float(due) - self.engine.now())

    def waiting(self, tasks: Sequence[str] = ()) -> int:
        """How many are still to be sent: of some tasks, or of all."""
        where = f" WHERE task IN ({','.join('?' * len(tasks))})" if tasks else ""
        ((count,),) = self.engine.query(f"SELECT count(*) FROM a2a_delivery{where}", tasks)
        return int(count)
