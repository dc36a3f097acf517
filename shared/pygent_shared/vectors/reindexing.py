"""Giving all items of a group vectors of another model. The old ones serve until all new ones are there."""

from __future__ import annotations

from collections.abc import Callable

from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.vectors import VectorStore
from pygent_shared.vectors.backlog import BATCH, embedded


def reindex(
    vectors: VectorStore, embedder: BackgroundEmbedder, group: int, watch: Callable[[int, int], None]
) -> int:
    """Embed what has no vector of the model in force, then keep to that model; how many were embedded.

    Broken off at any point it leaves the old vectors in force, and the next call goes on where it was.

    Args:
        embedder: is ready.
        watch: is told how many of how many are done; may raise to end it there.
    """
    ready = embedder.ready()
    assert ready is not None
    total, done, after = vectors.pending(ready.model, [group]), 0, 0
    while True:
        watch(done, total)
        batch = vectors.missing(ready.model, BATCH, after, group)
        if batch:
            vectors.put(ready.model, embedded(embedder.bulk(total - done) or ready, batch))
            done, after = done + len(batch), batch[-1][0]
            total = max(total, done)
        elif vectors.turn(ready.model, group):
            watch(total, total)
            return done
        else:
            after = 0  # some were added meanwhile
