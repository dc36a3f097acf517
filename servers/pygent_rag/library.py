"""The documents at hand: the store, the model that makes vectors, and searching with both."""

from __future__ import annotations

import logging
import os
from array import array
from collections.abc import Iterator, Sequence
from operator import mul
from pathlib import Path

from pygent_rag.extraction import Quote, extract
from pygent_rag.filters import Filters
from pygent_rag.following import Ended, Follower, FollowingEnded
from pygent_rag.gathering import MOST_AROUND, grown
from pygent_rag.ingest import FileReport, Watcher, ingest
from pygent_rag.passage import Passage, one
from pygent_rag.place import Place, places
from pygent_rag.reader import Reader
from pygent_rag.retrieval import Found, Mode, Retriever
from pygent_rag.sources import Source, is_file_name, named
from pygent_rag.store import CollectionRow, Removed, Store
from pygent_rag.store_sqlite import SqliteStore
from pygent_rag.sync import sync
from pygent_shared.embeddings import Embedder, Vector
from pygent_shared.embeddings.background import BackgroundEmbedder, shared_embedder
from pygent_shared.errors import SearchIsLexical, UnknownName
from pygent_shared.reranking import Reranking
from pygent_shared.settings import Settings
from pygent_shared.vectors.backlog import Backlog
from pygent_shared.vectors.reindexing import reindex

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Between two looks whether to go on, while the model loads."""


class Library:
    """Everything open while the server serves. Built by `open_library`; ended by `close`."""

    def __init__(
        self,
        store: Store,
        embedder: BackgroundEmbedder,
        settings: Settings,
        reranking: Reranking | None = None,
    ) -> None:
        self.store = store
        self._embedder = embedder
        self._backlog = Backlog(store.vectors, embedder)
        self._retriever = Retriever(store, embedder, self._backlog, reranking)
        self._reader = Reader(seconds=settings.read_timeout)
        self._settings = settings
        self._max_bytes = settings.max_file_mb * 1_000_000
        self._followers: dict[str, Follower] = {}

    def source(self, path: str) -> Source:
        """What a caller means by a path or URL, as far as it may be read; see `pygent_rag.sources`."""
        private = self._settings.private_urls == "allow"
        return named(path, roots=self._settings.read_from, private=private)

    def ingest(self, collection: str, source: str | Source, watch: Watcher) -> Iterator[FileReport]:
        """See `pygent_rag.ingest`; vectors follow in the background."""
        found = self.source(source) if isinstance(source, str) else source
        yield from self._noting(
            ingest(self.store, collection, found, self._reader, max_bytes=self._max_bytes, watch=watch)
        )
        if collection in self._followers and found.again not in self._followers[collection].sources:
            self.follow(collection)

    def sync(self, collection: str, watch: Watcher) -> Iterator[FileReport]:
        """See `pygent_rag.sync`.

        Raises:
            UnknownName: there is no such collection.
        """
        name = self.collection(collection).name
        yield from self._noting(
            sync(self.store, name, self.source, self._reader, max_bytes=self._max_bytes, watch=watch)
        )

    def reindex(self, collection: str, watch: Watcher) -> tuple[str, int]:
        """Give all of a collection vectors of the model in force; that, and how many were embedded.

        Raises:
            UnknownName: there is no such collection.
            SearchIsLexical: there is no model.
        """
        row = self.collection(collection)
        while (embedder := self._embedder.wait(POLL_SECONDS)) is None:
            watch(0, 0, row.name)
            if self._embedder.state != "loading":
                raise SearchIsLexical(self._embedder.why)
        count = reindex(
            self.store.vectors,
            self._embedder,
            row.id,
            lambda done, total: watch(done, total, row.name),
        )
        return embedder.model, count

    def foreign(self, row: CollectionRow) -> bool:
        """Whether a collection's vectors are of another model than the one in force, as far as is known."""
        embedder = self._embedder.ready() if self._embedder.state == "ready" else None
        return embedder is not None and row.model not in ("", embedder.model)

    def follow(self, collection: str) -> None:
        """Sync a collection whenever its files change, until `close` or `leave`."""
        self.leave(collection)

        def run(ended: Ended) -> None:
            for report in self.sync(collection, _ending(ended)):
                if report.outcome == "refused":
                    log.warning("Following files: %s", report.why)

        self._followers[collection] = Follower(self.store.sources(collection), run)

    def leave(self, collection: str) -> None:
        """Follow a collection's files no longer."""
        if follower := self._followers.pop(collection, None):
            follower.close()

    def follows(self, collection: str) -> bool:
        """Whether changes of a collection's files are followed."""
        return collection in self._followers

    def _noting(self, reports: Iterator[FileReport]) -> Iterator[FileReport]:
        """The reports; the backlog hears of what is new."""
        for report in reports:
            if report.outcome in ("added", "updated"):
                self._backlog.notify()
            yield report

    def search(
        self,
        question: str,
        collection: str | Sequence[str],
        limit: int,
        max_tokens: int,
        wait_s: float,
        mode: Mode = "hybrid",
        wanted: Filters | None = None,
        *,
        floor: bool = True,
    ) -> Found:
        """The passages that bear most on a question, as many as fit; `collection` "" searches all.

        Args:
            wait_s: wait at most so many seconds for vectors still being computed.
            mode: what to compare; without vectors it is words, whatever was asked for.
            wanted: which documents to look at.
            floor: find nothing where nothing answers; see `pygent_rag.floor`.

        Raises:
            UnknownName: there is no such collection.
        """
        rows = self._rows(collection)
        if wait_s:
            self._backlog.wait(wait_s)
        return self._retriever.search(question, rows, limit, max_tokens, mode, wanted, floor=floor)

    def read(self, citation: str, max_tokens: int, *, section: bool) -> tuple[Passage, bool]:
        """The text a citation stands for, with what is around it as far as `max_tokens` go; whether there
        is more.

        Args:
            section: keep to what stands under the same headings.

        Raises:
            UnknownName: no document is there.
        """
        place, collection = self._home(citation)
        if (found := self.store.covering(collection, place)) is None:
            raise UnknownName("passage", citation, [], "The document has no text there: list_documents.")
        first, last = found if place.first else (0, 0)
        chunks = self.store.run(collection, place.path, first - MOST_AROUND, last + MOST_AROUND)
        kept, more = grown(chunks, first, last, max_tokens, section=section)
        text = self.store.stretch(collection, place.path, kept[0].start, kept[-1].end)
        return one(kept, kept[0], text), more

    def _home(self, citation: str) -> tuple[Place, str]:
        """The document that a citation names, and a collection that holds it."""
        meant = places(citation)
        for place in meant:
            for collection in self.store.homes(place.path):
                if place.collection in ("", collection):
                    return place, collection
        known = [
            path for row in self.store.collections() for path in self.store.removable(row.name, "").paths
        ]
        raise UnknownName("document", meant[-1].path, known, "See what there is: list_documents.")

    def extract(self, question: str, found: Found) -> list[Quote]:
        """The sentences of what was found that answer the question; none when nothing does."""
        passages = [passage for passage, _ in found.passages]
        if (embedder := found.embedder) is None:
            return extract(question, passages)
        return extract(question, passages, lambda texts: _likeness(embedder, question, texts))

    def collection(self, name: str) -> CollectionRow:
        """The collection of that name.

        Raises:
            UnknownName: there is none.
        """
        rows = self.store.collections()
        for row in rows:
            if row.name == name:
                return row
        cure = "Fill it first: ingest(path=…, collection=…)."
        raise UnknownName("collection", name, [row.name for row in rows], cure)

    def delete(self, collection: str, path: str, *, dry_run: bool) -> Removed:
        """Take out a document, a folder of them ("" for all of the collection); files are not touched.

        Raises:
            UnknownName: there is no such collection, or nothing of it at that path.
        """
        name = self.collection(collection).name
        under = os.path.abspath(os.path.expanduser(path)) if path and is_file_name(path) else path
        removed = self.store.removable(name, under)
        if path and not removed.paths and is_file_name(path):
            removed = self.store.removable(name, os.path.realpath(under))
        source = under in self.store.sources(name)
        if path and not removed.paths and not source:
            known = self.store.removable(name, "").paths
            raise UnknownName("document", path, known, "See them all: list_documents.")
        if not dry_run:
            if path:
                self.store.remove(name, removed.paths)
                self.store.forget(name, under)
            else:
                self.leave(name)
                self.store.drop(name)
        return removed

    def text(self, collection: str, path: str) -> str:
        """The stored text of a document; `path` may lack the leading slash, as in its URI.

        Raises:
            UnknownName: there is no such collection or document.
        """
        name = self.collection(collection).name
        for spelled in (f"/{path}", path):
            if (text := self.store.text(name, spelled)) is not None:
                return text
        raise UnknownName("document", path, self.store.removable(name, "").paths)

    def pending(self, groups: Sequence[int]) -> int | None:
        """How many chunks have no vector yet; None while the model is not loaded, which alone can tell."""
        return self._retriever.pending(groups)

    def model(self, seconds: float) -> str:
        """The name of what makes the vectors, which is waited for so long; "" while there is none."""
        embedder = self._embedder.wait(seconds)
        return embedder.model if embedder else ""

    def settle(self, seconds: float) -> bool:
        """Wait at most so long until everything has its vector; whether it has."""
        return self._backlog.wait(seconds)

    @property
    def lexical_only(self) -> str:
        """Why there will be no vectors; "" where there are, or will be."""
        return self._retriever.lexical_only

    @property
    def engine(self) -> str:
        """What makes vectors of many passages."""
        return self._embedder.engines[1]

    def close(self) -> None:
        for collection in list(self._followers):
            self.leave(collection)
        self._reader.rest()
        self._backlog.close()
        self.store.close()

    def _rows(self, collection: str | Sequence[str]) -> list[CollectionRow]:
        names = [collection] if isinstance(collection, str) else list(dict.fromkeys(collection))
        return [self.collection(name) for name in names if name] or self.store.collections()


def _ending(ended: Ended) -> Watcher:
    """A watcher that ends the work when it is time to."""

    def watch(done: int, total: int, path: str) -> None:
        if ended():
            raise FollowingEnded

    return watch


def open_library(settings: Settings) -> Library:
    """The library in the data folder.

    Raises:
        DatabaseUnusable: its database cannot be opened; it is left as it is.
    """
    store = SqliteStore(Path(settings.data_dir) / "rag.db", settings.vector_index)
    reranking = Reranking(settings.rerank_model) if settings.rerank_model else None
    return Library(store, shared_embedder(settings), settings, reranking)


def _likeness(embedder: Embedder, question: str, texts: Sequence[str]) -> list[float]:
    """The cosine of each text with the question."""
    wanted, *vectors = (_floats(vector) for vector in embedder.embed([question, *texts]))
    return [sum(map(mul, wanted, vector)) for vector in vectors]


def _floats(vector: Vector) -> array[float]:
    floats = array("f")
    floats.frombytes(vector)
    return floats
