"""Where vectors are kept and searched: the seam.

The rows are the truth: each names its item and the model that made it, so vectors of two models never meet
in one ranking. Whatever index a store keeps over them is derived and can be rebuilt; `INDEXES` is the lazy
table of them.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol, cast

from pygent_shared.embeddings import Vector


class VectorStore(Protocol):
    """Vectors of items that are told apart by an integer and grouped by another (a space, a collection)."""

    def put(self, model: str, vectors: Sequence[tuple[int, Vector]]) -> None:
        """Keep vectors of `model`, also for other items of the same text where the store knows them; items
        deleted in the meantime are skipped."""

    def claim(self, model: str) -> None:
        """Have each group that keeps to no model yet keep to this one, where groups keep to one."""

    def turn(self, model: str, group: int) -> bool:
        """Have a group keep to `model` and drop its vectors of others, once all its items have one; whether
        they had."""

    def missing(
        self, model: str, limit: int, after: int = 0, group: int | None = None
    ) -> list[tuple[int, str]]:
        """At most `limit` items, with their texts, that have no vector of `model` yet; by number, and only
        those above `after`. Of this group, or of all that keep to the model."""

    def pending(self, model: str, groups: Sequence[int] | None = None) -> int:
        """How many items (of these groups, or of all that keep to the model) have no vector of it yet."""

    def read(self, model: str, items: Collection[int]) -> dict[int, Vector]:
        """The vectors that these items have of `model`."""

    def nearest(
        self,
        model: str,
        query: Vector,
        groups: Sequence[int],
        limit: int,
        among: Collection[int] | None = None,
    ) -> dict[int, float]:
        """The items of `groups` closest to `query` with their cosine (-1 to 1), best first.

        Args:
            limit: most items; -1 for all.
            among: items outside of which nothing is wanted; None for no such filter.
        """

    def spread(self, model: str, query: Vector, groups: Sequence[int]) -> float:
        """The standard deviation of the cosine of `query` with the items of `groups`, from a sample of
        them; 0 where there are none."""


class Index(Protocol):
    """What a mirror asks: the vectors of one model, told apart by an integer and grouped by another. It need
    not be safe for threads, nor outlive the process."""

    @property
    def megabytes(self) -> float:
        """The memory it takes."""

    def put(self, items: Sequence[int], groups: Sequence[int], vectors: Sequence[Vector]) -> None:
        """Keep vectors of these items, all different, in place of what they had."""

    def remove(self, items: Sequence[int]) -> None:
        """Take out the vectors of these items, where there are any."""

    def nearest(
        self, query: Vector, groups: Collection[int], limit: int, among: Collection[int] | None = None
    ) -> dict[int, float]:
        """As of `VectorStore`; of equals the lower number comes first."""

    def spread(self, query: Vector, groups: Collection[int], sample: int) -> float:
        """The standard deviation of the cosine of `query` with about `sample` items of `groups`."""


@dataclass(frozen=True, kw_only=True)
class IndexKind:
    """A line of the table: `where` is made with the number of dimensions, and needs `package`, which the
    extra `extra` installs."""

    package: str
    where: str
    extra: str = ""

    @property
    def is_installed(self) -> bool:
        return find_spec(self.package) is not None

    def make(self, dimensions: int) -> Index:
        """An empty index."""
        return cast(Index, pkgutil.resolve_name(self.where)(dimensions))


EXACT = "exact"
"""Of the setting `vectors`: no index, every vector is read; what the others are measured against."""
MEMORY = "memory"

# What else the setting `vectors` may name. Without numpy, memory is exact.
INDEXES = {
    MEMORY: IndexKind(package="numpy", where="pygent_shared.vectors.codes:Codes"),
    "faiss": IndexKind(package="faiss", where="pygent_shared.vectors.flat_faiss:FlatFaiss", extra="faiss"),
    "chroma": IndexKind(package="chromadb", where="pygent_shared.vectors.chroma:Chroma", extra="chroma"),
}
