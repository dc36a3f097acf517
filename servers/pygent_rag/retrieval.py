"""Searching: words and meanings compared, put together, and handed out as passages.

Read `Retriever.search` as the story; the thinking is in `ranking`, `floor` and `gathering`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from pygent_rag.filters import Filters
from pygent_rag.floor import nothing_answers
from pygent_rag.gathering import FURTHER, Gathered, gather
from pygent_rag.passage import Passage, one
from pygent_rag.ranking import DEPTH, Ranked, deviation, fuse, joined, surrounded
from pygent_rag.store import CollectionRow, Store
from pygent_shared.embeddings import Embedder, Vector
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.reranking import RERANKED, Reranking
from pygent_shared.vectors.backlog import Backlog

Mode = Literal["hybrid", "semantic", "lexical"]

MOST_WEIGHED = 10
"""Chunks looked at for the question's words before it is said that none answers."""

LOOKED_AROUND = 300
"""Chunks of a first ranking whose surroundings are looked at."""

REACH = 4
"""Chunks on either side that are a chunk's surroundings: about 500 tokens each way."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found, best first.

    Attributes:
        passages: each with its place in the ranking.
        searched: how many passages there were to search.
        retrieval: what was compared: words and meanings, or one of them.
        why: what kept the search lexical, or the vectors incomplete; "" when nothing did.
        pending: chunks that have no vector yet; None while the model that would tell is not loaded.
        also: for each passage, where the same text stands once more.
        left_out: passages found that did not fit the budget.
        below: passages were found, but none that answers.
        reranked: the cross-encoder that gave them their order.
        not_reranked: why the one of the settings did not.
        filtered: there are documents, but none passes the filters.
        embedder: what made the vectors, to compare further text with.
    """

    passages: Sequence[tuple[Passage, Ranked]]
    searched: int
    retrieval: Mode
    why: str = ""
    pending: int | None = None
    also: Sequence[Sequence[str]] = ()
    left_out: int = 0
    filtered: bool = False
    below: bool = False
    reranked: str = ""
    not_reranked: str = ""
    embedder: Embedder | None = None


@dataclass(frozen=True, kw_only=True)
class _Scope:
    """What a search may look at, and with what.

    Attributes:
        groups: the collections.
        among: their chunks that pass the filters; None where nothing is filtered.
        searched: how many chunks that are.
        documents: how many documents the collections have.
        embedder: what makes vectors; None where meanings are not compared.
        vector: that of the question.
        own: the collections whose vectors are of that embedder.
    """

    groups: Sequence[int]
    among: Collection[int] | None
    searched: int
    documents: int
    embedder: Embedder | None = None
    vector: Vector = b""
    own: Sequence[int] = ()


