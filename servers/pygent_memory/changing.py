"""Changing a memory, and undoing it.

The one rule: a text is never overwritten. A new text is a new memory that takes the old one's place; what
else is told of a memory is changed in place, and the event keeps what it was before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from pygent_memory.expiry import told_expiry
from pygent_memory.memories import Memories
from pygent_memory.memory import NEVER, Draft, Memory, memory_text, moment, normalised, tag_set
from pygent_memory.passages import passages
from pygent_memory.rows import COLUMNS, memory
from pygent_memory.writing import Writer
from pygent_shared.errors import InvalidArgument

IN_PLACE = ("tags", "importance", "pinned", "valid_to", "expires_at")
"""What is changed in place, in this order."""

UNDONE = "undone"
REWRITTEN = "rewritten"
"""What happened to a memory whose text was changed; one that another took the place of is `replaced`."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is to be changed; None or "" leaves a thing as it is, "never" takes a time away. Make it with
    `change`, which checks it."""

    text: str = ""
    tags: tuple[str, ...] | None = None
    importance: float | None = None
    pinned: bool | None = None
    valid_to: str = ""
    expires_at: str = ""

    @property
    def told(self) -> dict[str, Any]:
        """The new values of what is changed in place."""
        given = {name: getattr(self, name) for name in IN_PLACE}
        return {
            name: "" if value == NEVER else value
            for name, value in given.items()
            if value is not None and value != ""
        }


@dataclass(frozen=True, kw_only=True)
class Changed:
    """What became of a memory: `memory` is what holds now, with what was changed of it by name. `replaced` is
    whose place it took, or, after an undo, what was `withdrawn` for it."""

    memory: Memory
    fields: tuple[str, ...] = ()
    replaced: str = ""
    undone: bool = False
    withdrawn: str = ""


def change(
    now: str,
    *,
    text: str = "",
    tags: Sequence[str] | None = None,
    importance: float | None = None,
    pinned: bool | None = None,
    valid_to: str = "",
    expires_at: str = "",
    ttl_days: float = 0,
) -> Change:
    """A checked change.

    Raises:
        InvalidArgument: nothing is to be changed, or a value cannot be used.
    """
    made = Change(
        text=memory_text(text, "text") if text else "",
        tags=None if tags is None else tag_set(tags),
        importance=importance,
        pinned=pinned,
        valid_to=NEVER if valid_to.strip() == NEVER else moment(valid_to, "valid_to"),
        expires_at=told_expiry(expires_at, ttl_days, now),
    )
    if made == Change():
        cure = "Send what is to change, such as text or tags; or undo=true."
        raise InvalidArgument("text", "is empty, and so is all else", cure)
    return made


class Changing:
    """Changes memories in all ways but forgetting them.

    Args:
        memories: the memories of this process.

    Raises (every method): InvalidArgument, DatabaseUnusable.
    """

    def __init__(self, memories: Memories) -> None:
        self._memories = memories

    def change(self, space: str, id: str, change: Change, if_version: int = 0) -> Changed:
        """Change a memory, at this version only unless that is 0."""
        parts = passages(change.text)
        with self._memories.store.writing_as(Changer, space, self._memories.now()) as changer:
            changed = changer.change(id, change, parts, if_version)
        self._memories.notify()
        return changed

    def undo(self, space: str, id: str, if_version: int = 0) -> Changed:
        """Take the last change of a memory back; once more, the one before."""
        with self._memories.store.writing_as(Changer, space, self._memories.now()) as changer:
            changed = changer.undo(id, if_version)
        self._memories.notify()
        return changed


class Changer(Writer):
    """A `Writer` that changes what is there."""

    def change(self, id: str, change: Change, parts: Sequence[Any], if_version: int = 0) -> Changed:
        """Change a memory that holds."""
        key, old = self._present(id, if_version)
        if old.replaced_at:
            why = f"{id} was replaced by {old.replaced_by or 'another'} on {old.replaced_at}"
            cure = f'Change that one; or bring this one back: memory_update(id="{id}", undo=true).'
            raise InvalidArgument("id", why, cure)
        if change.text and normalised(change.text) != normalised(old.text):
            return self._rewrite(id, old, change, parts)
        return self._set(key, old, change.told, "updated")

    def undo(self, id: str, if_version: int = 0) -> Changed:
        """Take the last change of a memory back: what was changed in place, or that it was replaced, or that
        it replaced another by a new text. Each undo goes one change further back."""
        key, now = self._present(id, if_version)
        if now.replaced_at:
            return self._reopen(key, now)
        if before := self._last_change(id):
            return self._set(key, now, before, UNDONE)
        if (old := self._rewritten_into(key)) is not None:
            return self._reopen(*self._present(old))
        cure = "A forgotten memory comes back with memory_forget(ids, undo=true)."
        raise InvalidArgument("undo", f"nothing of {id} was changed, or all of it is undone", cure)

    def _present(self, id: str, if_version: int = 0) -> tuple[int, Memory]:
        """The number of a memory that is not forgotten, and the memory.

        Raises:
            InvalidArgument: there is none, it is forgotten, or it is at another version.
        """
        row = self._one(
            f"SELECT {COLUMNS}, m.key, m.forgotten_at IS NOT NULL OR ifnull(m.expires_at <= ?, 0) "
            "FROM memory AS m WHERE m.space = ? AND m.id = ?",
            (self._now, self.space, id),
        )
        if row is None:
            cure = "Take an id from memory_search or memory_add."
            raise InvalidArgument("id", f'space "{self._name}" has no memory {id[:40]}', cure)
        *columns, key, forgotten = row
        if forgotten:
            cure = f'Bring it back first: memory_forget(ids=["{id}"], undo=true).'
            raise InvalidArgument("id", f"{id} is forgotten", cure)
        found = memory(columns)
        if if_version and if_version != found.version:
            why = f"is {if_version}, but {id} was changed since and is at version {found.version}"
            raise InvalidArgument("if_version", why, f'Read it again: memory_get(ids=["{id}"]).')
        return key, found

    def _rewrite(self, id: str, old: Memory, change: Change, parts: Sequence[Any]) -> Changed:
        """Have a new memory, or one that says just this, take the place of another."""
        told = {**{name: getattr(old, name) for name in IN_PLACE}, **change.told}
        told["expires_at"] = told["expires_at"] or NEVER
        happened = old.kind == "episodic"
        draft = Draft(
            text=change.text,
            kind=old.kind,
            speaker=old.speaker,
            occurred_at=old.occurred_at if happened else "",
            valid_from=old.valid_from if happened else "",
            conversation=old.conversation,
            entity=old.entity,
            source=old.source,
            derived_from=old.derived_from,
            **told,
        )
        fingerprint = draft.fingerprint(old.turn)
        if (known := self.known(fingerprint)) is not None:
            key, new, _ = known
            self._end(id, key)
        else:
            key, new = self._create(draft, parts, fingerprint, self._conversation(old), old.turn)
            self._end(id, key, REWRITTEN)
        return Changed(memory=self._present(new)[1], fields=("text", *change.told), replaced=id)

    def _conversation(self, old: Memory) -> int | None:
        if not old.conversation:
            return None
        return cast(
            int,
            self._one(
                "SELECT id FROM conversation WHERE space = ? AND name = ?", (self.space, old.conversation)
            )[0],
        )

    def _set(self, key: int, old: Memory, told: Mapping[str, Any], what: str) -> Changed:
        """Change in place what differs, and keep what it was before."""
        before = {name: getattr(old, name) for name in IN_PLACE if name in told}
        before = {name: was for name, was in before.items() if was != told[name]}
        if not before and what != UNDONE:
            return Changed(memory=old)
        new = replace(old, **{name: told[name] for name in before})
        if new.valid_from and new.valid_to and new.valid_to <= new.valid_from:
            why = f"{new.valid_to} is not later than valid_from {new.valid_from}"
            raise InvalidArgument("valid_to", why, "Take a later one.")
        if new.expires_at and new.expires_at <= self._now:
            cure = f'Give it another first: memory_update(id="{old.id}", expires_at="never").'
            raise InvalidArgument("undo", f"its time {new.expires_at} to expire has passed", cure)
        fingerprint = new.fingerprint(new.turn)
        self._refuse_known(old.id, fingerprint, "valid_to")
        self._connection.execute(
            "UPDATE memory SET importance = ?, pinned = ?, valid_to = ?, expires_at = ?, fingerprint = ?, "
            "version = version + 1 WHERE key = ?",
            (new.importance, new.pinned, new.valid_to or None, new.expires_at or None, fingerprint, key),
        )
        if "tags" in before:
            self._connection.execute("DELETE FROM memory_tag WHERE memory = ?", (key,))
            self._tag(key, new.tags)
        if "valid_to" in before:
            self.shelve(key, past=bool(new.valid_to) and new.valid_to <= self._now)
        self.record(old.id, what, before)
        return Changed(memory=self._present(old.id)[1], fields=tuple(before), undone=what == UNDONE)

    def _refuse_known(self, id: str, fingerprint: bytes, name: str) -> None:
        if (known := self.known(fingerprint)) is not None and known[1] != id:
            cure = f'Forget one of the two: memory_forget(ids=["{known[1]}"]).'
            raise InvalidArgument(name, f"with it {id} would say the same as {known[1]}", cure)

    def _last_change(self, id: str) -> dict[str, Any]:
        """What the last change in place that is not undone found."""
        changes: list[dict[str, Any]] = []
        for what, before in self._connection.execute(
            "SELECT what, before FROM event WHERE memory = ? AND space = ? AND what IN ('updated', ?) "
            "ORDER BY id",
            (id, self.space, UNDONE),
        ).fetchall():
            if what == UNDONE:
                changes.pop()
            else:
                changes.append(json.loads(cast(str, before)))
        if not changes:
            return {}
        last = changes[-1]
        return {**last, "tags": tuple(last["tags"])} if "tags" in last else last

    def _rewritten_into(self, key: int) -> str | None:
        """The memory whose text was changed into this one."""
        row = self._one(
            "SELECT m.id FROM memory AS m WHERE m.replaced_by = ? AND m.forgotten_at IS NULL "
            f"AND ({_HOW}) = ? ORDER BY m.key DESC LIMIT 1",
            (key, REWRITTEN),
        )
        return None if row is None else cast(str, row[0])

    def _reopen(self, key: int, old: Memory) -> Changed:
        """Let a replaced memory hold again; the one its text was changed into is withdrawn."""
        withdrawn = ""
        (how,) = self._one(f"SELECT ({_HOW}) FROM memory AS m WHERE m.key = ?", (key,))
        newer = self._live(old.replaced_by)
        if how == REWRITTEN and newer is not None:
            if newer.replaced_at:
                why = f"{old.id} was replaced by {newer.id}, which was replaced since"
                raise InvalidArgument(
                    "undo", why, f'Undo that first: memory_update(id="{newer.id}", undo=true).'
                )
            withdrawn = newer.id
            self.forget(newer.id)
        self._refuse_known(old.id, old.fingerprint(old.turn), "undo")
        past = bool(old.valid_to) and old.valid_to <= self._now
        self._connection.execute(
            "UPDATE memory SET replaced_at = NULL, replaced_by = NULL, version = version + 1 WHERE key = ?",
            (key,),
        )
        self.shelve(key, past=past)
        self.record(old.id, "reopened")
        return Changed(memory=self._present(old.id)[1], undone=True, withdrawn=withdrawn)

    def _live(self, id: str) -> Memory | None:
        row = self._one(
            f"SELECT {COLUMNS} FROM memory AS m WHERE m.space = ? AND m.id = ? AND m.forgotten_at IS NULL",
            (self.space, id),
        )
        return None if row is None else memory(row)


# How the memory `m` came to be replaced the last time.
_HOW = """
    SELECT what FROM event WHERE memory = m.id AND space = m.space AND what IN ('replaced', 'rewritten')
    ORDER BY event.id DESC LIMIT 1
"""
