"""What a collection is about: its passages in groups, each with the words that tell it from the others.

Groups are of passages near in meaning. Where no vectors can be had they are the documents, or, where those
are many, their folders: `grouped_by` tells which.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import PurePath
from typing import Literal

from pygent_rag.labels import Words, labels
from pygent_rag.library import Library
from pygent_rag.passage import Passage

AT_ONCE = 1_000
MOST_READ = 50_000
"""Passages looked at; of a larger collection every second, third … one."""
MOST_GROUPS = 24
LOADING_S = 30.0

Watch = Callable[[int, int, str], None]
GroupedBy = Literal["meaning", "document", "folder"]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Passages that belong together.

    Attributes:
        label: the words that tell it from the others.
        name: the document or folder it is; "" where it is neither.
        size: its passages.
        documents: its documents.
        examples: its most typical passages, of different documents where it can be.
    """

    label: Sequence[str]
    name: str
    size: int
    documents: int
    examples: Sequence[Passage]


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A collection's groups, the largest first.

    Attributes:
        why: why it is not by meaning, or not all is in it; "" when nothing is amiss.
        every: every how many-th passage was looked at.
        left_out: passages of groups beyond the most that are told.
    """

    collection: str
    passages: int
    grouped_by: GroupedBy
    groups: Sequence[Group]
    why: str = ""
    every: int = 1
    left_out: int = 0


def overview(library: Library, collection: str, groups: int, examples: int, watch: Watch) -> Overview:
    """The groups of a collection.

    Args:
        groups: how many at most; 0 chooses.
        watch: hears how far it is, and may raise to end it.

    Raises:
        UnknownName: there is no such collection.
    """
    row = library.collection(collection)
    ids = library.store.members(row.id)
    every = -(-len(ids) // MOST_READ) or 1
    reading = _Reading(library, ids[::every], watch)
    members, missing, why = reading.by_meaning(groups)
    by: GroupedBy = "meaning"
    names = [""] * len(members)
    if not members:
        by, names, members = reading.by_place()
    most = groups or MOST_GROUPS
    return Overview(
        collection=row.name,
        passages=len(ids),
        grouped_by=by,
        groups=reading.told(members[:most], names[:most], examples),
        why=f"{missing * every} passages have no vector yet" if by == "meaning" and missing else why,
        every=every,
        left_out=every * sum(map(len, members[most:])),
    )


class _Reading:
    """The passages, read some at a time, with a look whether to go on between."""

    def __init__(self, library: Library, ids: Sequence[int], watch: Watch) -> None:
        self._library = library
        self._ids = ids
        self._watch = watch
        self._done = 0

    def by_meaning(self, groups: int) -> tuple[list[list[int]], int, str]:
        """Groups of ids, how many have no vector, and why there are no groups."""
        if not (model := self._library.model(LOADING_S)):
            return [], 0, self._library.lexical_only or "the embedding model is still loading"
        if find_spec("numpy") is None:
            return [], 0, "numpy is not installed"
        import numpy as np

        from pygent_rag.clusters import clusters

        held: dict[int, bytes] = {}
        for some in self._some(self._ids):
            held.update(self._library.store.vectors.read(model, some))
        if not held:
            return [], 0, "no passage has a vector yet" if self._ids else ""
        ids = list(held)
        vectors = np.frombuffer(b"".join(held.values()), "<f4").reshape(len(ids), -1)
        found = clusters(vectors, groups, lambda: self._watch(self._done, self._total, "grouping"))
        members = [[ids[row] for row in cluster.members.tolist()] for cluster in found]
        return members, len(self._ids) - len(held), ""

    def by_place(self) -> tuple[GroupedBy, list[str], list[list[int]]]:
        """Groups of ids by document, or by folder where those are many; with their names."""
        by_path: dict[str, list[int]] = defaultdict(list)
        for some in self._some(self._ids):
            for passage in self._library.store.passages(some):
                by_path[passage.path].append(passage.id)
        by: GroupedBy = "document"
        if len(by_path) > MOST_GROUPS:
            folders: dict[str, list[int]] = defaultdict(list)
            for path, ids in by_path.items():
                folders[str(PurePath(path).parent)] += ids
            if len(folders) > 1:
                by, by_path = "folder", folders
        largest = sorted(by_path, key=lambda name: (-len(by_path[name]), name))
        return by, largest, [by_path[name] for name in largest]

    def told(self, members: Sequence[list[int]], names: Sequence[str], examples: int) -> list[Group]:
        """The groups with their words and examples."""
        words = [Words() for _ in members]
        paths: list[Counter[str]] = [Counter() for _ in members]
        for ids, word, path in zip(members, words, paths, strict=True):
            for some in self._some(ids):
                passages = self._library.store.passages(some)
                word.add(" ".join((*passage.context, passage.text)) for passage in passages)
                path.update(passage.path for passage in passages)
        return [
            Group(
                label=label,
                name=name,
                size=len(ids),
                documents=len(path),
                examples=self._typical(ids, examples),
            )
            for ids, name, label, path in zip(members, names, labels(words), paths, strict=True)
        ]

    def _typical(self, ids: Sequence[int], count: int) -> list[Passage]:
        """The first passages, those of other documents before further ones of the same."""
        passages = self._library.store.passages(ids[: 10 * count])
        first = {passage.path: passage for passage in reversed(passages)}
        ranked = sorted(passages, key=lambda passage: first[passage.path] is not passage)
        return ranked[:count]

    def _some(self, ids: Sequence[int]) -> Iterator[Sequence[int]]:
        for start in range(0, len(ids), AT_ONCE):
            self._watch(self._done, self._total, "reading")
            yield ids[start : start + AT_ONCE]
            self._done = min(self._total, self._done + len(ids[start : start + AT_ONCE]))

    @property
    def _total(self) -> int:
        """Every passage is read twice."""
        return 2 * len(self._ids)