class Retriever:
    """Searches a store, by meaning too where there is something that makes vectors."""

    def __init__(
        self, store: Store, embedder: BackgroundEmbedder, backlog: Backlog, reranking: Reranking | None
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._backlog = backlog
        self._reranking = reranking

    def search(
        self,
        question: str,
        rows: Sequence[CollectionRow],
        limit: int,
        max_tokens: int,
        mode: Mode,
        wanted: Filters | None,
        *,
        floor: bool,
    ) -> Found:
        """See `Library.search`; `rows` are the collections."""
        groups = [row.id for row in rows]
        among = self._store.chosen(groups, wanted) if wanted else None
        searched = sum(row.chunks for row in rows) if among is None else len(among)
        if not searched:
            filtered = any(row.chunks for row in rows)
            why = "no document passes the filters" if filtered else self.lexical_only
            return Found(passages=[], searched=0, retrieval="lexical", why=why, filtered=filtered)
        embedder = self._embedder.ready() if mode != "lexical" else None
        foreign = [row for row in rows if embedder and row.model not in ("", embedder.model)]
        own = [row.id for row in rows if row not in foreign]
        pending = self.pending(own)
        scope = _Scope(
            groups=groups,
            among=among,
            searched=searched,
            documents=sum(row.documents for row in rows),
            embedder=embedder,
            vector=embedder.embed([question])[0] if embedder and own else b"",
            own=own,
        )
        semantic = self._semantic(scope, DEPTH) if own else {}
        words = mode != "semantic" or not semantic
        fused = self._fused(scope, semantic, self._store.match(question) if words else "")
        looked_at = max(FURTHER * limit, RERANKED if self._reranking else 0)
        ranked = {entry.id: entry for entry in fused[:looked_at]}
        chunks = self._store.passages(list(ranked))
        below = floor and bool(semantic) and not pending and _below(question, max(semantic.values()), chunks)
        chunks, not_reranked = ([], "") if below else self._reranked(question, chunks)
        gathered, left_out = gather(chunks, limit, max_tokens)
        return Found(
            passages=[
                (self._joined(one), joined([ranked[chunk.id] for chunk in one.chunks])) for one in gathered
            ],
            also=[one.also for one in gathered],
            searched=searched,
            retrieval=("hybrid" if words else "semantic") if semantic else "lexical",
            why=self._why(bool(semantic), pending, foreign) if mode != "lexical" else "",
            pending=pending,
            left_out=left_out,
            below=below,
            reranked=self._reranking.model if self._reranking and not not_reranked and gathered else "",
            not_reranked=not_reranked,
            embedder=embedder,
        )

    def pending(self, groups: Sequence[int]) -> int | None:
        """How many chunks have no vector yet; None while the model is not loaded, which alone can tell."""
        if self._embedder.state != "ready" or (embedder := self._embedder.ready()) is None:
            return 0 if self._embedder.state == "absent" else None
        pending = self._store.vectors.pending(embedder.model, groups)
        if pending:
            self._backlog.notify()
        return pending

    @property
    def lexical_only(self) -> str:
        """Why there will be no vectors; "" where there are, or will be."""
        return self._embedder.why if self._embedder.state in ("absent", "failed") else ""

    def _semantic(self, scope: _Scope, limit: int, among: Collection[int] | None = None) -> dict[int, float]:
        """The chunks nearest in meaning with their cosines; all of `among`, where that is given."""
        if scope.embedder is None:
            return {}
        wanted = scope.among if among is None else among
        model, vector = scope.embedder.model, scope.vector
        return self._store.vectors.nearest(model, vector, scope.own, limit, wanted)

    def _fused(self, scope: _Scope, semantic: Mapping[int, float], match: str) -> list[Ranked]:
        """What words and meanings found, best first."""
        lexical = self._store.lexical(match, scope.groups, DEPTH, scope.among)
        wholes = self._store.wholes(match, scope.groups, DEPTH)
        owners = self._store.documents_of({*semantic, *lexical}) if wholes else {}
        around = {id: wholes[owner] for id, owner in owners.items() if owner in wholes}
        # Of what words found, too, the meaning counts as it is and not as the lowest.
        unseen = lexical.keys() - semantic.keys()
        cosines = {**semantic, **(self._semantic(scope, -1, unseen) if semantic and unseen else {})}
        spread = 0.0
        if scope.embedder and semantic:
            spread = self._store.vectors.spread(scope.embedder.model, scope.vector, scope.own)

        ranked = fuse(
            semantic,
            lexical,
            around,
            cosines,
            spread=spread,
            searched=scope.searched,
            around_spread=deviation(wholes.values(), scope.documents),
        )
        if not (semantic and match):
            return ranked
        ranked = ranked[:LOOKED_AROUND]
        return surrounded(ranked, cosines, self._nearby(scope, ranked, cosines), spread)

    def _nearby(
        self, scope: _Scope, ranked: Sequence[Ranked], cosines: Mapping[int, float]
    ) -> dict[int, float]:
        """The mean cosine of each chunk and those around it, as far as they have vectors."""
        around = self._store.neighbours([entry.id for entry in ranked], REACH)
        unseen = {near for nears in around.values() for near in nears} - cosines.keys()
        known = {**cosines, **(self._semantic(scope, -1, unseen) if unseen else {})}
        found = {id: [known[near] for near in nears if near in known] for id, nears in around.items()}
        return {id: fmean(nears) for id, nears in found.items() if nears}

    def _reranked(self, question: str, chunks: Sequence[Passage]) -> tuple[list[Passage], str]:
        """The chunks in the order of the cross-encoder, where one is asked for; why it did not."""
        if not self._reranking:
            return list(chunks), ""
        order, why = self._reranking.order(question, [_shown(chunk) for chunk in chunks[:RERANKED]])
        return [*(chunks[number] for number in order), *chunks[RERANKED:]], why

    def _joined(self, found: Gathered) -> Passage:
        first, last = found.chunks[0], found.chunks[-1]
        if first is last:
            return found.best
        text = self._store.stretch(first.collection, first.path, first.start, last.end)
        return one(found.chunks, found.best, text)

    def _why(self, semantic: bool, pending: int | None, foreign: Sequence[CollectionRow]) -> str:
        if self._embedder.why:
            return self._embedder.why
        if foreign:
            return "; ".join(map(foreign_model, foreign))
        if not pending:
            return ""
        some = "some" if semantic else "all"
        return f"{some} vectors are still being computed ({pending} passages to go)"


def foreign_model(row: CollectionRow) -> str:
    """Why a collection's vectors are not compared, and what to do."""
    return (
        f'the vectors of "{row.name}" were made by {row.model}, which is not the model in force; '
        f'make new ones: reindex(collection="{row.name}")'
    )


def _below(question: str, best: float, chunks: Sequence[Passage]) -> bool:
    """Whether nothing that was found answers."""
    return nothing_answers(question, best, [_shown(chunk) for chunk in chunks[:MOST_WEIGHED]])


def _shown(chunk: Passage) -> str:
    """A chunk's text with its title and headings."""
    return " ".join([*chunk.context, chunk.text])
