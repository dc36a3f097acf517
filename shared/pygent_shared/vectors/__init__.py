"""Where vectors are kept and searched: the seam.

The rows are the truth: each names its item and the model that made it, so vectors of two models never meet
in one ranking. Whatever index a store keeps over them is derived and can be rebuilt.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

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
