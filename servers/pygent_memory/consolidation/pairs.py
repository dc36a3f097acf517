"""Pairs of memories that are alike: found once, kept until somebody judges them.

The one rule: each memory is compared, once, with those that were there before it; so finding goes on where it
stopped, in bounded steps, and what is alike is never refused or merged. Turns of conversations are not
compared: people repeat themselves.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pygent_memory.consolidation.judge import Pair
from pygent_memory.filters import HOLDS
from pygent_memory.memories import ALIKE, Memories
from pygent_memory.memory import likenesses, word_pairs
from pygent_memory.rows import key_of, marks
from pygent_memory.schema import shelf

NEAR = 0.9
"""The least cosine of a pair. Vectors are blind to digits and negation: this finds what to judge, no more."""
MOST = 5
"""Pairs a memory, the most alike ones: the others come to be alike to those."""
STEP = 50
"""Memories compared between two writes, each of which is short."""
NEAREST = (50, 800, 12_800)
"""Passages looked at a passage; more if all of them are near, and of turns, which are not compared."""

_COMPARED = """
    m.space = ? AND m.forgotten_at IS NULL AND m.replaced_at IS NULL AND m.conversation IS NULL
    AND m.kind IN ('semantic', 'procedural', 'episodic', 'observation')
"""
_NEW = f"SELECT m.key, m.text FROM memory AS m WHERE {_COMPARED} AND m.key > ?"


@dataclass(frozen=True, kw_only=True)
class _New:
    """A memory to be compared, with the passages it is searched by."""

    key: int
    text: str
    passages: tuple[int, ...]


class Pairs:
    """Finds pairs in the spaces of a database and keeps them.

    Args:
        memories: gives the vectors and the words they are found by.

    Raises (every method): DatabaseUnusable.
    """

    def __init__(self, memories: Memories) -> None:
        self._database = memories.database
        self._finder = memories.finder
        self._memories = memories

    def find(self, space: str, seconds: float) -> int:
        """Compare for about so long; returns how many memories are still to be compared."""
        until = time.monotonic() + seconds
        if (key := key_of(self._database, space)) is None:
            return 0
        model, _ = self._memories.model()
        while some := self._next(key, model):
            found = {new.key: self._alike(space, key, model, new) for new in some}
            self._keep(key, model, found)
            if time.monotonic() > until:
                break
        return self._waiting(key, model)

    def open(self, space: str, limit: int, now: str) -> list[Pair]:
        """Pairs nobody judged, of memories that both hold; those of the oldest memories first."""
        one = "(SELECT m.id FROM memory AS m WHERE m.key = p.{} AND m.forgotten_at IS NULL "
        one += f"AND m.replaced_at IS NULL AND {HOLDS})"
        rows = self._database.query(
            f"SELECT {one.format('newer')} AS later, {one.format('older')} AS earlier, p.likeness "
            "FROM memory_pair AS p WHERE p.space = ? AND p.verdict IS NULL "
            "AND later IS NOT NULL AND earlier IS NOT NULL ORDER BY p.newer, p.older LIMIT ?",
            (now, now, now, now, key_of(self._database, space), limit),
        )
        found = cast("list[tuple[str, str, float]]", rows)
        ids = [id for newer, older, _ in found for id in (newer, older)]
        by_id = {memory.id: memory for memory in self._memories.store.get(space, ids)}
        return [
            Pair(newer=by_id[newer], older=by_id[older], likeness=alike)
            for newer, older, alike in found
            if newer in by_id and older in by_id
        ]

    def _next(self, space: int, model: str) -> list[_New]:
        """The next memories to compare; with a model, up to the first that has not all its vectors."""
        rows = self._database.query(f"{_NEW} ORDER BY m.key LIMIT ?", (space, self._upto(space, model), STEP))
        new = cast("list[tuple[int, str]]", rows)
        of: dict[int, list[int]] = {key: [] for key, _ in new}
        for passage, key in self._database.query(
            f"SELECT id, memory FROM passage WHERE memory IN ({marks(new)}) ORDER BY id", tuple(of)
        ):
            of[cast(int, key)].append(cast(int, passage))
        ready = self._finder.vectors.read(model, [p for some in of.values() for p in some]) if model else {}
        some = []
        for key, text in new:
            if model and not all(passage in ready for passage in of[key]):
                break
            some.append(_New(key=key, text=text, passages=tuple(of[key])))
        return some

    def _alike(self, space: str, key: int, model: str, new: _New) -> dict[int, float]:
        """The older memories like this one, and how alike."""
        found = self._sharing(space, new)
        for older, cosine in self._near(key, model, new).items():
            found[older] = max(found.get(older, 0), cosine)
        before = self._comparable(key, new.key, list(found))
        ranked = sorted(before, key=lambda older: (-found[older], -older))
        return {older: found[older] for older in ranked[:MOST]}

    def _sharing(self, space: str, new: _New) -> dict[int, float]:
        sharing = self._finder.sharing(space, word_pairs(new.text))
        shares = likenesses(new.text, [memory.text for memory in sharing])
        alike = {memory.id: share for memory, share in zip(sharing, shares, strict=True)}
        ids = [id for id, share in alike.items() if share >= ALIKE]
        rows = self._database.query(f"SELECT key, id FROM memory WHERE id IN ({marks(ids)})", ids)
        return {key: alike[id] for key, id in cast("list[tuple[int, str]]", rows)}

    def _near(self, space: int, model: str, new: _New) -> dict[int, float]:
        near: dict[int, float] = {}
        vectors = self._finder.vectors
        for vector in vectors.read(model, new.passages).values() if model else ():
            for limit in NEAREST:
                found = vectors.nearest(model, vector, [shelf(space)], limit)
                close = {passage: cosine for passage, cosine in found.items() if cosine >= NEAR}
                memories = self._of(close)
                if len(close) < limit or len(self._comparable(space, new.key, list(memories))) >= MOST:
                    break
            for memory, cosine in memories.items():
                near[memory] = max(near.get(memory, 0), cosine)
        return near

    def _of(self, passages: Mapping[int, float]) -> dict[int, float]:
        """The memories of these passages, each as near as its nearest."""
        rows = self._database.query(
            f"SELECT id, memory FROM passage WHERE id IN ({marks(list(passages))})", tuple(passages)
        )
        near: dict[int, float] = {}
        for id, memory in cast("list[tuple[int, int]]", rows):
            near[memory] = max(near.get(memory, 0), passages[id])
        return near

    def _comparable(self, space: int, than: int, memories: Sequence[int]) -> list[int]:
        """Those of the memories that came before and are compared; not what this one was made of, nor what is
        known about another entity."""
        rows = self._database.query(
            f"SELECT m.key FROM memory AS m WHERE {_COMPARED} AND m.key < ? AND m.key IN ({marks(memories)}) "
            "AND NOT EXISTS (SELECT 1 FROM derived_from WHERE memory = ? AND source = m.key) "
            "AND (m.entity IS NULL OR ifnull(m.entity = (SELECT entity FROM memory WHERE key = ?), 1))",
            (space, than, *memories, than, than),
        )
        return [cast(int, key) for (key,) in rows]

    def _keep(self, space: int, model: str, found: Mapping[int, Mapping[int, float]]) -> None:
        rows = [
            (newer, older, space, alike) for newer, some in found.items() for older, alike in some.items()
        ]
        with self._database.write() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO memory_pair (newer, older, space, likeness) "
                "SELECT ?1, ?2, ?3, ?4 WHERE 2 = (SELECT count(*) FROM memory WHERE key IN (?1, ?2))",
                rows,
            )
            connection.execute(
                "INSERT INTO compared (space, model, upto) VALUES (?, ?, ?) "
                "ON CONFLICT (space, model) DO UPDATE SET upto = max(upto, excluded.upto)",
                (space, model, max(found)),
            )

    def _upto(self, space: int, model: str) -> int:
        rows = self._database.query("SELECT upto FROM compared WHERE space = ? AND model = ?", (space, model))
        return cast(int, rows[0][0]) if rows else 0

    def _waiting(self, space: int, model: str) -> int:
        ((count,),) = self._database.query(
            f"SELECT count(*) FROM ({_NEW})", (space, self._upto(space, model))
        )
        return cast(int, count)
