"""The memories of a process: a store, an embedder and the thinking, put together.

The one rule: nothing here waits for a model unless the caller asked to (`wait_s`). What is not ready is left
out, and the answer says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Literal

from pygent_memory.filters import Filter
from pygent_memory.finding import Finder, Sharing
from pygent_memory.masking import Mask
from pygent_memory.memory import Draft, Memory, likenesses, utc, word_pairs
from pygent_memory.ranking import Asked, asked, rank
from pygent_memory.recall import (
    DEEP,
    Distinct,
    Found,
    Part,
    Recalled,
    brought,
    candidates,
    different,
    fill,
    fold,
)
from pygent_memory.schema import MIGRATIONS
from pygent_memory.store import MemoryStore, Page
from pygent_memory.times import day
from pygent_memory.turns import said
from pygent_memory.writing import Stored
from pygent_shared.database import Database
from pygent_shared.embeddings.background import BackgroundEmbedder, shared_embedder
from pygent_shared.errors import DatabaseUnusable, InvalidArgument, UnknownName
from pygent_shared.reranking import RERANKED, Reranking
from pygent_shared.settings import Settings
from pygent_shared.vectors import MEMORY
from pygent_shared.vectors.backlog import Backlog

log = logging.getLogger(__name__)

SIMILAR_UP_TO = 20
"""So many memories a call are compared with what is there; a bulk load is not."""

SPARE = 4
"""So many more memories are read than are to be shown, as some repeat others."""

ALIKE = 0.5
MOST_SIMILAR = 3

Retrieval = Literal["hybrid", "lexical"]


@dataclass(frozen=True, kw_only=True)
class Added:
    """What became of a draft, the kinds of secrets that were masked in it, and memories that share at least
    half its words."""

    stored: Stored
    masked: tuple[str, ...] = ()
    similar: tuple[Sharing, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a search found, in a space of `size` memories. `why` says what was missing: the vectors, or
    `pending` of them, or the cross-encoder; `reranked` names the one that gave the order."""

    results: Sequence[Recalled]
    left_out: int
    size: int
    retrieval: Retrieval
    why: str
    pending: int
    reranked: str = ""


