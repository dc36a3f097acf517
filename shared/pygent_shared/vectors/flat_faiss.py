"""Vectors in memory as they are, compared by faiss: exact, and four bytes a component.

Each group has an index of its own, so that a group alone is read when only it is asked for.

Source: Douze et al., "The Faiss library", arXiv 2401.08281; `IndexFlatIP`, `IndexIDMap2`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import faiss
import numpy as np

from pygent_shared.embeddings import Vector

TIES = 20
"""How many more are asked for than wanted, so that of equals the lower number is among them."""


class FlatFaiss:
    """An `Index`. Not safe for threads.

    Args:
        dimensions: components of a vector.
    """

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._group_of: dict[int, int] = {}
        self._indexes: dict[int, Any] = {}

    @property
    def megabytes(self) -> float:
        return len(self._group_of) * (4 * self._dimensions + 8) / 1e6

    def put(self, items: Sequence[int], groups: Sequence[int], vectors: Sequence[Vector]) -> None:
        self.remove(items)
        floats = np.frombuffer(b"".join(vectors), "<f4").reshape(-1, self._dimensions)
        rows: dict[int, list[int]] = defaultdict(list)
        for row, group in enumerate(groups):
            rows[group].append(row)
        for group, some in rows.items():
            ids = np.asarray([items[row] for row in some], np.int64)
            self._index(group).add_with_ids(floats[some], ids)
        self._group_of.update(zip(items, groups, strict=True))

    def remove(self, items: Sequence[int]) -> None:
        gone: dict[int, list[int]] = defaultdict(list)
        for item in items:
            if (group := self._group_of.pop(item, None)) is not None:
                gone[group].append(item)
        for group, some in gone.items():
            self._indexes[group].remove_ids(np.asarray(some, np.int64))

    def nearest(
        self, query: Vector, groups: Collection[int], limit: int, among: Collection[int] | None = None
    ) -> dict[int, float]:
        wanted = np.frombuffer(query, "<f4")[None]
        options = {}
        if among is not None:
            selector = faiss.IDSelectorBatch(np.asarray(list(among), np.int64))
            parameters: Any = faiss.SearchParameters  # its stub knows no arguments
            options = {"params": parameters(sel=selector)}
        found: list[tuple[float, int]] = []
        for group in set(groups) & self._indexes.keys():
            index = self._indexes[group]
            count = index.ntotal if limit < 0 else min(index.ntotal, 2 * limit + TIES)
            if count:
                cosines, items = index.search(wanted, count, **options)
                pairs = zip(cosines[0].tolist(), items[0].tolist(), strict=True)
                found += [(-cosine, item) for cosine, item in pairs if item >= 0]
        found.sort()
        return {item: -cosine for cosine, item in found[: limit if limit >= 0 else None]}

    def spread(self, query: Vector, groups: Collection[int], sample: int) -> float:
        flats = [self._indexes[group].index for group in set(groups) & self._indexes.keys()]
        every = max(1, sum(flat.ntotal for flat in flats) // sample)
        some = [flat.reconstruct_batch(np.arange(0, flat.ntotal, every)) for flat in flats if flat.ntotal]
        if not some:
            return 0.0
        return float((np.concatenate(some) @ np.frombuffer(query, "<f4")).std())

    def _index(self, group: int) -> Any:
        if group not in self._indexes:
            self._indexes[group] = faiss.IndexIDMap2(faiss.IndexFlatIP(self._dimensions))
        return self._indexes[group]
