"""Forgetting memories: by id or by a filter, so that it can be undone or so that nothing is left.

The one rule: what a filter means is shown first, and only what was shown is forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pygent_memory.erasing import Eraser, copies, empty_log, reached
from pygent_memory.history import History
from pygent_memory.memories import Memories
from pygent_memory.memory import Memory
from pygent_memory.naming import WHAT, NameWriter
from pygent_memory.rows import key_of
from pygent_memory.selecting import Selection, kinds, selected, token
from pygent_memory.writing import State
from pygent_shared.errors import InvalidArgument

AT_ONCE = 100
"""Memories a transaction: few enough that other writers need not wait long."""

SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What was, or would be, forgotten or brought back.

    Attributes:
        states: the state that each known id was met in.
        along: what went, or came back, with it.
        bereft: what was derived from it and from others, and stays.
        displaced: whose place it had taken, which is kept as the past.
        remains: what of an erasure could not be reached, in sentences.
    """

    states: Mapping[str, State] = field(default_factory=dict)
    along: Sequence[str] = ()
    bereft: Sequence[str] = ()
    displaced: Sequence[str] = ()
    remains: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a filter means: how many memories, of which kinds, the first of them, how many would go with them,
    and the token that says one has seen it."""

    count: int
    kinds: Mapping[str, int]
    first: Sequence[Memory]
    along: int
    confirm: str


class Forgetting:
    """Forgets memories.

    Args:
        memories: the memories of this process.

    Raises (every method): InvalidArgument, DatabaseUnusable.
    """

    def __init__(self, memories: Memories) -> None:
        self._memories = memories
        self._database = memories.database
        self._store = memories.store

    def forget(self, space: str, ids: Sequence[str], *, dry_run: bool = False) -> Forgotten:
        """Take memories out of every answer, in a way that `restore` undoes."""
        if dry_run:
            return Forgotten(states=self._store.states(space, ids))
        return self._forget(space, ids, None)

    def restore(self, space: str, ids: Sequence[str], *, dry_run: bool = False) -> Forgotten:
        """Bring forgotten memories back, and what was forgotten with them."""
        if dry_run:
            return Forgotten(states=self._store.states(space, ids))
        states: dict[str, State] = {}
        along: list[str] = []
        for some in _batches(ids):
            with self._store.writing(space, self._memories.now()) as writer:
                states |= {id: state for id in some if (state := writer.restore(id))}
                along += writer.followed
        self._memories.notify()
        return Forgotten(states=states, along=along)

    def erase(self, space: str, ids: Sequence[str], *, dry_run: bool = False) -> Forgotten:
        """Delete memories with all that is left of them."""
        states = self._store.states(space, ids)
        if dry_run:
            every = reached(self._database, key_of(self._database, space), ids)
            return Forgotten(states=states, along=[id for id in every if id not in states])
        return replace(self._erase(space, ids), remains=self._remains())

    def show(self, space: str, wanted: Selection, *, hard: bool) -> Shown:
        """What would be forgotten by a filter."""
        ids = selected(self._database, space, wanted, forgotten=hard)
        every = reached(self._database, key_of(self._database, space), ids) if hard else ids
        first = History(self._database).versions(space, ids[:SHOWN])
        return Shown(
            count=len(ids),
            kinds=kinds(self._database, space, ids),
            first=[version.memory for version in first],
            along=len(every) - len(ids),
            confirm=token(ids, hard=hard),
        )

    def confirmed(self, space: str, wanted: Selection, confirm: str, *, hard: bool) -> Forgotten:
        """Forget what a filter means, if that is still what was shown.

        Raises:
            InvalidArgument: it is not.
        """
        ids = selected(self._database, space, wanted, forgotten=hard)
        if confirm != token(ids, hard=hard):
            why = f"does not stand for the {len(ids)} memories that are meant now"
            raise InvalidArgument("confirm", why, "Leave it out to see them, and send the one you then get.")
        names = wanted.everything or wanted == Selection(about=wanted.about)
        if not hard:
            forgotten = self._forget(space, ids, {"receipt": confirm})
            if names:
                self._names(space, lambda writer: writer.forget_name(wanted.about, confirm))
            return forgotten
        erased = self._erase(space, ids)
        if names:
            self._names(space, lambda writer: writer.erase_name(wanted.about))
        return replace(erased, remains=self._remains())

    def restore_receipt(self, space: str, confirm: str, *, dry_run: bool = False) -> Forgotten:
        """Bring back what was forgotten under a token.

        Raises:
            InvalidArgument: nothing was.
        """
        rows = self._database.query(
            "SELECT DISTINCT memory FROM event WHERE space = ? AND what IN ('forgotten', ?) "
            "AND json_extract(before, '$.receipt') = ? ORDER BY id",
            (key_of(self._database, space), WHAT, confirm),
        )
        if not rows:
            cure = "Send the confirm of the receipt, or ids."
            raise InvalidArgument("confirm", f'nothing was forgotten under it in space "{space}"', cure)
        if not dry_run:
            self._names(space, lambda writer: writer.restore_names(confirm))
        return self.restore(space, [str(id) for (id,) in rows if id], dry_run=dry_run)

    def _names(self, space: str, write: Callable[[NameWriter], None]) -> None:
        with self._store.writing_as(NameWriter, space, self._memories.now()) as writer:
            write(writer)

    def _forget(self, space: str, ids: Sequence[str], before: Mapping[str, Any] | None) -> Forgotten:
        states: dict[str, State] = {}
        along: list[str] = []
        bereft: list[str] = []
        for some in _batches(ids):
            with self._store.writing(space, self._memories.now()) as writer:
                states |= {id: state for id in some if (state := writer.forget(id, before=before))}
                along += writer.followed
                bereft += writer.bereft
        states |= {id: "live" for id in along if id in states}
        return Forgotten(
            states=states,
            along=[id for id in along if id not in states],
            bereft=[id for id in dict.fromkeys(bereft) if id not in along and id not in states],
            displaced=self._displaced(space, [id for id, state in states.items() if state == "live"]),
        )

    def _displaced(self, space: str, ids: Sequence[str]) -> list[str]:
        """The memories that are kept as the past of these, and hold no longer though these are gone."""
        rows = self._database.query(
            "SELECT o.id FROM memory AS m JOIN memory AS o ON o.replaced_by = m.key "
            "WHERE m.id IN (SELECT value FROM json_each(?)) AND +m.space = ? AND o.forgotten_at IS NULL "
            "ORDER BY o.key",
            (json.dumps(list(ids)), key_of(self._database, space)),
        )
        return [str(id) for (id,) in rows]

    def _erase(self, space: str, ids: Sequence[str]) -> Forgotten:
        states = self._store.states(space, ids)
        gone: list[str] = []
        for some in _batches(ids):
            with self._store.writing_as(Eraser, space, self._memories.now()) as eraser:
                gone += eraser.erase(some)
        return Forgotten(states=states, along=[id for id in gone if id not in states])

    def _remains(self) -> list[str]:
        """What an erasure could not reach."""
        remains = []
        if not empty_log(self._database):
            remains.append(
                "Another process was reading, so the database's log could not be emptied; what was erased "
                "leaves it with the next write after that."
            )
        if backups := copies(self._database):
            remains.append(
                f"Copies made earlier may hold it; delete them where it must go: {', '.join(backups)}."
            )
        return remains


def _batches(ids: Sequence[str], size: int = AT_ONCE) -> list[Sequence[str]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]