class Memories:
    """What the tools do, without MCP.

    Args:
        database: where memories are kept, with the tables of `MIGRATIONS`; closed with this object.
        embedder: what turns text into vectors, in the background.
        index: what finds the nearest vectors; a key of `pygent_shared.vectors.INDEXES`.
        clock: the time of a write.
        mask: what is taken out of a text before it is kept.
        reranking: what reads the best of a search anew; None for nothing.
    """

    def __init__(
        self,
        database: Database,
        embedder: BackgroundEmbedder,
        index: str = MEMORY,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        mask: Mask | None = None,
        reranking: Reranking | None = None,
    ) -> None:
        self.database = database
        self._reranking = reranking
        self.mask = mask or Mask()
        self.store = MemoryStore(database)
        self.finder = Finder(database, index)
        self._embedder = embedder
        self._clock = clock
        self._backlog = Backlog(self.finder.vectors, embedder)
        self._backlog.notify()  # an earlier process may have ended before its vectors were made

    def add(self, space: str, drafts: Sequence[Draft]) -> list[Added]:
        """Keep all drafts, or none if anything fails.

        Raises:
            InvalidArgument: a draft replaces a memory that this space does not have.
        """
        self._refuse_unknown(space, [id for draft in drafts for id in draft.replaces])
        hidden = [self.mask.masked(draft.text) for draft in drafts]
        drafts = [replace(draft, text=text) for draft, (text, _) in zip(drafts, hidden, strict=True)]
        stored = self.store.add(space, drafts, self.now())
        self._backlog.notify()
        return [
            Added(
                stored=item,
                masked=kinds,
                similar=self._similar(space, draft, item) if self._compared(drafts, draft, item) else (),
            )
            for draft, item, (_, kinds) in zip(drafts, stored, hidden, strict=True)
        ]

    def search(
        self,
        space: str,
        query: str,
        wanted: Filter,
        *,
        limit: int,
        max_tokens: int,
        wait_s: float,
        explained: bool = False,
    ) -> Search:
        """The memories that answer a query best, within `limit` and `max_tokens`; each with how its score
        came about, if `explained`."""
        if wait_s:
            self._backlog.wait(wait_s)
        results = max(limit, RERANKED if self._reranking else 0)
        leg = brought(results)
        among = self.finder.among(space, wanted)
        lexical = self.finder.matching(space, query, wanted, DEEP, among)
        also = list(islice(lexical, leg))
        semantic, why, pending = self._semantic(space, query, wanted, leg, among, also)
        legs = candidates(lexical, semantic, leg)
        places = self.finder.places(
            space, list({passage for leg in legs.values() for passage in leg}), wanted, self.now()
        )
        found = fold(legs, places, explained=explained)
        today = day(wanted.as_of or self.now())
        meant = asked(query, found, today, looks_back=wanted.looks_back)
        distinct = self._distinct(space, found, meant, results, explained=explained)
        best, reranked, unread = self._reranked(query, distinct)
        shown = fill(best[:limit], max_tokens)
        return Search(
            results=shown,
            left_out=len(found) - len(shown) - sum(len(item.alike) for item in shown),
            size=self.store.size(space),
            retrieval="lexical" if semantic is None else "hybrid",
            why="; ".join(filter(None, [why, unread])),
            pending=pending,
            reranked=reranked,
        )

    def get(self, space: str, ids: Sequence[str]) -> list[Memory]:
        """The memories with these ids, whole; what is unknown or forgotten is not among them."""
        return self.store.get(space, ids, self.now())

    def turns(self, space: str, conversation: str, page: Page) -> tuple[list[Memory], int]:
        """A page of a conversation's turns, in order, and how many it has had.

        Raises:
            UnknownName: this space has no such conversation.
        """
        if (count := self.store.turns(space, conversation)) is None:
            raise UnknownName("conversation", conversation, self.store.conversations(space))
        return self.store.page(space, conversation, page), count

    def recent(self, space: str, limit: int) -> list[Memory]:
        """The memories recorded last, newest first."""
        return self.store.recent(space, limit, self.now())

    def notify(self) -> None:
        """Have the vectors made of passages that were written past this object."""
        self._backlog.notify()

    def model(self) -> tuple[str, str]:
        """The model in force and "", or "" and why there is none."""
        embedder = self._embedder.ready()
        return (embedder.model, "") if embedder is not None else ("", self._embedder.why)

    def close(self) -> None:
        """End the background work, then let go of the database."""
        self._backlog.close()
        self.store.close()

    def _refuse_unknown(self, space: str, ids: Sequence[str]) -> None:
        known = self.store.states(space, ids) if ids else {}
        if unknown := [id for id in ids if id not in known]:
            why = f'names {", ".join(unknown)}, which space "{space}" does not have'
            raise InvalidArgument("replaces", why, "Take ids from memory_search.")

    def now(self) -> str:
        """The time, as what is written now carries it."""
        return utc(self._clock())

    def _semantic(
        self,
        space: str,
        query: str,
        wanted: Filter,
        limit: int,
        among: Collection[int] | None,
        also: Sequence[int],
    ) -> tuple[dict[int, float] | None, str, int]:
        """The semantic leg, with the passages of `also`, or None where there cannot be one; what is missing,
        in words and vectors."""
        if (embedder := self._embedder.swift()) is None:
            return None, self._embedder.why, 0
        pending = self.finder.pending(space, embedder.model)
        (vector,) = embedder.embed([query])
        found = self.finder.nearest(space, embedder.model, vector, wanted, limit, among)
        others = [passage for passage in also if passage not in found]
        found |= self.finder.cosines(space, embedder.model, vector, wanted, others)
        if not pending:
            return found, "", 0
        why = f"vectors still to be computed: {pending}; wait for them with wait_s=10"
        return found or None, why, pending

    def _distinct(
        self, space: str, found: Sequence[Found], meant: Asked, count: int, *, explained: bool
    ) -> list[Distinct]:
        """The best of what was found, without those that repeat a better one: at least so many, if they are
        there."""
        most = count + SPARE
        while True:
            ranked = rank(found, meant, most=most, explained=explained)
            kept = different(self._with_texts(space, ranked))
            if len(kept) >= count or most >= len(found):
                return kept
            most *= 2

    def _reranked(self, query: str, found: Sequence[Distinct]) -> tuple[Sequence[Distinct], str, str]:
        """What was found in the order of the cross-encoder, where one is asked for, and its name; or as it
        came, "", and why it did not read it."""
        if self._reranking is None or not found:
            return found, "", ""
        texts = [
            said(memory.speaker, memory.text[start:stop]) for _, (memory, start, stop), _ in found[:RERANKED]
        ]
        order, why = self._reranking.order(query, texts)
        ordered = [*(found[number] for number in order), *found[RERANKED:]]
        return ordered, "" if why else self._reranking.model, why

    def _with_texts(self, space: str, found: Sequence[Found]) -> list[tuple[Found, Part]]:
        parts = self.finder.parts(space, [item.place.passage for item in found])
        return [(item, parts[item.place.passage]) for item in found if item.place.passage in parts]

    @staticmethod
    def _compared(drafts: Sequence[Draft], draft: Draft, stored: Stored) -> bool:
        """Whether a memory is compared with what is there: not if many come at once, nor the turns of a
        conversation, which people repeat and nothing replaces."""
        return stored.status == "created" and len(drafts) <= SIMILAR_UP_TO and not draft.conversation

    def _similar(self, space: str, draft: Draft, stored: Stored) -> tuple[Sharing, ...]:
        candidates = self.finder.sharing(space, word_pairs(draft.text))
        others = [other for other in candidates if other.id != stored.id]
        alike = zip(likenesses(draft.text, [other.text for other in others]), others, strict=True)
        ranked = sorted((pair for pair in alike if pair[0] >= ALIKE), key=lambda pair: -pair[0])
        return tuple(other for _, other in ranked[:MOST_SIMILAR])


def open_memories(settings: Settings) -> Memories:
    """The memories in `settings.data_dir`, with the process's shared embedder.

    Raises:
        DatabaseUnusable: the database cannot be opened.
    """
    database = Database(settings.data_dir / "memory.db", MIGRATIONS, backup=True)
    mask = Mask(settings.memory_mask)
    reranking = Reranking(settings.rerank_model) if settings.rerank_model else None
    memories = Memories(
        database, shared_embedder(settings), settings.vector_index, mask=mask, reranking=reranking
    )
    try:
        memories.store.sweep(memories.now())
    except DatabaseUnusable as error:  # a disk that cannot be written can still be read
        log.warning("What expired is swept another time: %s", error)
    return memories
