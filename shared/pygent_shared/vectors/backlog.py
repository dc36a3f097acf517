"""The thread that gives vectors to what has none yet. Writes never wait for it; searches may, if asked to."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from pygent_shared.embeddings import Embedder, Vector
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.errors import PygentError
from pygent_shared.vectors import VectorStore

log = logging.getLogger(__name__)

BATCH = 64
"""Texts embedded at a time: enough to sort by length, few enough to lose when the process is killed."""


class Backlog:
    """Embeds the items of a store that have no vector of the current model, in the background.

    The thread starts with the first `notify` and ends with `close`. After a crash nothing is lost: what has
    no vector is found again at the next `notify`.
    """

    def __init__(self, vectors: VectorStore, embedder: BackgroundEmbedder) -> None:
        self._vectors = vectors
        self._embedder = embedder
        self._changed = threading.Condition()
        self._work = 0
        self._tried = 0
        self._embedded = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def notify(self) -> None:
        """Say that items were added. Returns at once."""
        if self._embedder.state == "absent":
            return
        with self._changed:
            self._work += 1
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="embed backlog", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` until everything added so far has its vector; True when it has."""
        if self._embedder.state == "absent":
            return False
        self.notify()
        deadline = time.monotonic() + seconds
        with self._changed:
            target = self._work
            while (
                self._tried < target
                and not self._closed
                and self._embedder.state in ("idle", "loading", "ready")
            ):
                if (left := deadline - time.monotonic()) <= 0:
                    break
                self._changed.wait(min(left, 0.5))
            return self._embedded >= target

    def close(self) -> None:
        """End the thread; the batch in hand is finished first."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while (target := self._next()) is not None:
            embedded = self._try()
            with self._changed:
                self._tried = target
                self._embedded = target if embedded else self._embedded
                self._changed.notify_all()

    def _next(self) -> int | None:
        with self._changed:
            while self._tried >= self._work and not self._closed:
                self._changed.wait()
            return None if self._closed else self._work

    def _try(self) -> bool:
        """Whether everything has its vector now. Nothing an embedder raises may end the thread."""
        try:
            return self._embed_all()
        except PygentError as error:
            log.warning("Embedding stopped until the next write: %s", error)
        except Exception:
            log.exception("Embedding stopped until the next write")
        return False

    def _embed_all(self) -> bool:
        while self._embedder.wait(0.5) is None and self._embedder.state == "loading" and not self._closed:
            pass
        if (embedder := self._embedder.ready()) is None:
            return False
        waiting, after = self._waiting(embedder), 0
        while not self._closed and waiting:
            batch = self._vectors.missing(embedder.model, BATCH, after)
            if not batch:  # the end was reached: were some added, or given a new text, meanwhile?
                waiting, after = self._waiting(embedder), 0
                continue
            self._vectors.put(embedder.model, embedded(self._embedder.bulk(waiting) or embedder, batch))
            waiting, after = waiting - len(batch), batch[-1][0]
            if waiting <= BATCH:  # as far as was known: more may have come
                waiting = max(1, self._waiting(embedder))
        return not self._closed

    def _waiting(self, embedder: Embedder) -> int:
        self._vectors.claim(embedder.model)
        return self._vectors.pending(embedder.model)


def embedded(embedder: Embedder, batch: Sequence[tuple[int, str]]) -> list[tuple[int, Vector]]:
    """Each item with the vector of its text; a text that several have is embedded once."""
    texts = list(dict.fromkeys(text for _, text in batch))
    vectors = dict(zip(texts, embedder.embed(texts), strict=True))
    return [(item, vectors[text]) for item, text in batch]
