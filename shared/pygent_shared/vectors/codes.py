"""Vectors in memory as codes: sign bits to find candidates by, 8-bit integers to rank them by, 8 bits more to
rank the best of these to within 3e-5 of the exact cosine.

A scan of 48 bytes a vector instead of 1,536, so that a question to a million of them takes milliseconds. The
sign bits lie transposed, a word of all vectors together, and are compared in tiles that stay in the cache;
candidates are chosen by a histogram of their distances, never by sorting. Nothing is trained, so a vector is
added or taken out at once.

Source: sign bits as codes, Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pygent_shared.arrays import is_any
from pygent_shared.embeddings import Vector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]
    """Positions in the arrays."""
    Floats = NDArray[np.float32]

TILE = 65_536
"""Vectors compared at a time: a tile's words and distances stay in the second-level cache."""
FINER = 254
"""Steps of the second 8 bits in one of the first."""
FEW = 4
"""Where fewer than one vector in so many is asked for, theirs are gathered; else all are compared."""
SAMPLED = 8
"""Of many vectors one in so many is looked at to choose the distance of the candidates."""
MOST_DEAD = 4
"""Rows are packed anew when one in so many is of a vector that was taken out."""


class Codes:
    """The codes of vectors that are told apart by an integer and grouped by another. Not safe for threads.

    Args:
        dimensions: components of a vector.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._words = -(-dimensions // 64)
        self._size = 0
        self._order: Rows | None = None
        self._last: tuple[frozenset[int], Rows | None] | None = None
        self._bits = np.zeros((self._words, 0), np.uint64)
        self._coarse = np.zeros((0, dimensions), np.int8)
        self._fine = np.zeros((0, dimensions), np.int8)
        self._scales, self._alive = np.zeros(0, np.float32), np.zeros(0, np.bool_)
        self._items, self._groups = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def __len__(self) -> int:
        return int(self._alive[: self._size].sum())

    @property
    def megabytes(self) -> float:
        """The memory they take."""
        arrays = (self._bits, self._coarse, self._fine, self._scales, self._alive, self._items, self._groups)
        return sum(array.nbytes for array in arrays) / 1e6

    def put(self, items: Sequence[int], groups: Sequence[int], vectors: Sequence[Vector]) -> None:
        """Keep vectors of these items, all different, in place of what they had."""
        rows = self._rows_of(items)
        new = rows < 0
        rows[new] = range(self._size, self._size + int(new.sum()))
        self._reserve(self._size + int(new.sum()))
        self._size += int(new.sum())
        floats = np.frombuffer(b"".join(vectors), "<f4").reshape(-1, self.dimensions)
        largest = np.maximum(np.abs(floats).max(axis=1, initial=0.0), np.float32(1e-12))
        self._scales[rows] = largest / 127
        scaled = floats * (127 / largest)[:, None]
        self._coarse[rows] = np.rint(scaled)
        self._fine[rows] = np.rint((scaled - self._coarse[rows]) * FINER).clip(-128, 127)
        self._bits[:, rows] = self._packed(floats).T
        self._items[rows], self._groups[rows], self._alive[rows] = items, groups, True
        self._last = None
        if new.any():
            self._order = None

    def remove(self, items: Sequence[int]) -> None:
        """Take out the vectors of these items, where there are any."""
        rows = self._rows_of(items)
        self._alive[rows[rows >= 0]] = False
        self._last = None
        if self._size - len(self) > max(1024, self._size // MOST_DEAD):
            self._pack()

    def nearest(
        self, query: Vector, groups: Collection[int], limit: int, among: Collection[int] | None = None
    ) -> dict[int, float]:
        """The items of `groups` (and of `among`, where that is given) closest to `query`, with their cosine
        to within 3e-5, best first; of equals the lower number. A negative `limit` ranks them all.
        """
        wanted = np.frombuffer(query, "<f4")
        rows = self._chosen(groups, among)
        count = self._size if rows is None else len(rows)
        candidates = max(4 * limit, 1000 + count // 250)
        if limit >= 0 and candidates < count:
            rows = self._closest(wanted, rows, candidates)
        elif rows is None:
            rows = np.arange(self._size)
        rough = _dots(self._coarse, rows, wanted) * self._scales[rows]
        kept = 2 * limit + 20
        if limit >= 0 and kept < len(rows):
            best = np.argpartition(-rough, kept)[:kept]
            rows, rough = rows[best], rough[best]
        cosines = rough + _dots(self._fine, rows, wanted) * (self._scales[rows] / FINER)
        items = self._items[rows]
        order = np.lexsort((items, -cosines))[: limit if limit >= 0 else None]
        return dict(zip(items[order].tolist(), cosines[order].tolist(), strict=True))

    def spread(self, query: Vector, groups: Collection[int], sample: int) -> float:
        """The standard deviation of the cosine of `query` with about `sample` items of `groups`."""
        rows = self._chosen(groups, None)
        rows = np.arange(self._size) if rows is None else rows
        rows = rows[:: max(1, len(rows) // sample)]
        wanted = np.frombuffer(query, "<f4")
        return float((_dots(self._coarse, rows, wanted) * self._scales[rows]).std()) if len(rows) else 0.0

    def _chosen(self, groups: Collection[int], among: Collection[int] | None) -> Rows | None:
        """The rows asked for; None for every one there is."""
        if among is not None:
            rows = self._rows_of(list(among))
            return rows[(rows >= 0) & self._alive[rows] & is_any(self._groups[rows], groups)]
        asked = frozenset(groups)
        if self._last is None or self._last[0] != asked:
            mask = is_any(self._groups[: self._size], asked) & self._alive[: self._size]
            self._last = asked, None if mask.all() else np.flatnonzero(mask)
        return self._last[1]

    def _closest(self, query: Floats, rows: Rows | None, count: int) -> Rows:
        """About `count` of the rows whose signs differ least from the query's."""
        pattern = self._packed(query[None])[0]
        if rows is not None and len(rows) * FEW < self._size:
            differing = _differing(np.ascontiguousarray(self._bits[:, rows]), pattern)
        else:
            differing = _differing(self._bits[:, : self._size], pattern)
            differing = differing if rows is None else differing[rows]
        # A sample tells the distance within which there are about so many.
        every = SAMPLED if len(differing) >= 10_000 * SAMPLED else 1
        reached = np.bincount(differing[::every], minlength=64 * self._words + 1).cumsum()
        found = np.flatnonzero(differing <= np.searchsorted(reached, count / every))[: 2 * count]
        return found if rows is None else rows[found]

    def _packed(self, floats: Floats) -> NDArray[np.uint64]:
        """Sign bits: (vectors, words)."""
        bits = np.zeros((len(floats), self._words * 8), np.uint8)
        packed = np.packbits(floats > 0, axis=1)
        bits[:, : packed.shape[1]] = packed
        return bits.view(np.uint64)

    def _rows_of(self, items: Sequence[int]) -> Rows:
        """The row of each item, taken out or not; -1 where there never was one."""
        if self._order is None:
            self._order = np.argsort(self._items[: self._size], kind="stable")
        wanted = np.asarray(items, np.int64)
        if not self._size:
            return np.full(len(wanted), -1)
        held = self._items[: self._size]
        places = np.searchsorted(held, wanted, sorter=self._order)
        rows = self._order[np.minimum(places, self._size - 1)]
        return np.where(held[rows] == wanted, rows, -1)

    def _reserve(self, size: int) -> None:
        """Room for so many rows, at least doubled, so that adding costs what is added."""
        if (before := len(self._items)) >= size:
            return
        more = max(size, 2 * before, 1024) - before
        self._bits = np.pad(self._bits, ((0, 0), (0, more)))
        self._coarse = np.pad(self._coarse, ((0, more), (0, 0)))
        self._fine = np.pad(self._fine, ((0, more), (0, 0)))
        self._scales, self._alive = np.pad(self._scales, (0, more)), np.pad(self._alive, (0, more))
        self._items, self._groups = np.pad(self._items, (0, more)), np.pad(self._groups, (0, more))

    def _pack(self) -> None:
        """Close the gaps that vectors taken out have left."""
        kept = np.flatnonzero(self._alive[: self._size])
        self._size, self._order = len(kept), None
        self._bits = np.ascontiguousarray(self._bits[:, kept])
        self._coarse, self._fine, self._scales = self._coarse[kept], self._fine[kept], self._scales[kept]
        self._alive, self._items, self._groups = self._alive[kept], self._items[kept], self._groups[kept]


def _dots(integers: NDArray[np.int8], rows: Rows, query: Floats) -> Floats:
    """The dot product of these rows with the query."""
    dots = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), TILE):
        some = integers.take(rows[start : start + TILE], axis=0)
        # Not a matrix product: its threads would go on waiting for more, on every core.
        dots[start : start + TILE] = np.vecdot(some.astype(np.float32), query)
    return dots


def _differing(bits: NDArray[np.uint64], pattern: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """In how many signs each vector differs. `bits` is (words, vectors), `pattern` (words,)."""
    count = bits.shape[1]
    total = np.zeros(count, np.uint16)
    ones = np.empty(min(TILE, count), np.uint8)
    unlike = np.empty(min(TILE, count), np.uint64)
    for start in range(0, count, TILE):
        tile = total[start : start + TILE]
        for word, wanted in zip(bits, pattern, strict=True):
            np.bitwise_xor(word[start : start + TILE], wanted, out=unlike[: len(tile)])
            np.bitwise_count(unlike[: len(tile)], out=ones[: len(tile)])
            tile += ones[: len(tile)]
    return total
