"""Having memories found: their passages, as the two searches read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import apsw

from pygent_memory.passages import Passage
from pygent_memory.turns import contexts, said, write
from pygent_shared import segments


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """What is to be found of a memory: who said it, its parts, and whether they are of the past."""

    speaker: str
    parts: Sequence[Passage]
    past: bool


class Indexer:
    """Makes passages, inside one write transaction. Turns of a conversation are read with their neighbours,
    and those with them.

    Args:
        connection: in that transaction.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._waiting: dict[int, _Waiting] = {}
        self._many = False

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Index all that is put inside at the end: faster where many are turns of one conversation."""
        self._many = True
        try:
            yield
        finally:
            self._many = False
        self._index()

    def put(self, key: int, speaker: str, parts: Sequence[Passage], *, past: bool = False) -> None:
        """Have a memory found from now on."""
        self._waiting[key] = _Waiting(speaker=speaker, parts=parts, past=past)
        if not self._many:
            self._index()

    def _index(self) -> None:
        waiting, self._waiting = self._waiting, {}
        around = self._around(list(waiting))
        for key, memory in waiting.items():
            texts = [said(memory.speaker, part.text) for part in memory.parts]
            context = around.pop(key, "")
            self._connection.executemany(
                _PASSAGE,
                [
                    (key, part.start, part.stop, text, _segmented(text), context, memory.past)
                    for part, text in zip(memory.parts, texts, strict=True)
                ],
            )
        for key, context in around.items():
            write(self._connection, key, context)

    def _around(self, keys: Sequence[int]) -> dict[int, str]:
        """What stands around the turns among these memories, and around those next to them."""
        turns: dict[int, list[int]] = defaultdict(list)
        for key in keys:
            rows = self._connection.execute(_TURN, (key,)).fetchall()
            for conversation, turn in cast("list[tuple[int, int]]", rows):
                turns[conversation].append(turn)
        around: dict[int, str] = {}
        for conversation, numbers in turns.items():
            around |= contexts(self._connection, conversation, min(numbers), max(numbers))
        return around


_TURN = "SELECT conversation, turn FROM memory WHERE key = ? AND conversation IS NOT NULL"

# One that was replaced since it was added, by another that was added at once with it, is of the past already.
_PASSAGE = """
    INSERT INTO passage (memory, space, start, stop, text, words, context, past)
    SELECT key, space, ?2, ?3, ?4, ?5, ?6, ?7 OR replaced_at IS NOT NULL FROM memory
    WHERE key = ?1 AND forgotten_at IS NULL
"""


def _segmented(text: str) -> str | None:
    """The text cut into words where its script writes none; None where it needs no cutting."""
    return segments.stored(text) if segments.is_needed(text) else None
