"""Vectors in memory in a Chroma collection, found by its graph (HNSW): approximate.

Nothing is written to disk by it: Chroma's own files do not bear two processes, and hosts start several of one
server. The graph is built from the database at each start, at some thousand vectors a second.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Sequence
from typing import Any
from uuid import uuid4

import numpy as np

from pygent_shared.embeddings import Vector

TIES = 20
"""How many more are asked for than wanted, so that of equals the lower number is among them."""
AT_ONCE = 5_000
"""Vectors handed over at a time; Chroma refuses many more."""


class Chroma:
    """An `Index`.

    Args:
        dimensions: components of a vector.
    """

    def __init__(self, dimensions: int) -> None:
        import chromadb
        from chromadb.config import Settings

        self._dimensions = dimensions
        client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
        self._collection: Any = client.create_collection(
            f"pygent-{uuid4().hex}",
            configuration={"hnsw": {"space": "cosine", "ef_search": 200}},
            embedding_function=None,
        )
        weakref.finalize(self, client.delete_collection, self._collection.name).atexit = False

    @property
    def megabytes(self) -> float:
        return float(self._collection.count() * (4 * self._dimensions + 8)) / 1e6

    def put(self, items: Sequence[int], groups: Sequence[int], vectors: Sequence[Vector]) -> None:
        floats = np.frombuffer(b"".join(vectors), "<f4").reshape(-1, self._dimensions)
        for start in range(0, len(items), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            self._collection.upsert(
                ids=[str(item) for item in items[some]],
                embeddings=floats[some],
                metadatas=[{"group": group} for group in groups[some]],
            )

    def remove(self, items: Sequence[int]) -> None:
        for start in range(0, len(items), AT_ONCE):
            self._collection.delete(ids=[str(item) for item in items[start : start + AT_ONCE]])

    def nearest(
        self, query: Vector, groups: Collection[int], limit: int, among: Collection[int] | None = None
    ) -> dict[int, float]:
        total = self._collection.count()
        count = total if limit < 0 else min(total, 2 * limit + TIES)
        if not count or not groups or (among is not None and not among):
            return {}
        reply = self._collection.query(
            query_embeddings=np.frombuffer(query, "<f4")[None],
            n_results=count,
            where=_in(groups),
            include=["distances"],
            **({} if among is None else {"ids": [str(item) for item in among]}),
        )
        ((items,), (distances,)) = reply["ids"], reply["distances"]
        found = sorted((distance, int(item)) for distance, item in zip(distances, items, strict=True))
        return {item: 1 - distance for distance, item in found[: limit if limit >= 0 else None]}

    def spread(self, query: Vector, groups: Collection[int], sample: int) -> float:
        if not groups:
            return 0.0
        vectors = self._collection.get(where=_in(groups), limit=sample, include=["embeddings"])["embeddings"]
        return float((np.asarray(vectors) @ np.frombuffer(query, "<f4")).std()) if len(vectors) else 0.0


def _in(groups: Collection[int]) -> dict[str, Any]:
    return {"group": {"$in": list(groups)}}
