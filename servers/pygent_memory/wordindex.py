"""The words of all passages, kept in memory: what SQLite's full-text search answers, many times faster.

The one rule: the ranking is that of the full-text index in the database, number for number, so it does not
matter which of the two answers. The index follows the log of what became of passages (`schema`).
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import apsw

from pygent_memory.schema import TOKENIZER
from pygent_shared.database import Database
from pygent_shared.mirrors import Mirror

if TYPE_CHECKING:
    from pygent_shared.bm25 import Bm25, Row

LEAST = 2_000
"""Passages, of all there ever were, below which there is no such index: SQLite is as fast."""

AT_ONCE = 2_000
"""Passages read in one query."""

State = tuple[int, int]
"""The last change of a passage, and the last passage."""


class WordIndex:
    """Safe for several threads.

    Args:
        database: with the tables of `schema.MIGRATIONS`.
        weights: what a word counts in a passage, and in what stands around it.
    """

    def __init__(self, database: Database, weights: tuple[float, float]) -> None:
        self._database = database
        self._weights = weights
        self._mirror: Mirror[Bm25, State] | None = None
        self._lock = threading.Lock()

    def best(
        self,
        terms: Sequence[str],
        shelves: Sequence[int],
        limit: int,
        among: Collection[int] | None,
        look: Callable[[Sequence[str]], dict[int, float]],
    ) -> dict[int, float] | None:
        """The passages with any of these terms and their BM25 score, best first; None where there is no index
        yet, or no use for one.

        Args:
            terms: as FTS5 takes them.
            among: passages outside of which nothing is wanted; None for no such filter.
            look: has SQLite find the passages with any of some terms: of those that are several words, or
                the beginning of one.
        """
        with self._lock:
            if (index := self._current()) is None:
                return None
            words, others = self._parted(terms)
            return index.best(words, shelves, limit, among, look(others) if others else None)

    def wait(self, seconds: float) -> bool:
        """Wait at most so long until the index is built, if one was begun; whether it is."""
        return self._mirror is not None and self._mirror.wait(seconds)

    def _current(self) -> Bm25 | None:
        if self._database.read().in_transaction:  # what it wrote may never have been
            return None
        if self._mirror is not None and not self._mirror.is_lost:
            return self._mirror.current()
        if self._state()[1] >= LEAST and find_spec("numpy") is not None:
            self._mirror = Mirror("words", self._state, self._made, self._follow)
        return None

    def _state(self) -> State:
        ((change, passage),) = self._database.query(
            "SELECT (SELECT max(number) FROM passage_change), (SELECT max(id) FROM passage)"
        )
        return cast(int, change or 0), cast(int, passage or 0)

    def _made(self) -> Bm25:
        from pygent_shared.bm25 import Bm25

        index = Bm25(self._weights)
        self._take(index, 0)
        index.pack()
        return index

    def _follow(self, index: Bm25, since: State) -> bool:
        """Take over what changed since; False where the log no longer tells."""
        change, passage = since
        ((first, last),) = self._database.query("SELECT min(number), max(number) FROM passage_change")
        if cast(int, first or 0) > change + 1 or cast(int, last or 0) < change:
            return False
        rows = self._database.query("SELECT DISTINCT passage FROM passage_change WHERE number > ?", (change,))
        changed = [id for (id,) in cast("list[tuple[int]]", rows) if id <= passage]
        left = list(self._rows("id IN (SELECT value FROM json_each(?))", json.dumps(changed)))
        index.remove(set(changed) - {row[0] for row in left})
        index.put(left)
        self._take(index, passage)
        return True

    def _take(self, index: Bm25, last: int) -> None:
        """Take over the passages after that one, some at a time."""
        while rows := list(self._rows("id > ? ORDER BY id LIMIT ?", last, AT_ONCE)):
            index.put(rows)
            last = rows[-1][0]

    def _rows(self, which: str, *bindings: int | str) -> Iterator[Row]:
        split = self._tokenizer(apsw.FTS5_TOKENIZE_DOCUMENT)
        for id, shelf, text, context in cast(
            "list[tuple[int, int, str, str]]",
            self._database.query(
                f"SELECT id, shelf, ifnull(words, text), context FROM passage WHERE {which}", bindings
            ),
        ):
            yield id, shelf, split(text), split(context)

    def _parted(self, terms: Sequence[str]) -> tuple[Counter[str], list[str]]:
        """The words as the index has them, and how often they are asked for; and the terms that are none."""
        split = self._tokenizer(apsw.FTS5_TOKENIZE_QUERY)
        words, others = Counter[str](), []
        for term in terms:
            parts = split(term.strip('"'))
            if term.endswith("*") or len(parts) > 1:
                others.append(term)
            else:
                words.update(parts)
        return words, others

    def _tokenizer(self, purpose: int) -> Callable[[str], list[str]]:
        """What splits a text into the words that the index has."""
        name, *options = TOKENIZER.split()
        tokenizer = self._database.read().fts5_tokenizer(name, options)

        def split(text: str) -> list[str]:
            found = tokenizer(text.encode(), purpose, None, include_offsets=False, include_colocated=False)
            return cast("list[str]", found)

        return split
