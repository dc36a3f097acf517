"""Putting into a space what was found in a file, unless it is there.

The one rule: the same file a second time adds nothing, and what was forgotten, replaced or ended since is
not brought back.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, cast

import apsw

from pygent_memory.memory import Draft, label
from pygent_memory.passages import passages
from pygent_memory.transfer.checking import check_scalars, checked_memory, count
from pygent_memory.transfer.found import Entity, Outcome, Relation
from pygent_memory.transfer.own import LINKS, NOT_KEPT, OF_THIS_FILE, columns
from pygent_memory.writing import Writer, new_id
from pygent_shared.errors import InvalidArgument


class Here:
    """What one import has learned of a space; it outlives the transactions of its batches."""

    def __init__(self) -> None:
        self.gone: set[bytes] | None = None
        self.met: set[object] = set()
        self.entities: dict[int, int] = {}
        self.twins: dict[str, str] = {}


class Placing:
    """The placing into one space, inside one transaction; in a dry run it only looks.

    Args:
        connection: in a write transaction, unless it is a dry run.
        writer: on that connection.
        here: kept from one transaction of an import to the next.
    """

    def __init__(
        self, connection: apsw.Connection, writer: Writer, name: str, now: str, here: Here, *, dry_run: bool
    ) -> None:
        self._connection = connection
        self._writer = writer
        self._name = name
        self._now = now
        self._here = here
        self._dry_run = dry_run
        if here.gone is None:
            here.gone = self._gone()
        if not dry_run:
            writer.make()

    # ---- what other formats hold

    def told(self, draft: Draft) -> Outcome:
        """Keep what a file tells."""
        fingerprint = draft.fingerprint()
        if outcome := self._met(fingerprint):
            return outcome
        if not self._dry_run:
            self._writer.add(draft, passages(draft.text))
        return "added"

    def entity(self, entity: Entity) -> bool:
        """Make an entity, unless the space has one of its name. Returns whether it was made."""
        found = "SELECT 1 FROM entity WHERE space = ? AND name = ? AND forgotten_at IS NULL"
        if self._known(("entity", entity.name), found, (self._space, entity.name)):
            return False
        if not self._dry_run:
            self._connection.execute(
                "INSERT INTO entity (space, name, type, recorded_at) VALUES (?, ?, ?, ?)",
                (self._space, entity.name, entity.type, self._now),
            )
        return True

    def relation(self, relation: Relation) -> bool:
        """Make a relation, unless the space has it. Returns whether it was made."""
        ends = (relation.source, relation.target, relation.type)
        found = (
            "SELECT 1 FROM relation WHERE space = ? AND source = ? AND target = ? AND type = ? "
            "AND forgotten_at IS NULL"
        )
        if self._known(("relation", *ends), found, (self._space, *ends)):
            return False
        if not self._dry_run:
            self._connection.execute(
                "INSERT INTO relation (space, source, target, type, recorded_at) VALUES (?, ?, ?, ?, ?)",
                (self._space, *ends, self._now),
            )
        return True

    # ---- the rows of our own format

    def memory(self, row: dict[str, Any]) -> Outcome:
        """Put a memory back as it was, but for its links to other memories.

        Raises:
            InvalidArgument: the row is not as we write it.
        """
        checked = checked_memory(row) | {"entity": self._entity(row)}
        id, fingerprint = checked["id"], checked["fingerprint"]
        if id and self._id(id):
            return "duplicate"
        if (_holds(checked) or not id) and (outcome := self._met(fingerprint, comes_back=bool(id))):
            if id and (twin := self._writer.known(fingerprint)) is not None:
                self._here.twins[id] = twin[1]
            return outcome
        if id and not self._is_first(("memory", id)):
            return "duplicate"
        if not self._dry_run:
            self._put_back(row, checked)
        return "added"

    def links(self, row: Mapping[str, Any]) -> str:
        """Tie a memory to those it was made of and the one that replaced it. Returns what is wrong with them,
        or ""."""
        if not (id := self._id(str(row.get("id", "")))):
            return ""
        for source in row.get("derived_from", []):
            self._connection.execute(
                "INSERT OR IGNORE INTO derived_from (memory, source) SELECT m.key, s.key FROM memory AS m, "
                "memory AS s WHERE m.space = ?1 AND m.id = ?2 AND s.space = ?1 AND s.id = ?3 "
                "AND m.key <> s.key",
                (self._space, id, self._id(str(source))),
            )
        if not (by := self._id(str(row.get("replaced_by", "")))):
            return ""
        if id in self._replacing(by):
            return f"{row['id']} would be replaced by itself, in a circle; that link was left out"
        self._connection.execute(
            "UPDATE memory SET replaced_by = (SELECT key FROM memory WHERE space = ?1 AND id = ?3) "
            "WHERE space = ?1 AND id = ?2 AND replaced_at = ?4 AND replaced_by IS NULL",
            (self._space, id, by, row.get("replaced_at")),
        )
        return ""

    def other(self, table: str, row: Mapping[str, Any]) -> bool:
        """Put a conversation, entity, relation or an event of what is gone back. Returns whether it was new.

        Raises:
            InvalidArgument: the row is not as we write it.
        """
        known = [name for name in columns(self._connection, table) if name not in NOT_KEPT]
        values = {name: row[name] for name in known if name in row}
        check_scalars(values)
        name = label(str(row.get("name", "")), "name") if table == "conversation" else ""
        if table == "conversation":
            return self._conversation(name, count(row.get("turns", 0), "turns"))
        same = " AND ".join(f"{name} IS ?" for name in values)
        found = self._connection.execute(
            f"SELECT id FROM {table} WHERE space = ? AND {same} LIMIT 1", (self._space, *values.values())
        ).fetchall() or self._living(table, values)
        if found:
            id, new = cast(int, found[0][0]), False
        elif self._dry_run:
            id, new = 0, self._is_first((table, *values.values()))
        else:
            names = ", ".join(["space", *values])
            marks = ", ".join("?" * (len(values) + 1))
            self._connection.execute(
                f"INSERT INTO {table} ({names}) VALUES ({marks})", (self._space, *values.values())
            )
            id, new = self._connection.last_insert_rowid(), True
        if table == "entity":
            self._here.entities[count(row.get("number", 0), "number")] = id
        return new

    # ---- what is here

    @property
    def _space(self) -> int | None:
        return self._writer.space

    def _met(self, fingerprint: bytes, *, comes_back: bool = False) -> Outcome | None:
        """What becomes of a text that is here, or was; None of a new one."""
        if self._writer.known(fingerprint) is not None or not self._is_first(fingerprint):
            return "duplicate"
        assert self._here.gone is not None
        return "kept out" if fingerprint in self._here.gone and not comes_back else None

    def _is_first(self, mark: object) -> bool:
        """Whether a dry run meets something for the first time. Else what was met before is in the tables."""
        if not self._dry_run:
            return True
        new = mark not in self._here.met
        self._here.met.add(mark)
        return new

    def _known(self, mark: object, sql: str, bindings: tuple[Any, ...]) -> bool:
        """Whether a query finds something, or a dry run has met the same before."""
        return bool(self._connection.execute(sql, bindings).fetchall()) or not self._is_first(mark)

    def _gone(self) -> set[bytes]:
        """The fingerprints of what held here once."""
        rows = self._connection.execute(
            "SELECT fingerprint FROM memory WHERE space = ? AND (forgotten_at IS NOT NULL "
            "OR replaced_at IS NOT NULL OR valid_to IS NOT NULL OR expires_at IS NOT NULL)",
            (self._space,),
        )
        return {cast(bytes, fingerprint) for (fingerprint,) in rows}

    def _id(self, id: str) -> str:
        """The id that a memory of the file has in this space; "" where it has none."""
        if not id:
            return ""
        for candidate in (id, self._here.twins.get(id, ""), self._other_id(id)):
            if self._exists("space = ? AND id = ?", (self._space, candidate)):
                return candidate
        return ""

    def _other_id(self, id: str) -> str:
        """The id a memory gets here where another space of the database has its own."""
        digest = hashlib.sha256(f"{self._name}\n{id}".encode()).digest()
        return "m" + base64.b32encode(digest).decode().lower()[:12]

    def _entity(self, row: Mapping[str, Any]) -> int | None:
        if (number := row.get("entity")) is None:
            return None
        if number not in self._here.entities:
            raise InvalidArgument("entity", f"is {number!r}, which no line before has", "Add its line.")
        return self._here.entities[number]

    def _exists(self, condition: str, bindings: tuple[Any, ...]) -> bool:
        return bool(self._connection.execute(f"SELECT 1 FROM memory WHERE {condition}", bindings).fetchall())

    def _living(self, table: str, values: Mapping[str, Any]) -> list[Any]:
        """The entity or relation that stands in the way of a living one."""
        unique = {"entity": ("name",), "relation": ("source", "target", "type")}.get(table)
        if unique is None or values.get("forgotten_at") is not None:
            return []
        same = " AND ".join(f"{name} IS ?" for name in unique)
        return self._connection.execute(
            f"SELECT id FROM {table} WHERE space = ? AND {same} AND forgotten_at IS NULL",
            (self._space, *(values.get(name) for name in unique)),
        ).fetchall()

    def _replacing(self, id: str) -> set[str]:
        """A memory and all that replaced it, one after the other."""
        rows = self._connection.execute(
            "WITH RECURSIVE later(key) AS (SELECT key FROM memory WHERE space = ? AND id = ? UNION "
            "SELECT m.replaced_by FROM memory AS m JOIN later ON m.key = later.key "
            "WHERE m.replaced_by IS NOT NULL) SELECT id FROM memory WHERE key IN (SELECT key FROM later)",
            (self._space, id),
        )
        return {str(found) for (found,) in rows}

    # ---- putting back

    def _conversation(self, name: str, turns: int) -> bool:
        known = "SELECT 1 FROM conversation WHERE space = ? AND name = ?"
        new = not self._known(("conversation", name), known, (self._space, name))
        if not self._dry_run:
            self._connection.execute(
                "INSERT INTO conversation (space, name, turns) VALUES (?, ?, ?) "
                "ON CONFLICT (space, name) DO UPDATE SET turns = max(turns, excluded.turns)",
                (self._space, name, turns),
            )
        return new

    def _put_back(self, row: Mapping[str, Any], checked: dict[str, Any]) -> None:
        given = checked["id"]
        id = given or new_id()
        if given and self._exists("id = ?", (given,)):
            id = self._other_id(given)
        own = [name for name in columns(self._connection, "memory") if name not in (*OF_THIS_FILE, *LINKS)]
        values = {name: row[name] for name in own if name in row} | checked
        values |= {"recorded_at": checked["recorded_at"] or self._now, "id": id, "space": self._space}
        if "past" in own:
            ended = checked["valid_to"] is not None and checked["valid_to"] <= self._now
            values.setdefault("past", int(ended or checked["replaced_at"] is not None))
        if conversation := row.get("conversation"):
            self._conversation(label(str(conversation), "conversation"), int(values.get("turn") or 0))
            ((values["conversation"],),) = self._connection.execute(
                "SELECT id FROM conversation WHERE space = ? AND name = ?", (self._space, conversation)
            )
        if entity := checked["entity"]:
            values["entity"] = entity
        marks = ", ".join("?" * len(values))
        self._connection.execute(
            f"INSERT INTO memory ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
        )
        key = self._connection.last_insert_rowid()
        self._connection.executemany(
            "INSERT OR IGNORE INTO memory_tag (memory, tag) VALUES (?, ?)",
            [(key, tag) for tag in row.get("tags", [])],
        )
        self._writer.index_again(id)
        if not (events := row.get("events")):
            self._writer.record(id, "added")
            return
        names = [name for name in columns(self._connection, "event") if name not in (*NOT_KEPT, "memory")]
        for event in events:
            told = {name: event[name] for name in names if name in event}
            marks = ", ".join("?" * (len(told) + 2))
            self._connection.execute(
                f"INSERT INTO event (space, memory, {', '.join(told)}) VALUES ({marks})",
                (self._space, id, *told.values()),
            )


def _holds(row: Mapping[str, Any]) -> bool:
    return row["forgotten_at"] is None and row["replaced_at"] is None
