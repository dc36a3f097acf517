"""Where documents and their chunks are kept: the seam.

A document is one transaction: whatever happens, a file is in a collection as a whole or not at all. Sources
stay where they are; the text kept here is what the citations were made from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pygent_rag.filters import Filters
from pygent_rag.passage import Passage
from pygent_rag.place import Place
from pygent_rag.reading import Reading
from pygent_shared.vectors import VectorStore

Poll = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What tells whether a file changed. `mtime_ns` is 0 where the time cannot be relied on."""

    size: int
    mtime_ns: int
    sha256: str
    recipe: int

    def same_content(self, other: Fingerprint) -> bool:
        return (self.sha256, self.recipe) == (other.sha256, other.recipe)


@dataclass(frozen=True, kw_only=True)
class DocumentRow:
    """A document as lists show it."""

    path: str
    title: str
    chunks: int
    size: int
    ingested: str


@dataclass(frozen=True, kw_only=True)
class CollectionRow:
    """A collection as lists show it."""

    id: int
    name: str
    documents: int
    chunks: int
    model: str = ""
    """The embedder whose vectors it has; "" while it has none."""


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What was, or would be, taken out."""

    paths: tuple[str, ...] = ()
    chunks: int = 0


class Store(Protocol):
    """Collections of documents, told apart by name; a document is told apart in them by its file's path."""

    @property
    def vectors(self) -> VectorStore:
        """The chunks' vectors; their groups are collection ids."""

    def collections(self) -> list[CollectionRow]:
        """All collections, by name."""

    def make(self, collection: str) -> None:
        """Make an empty collection, unless there is one of that name."""

    def sources(self, collection: str) -> list[str]:
        """What was named to be read into a collection, in the order of names."""

    def remember(self, collection: str, source: str) -> None:
        """Keep the name of a source; the collection is made if new."""

    def forget(self, collection: str, under: str) -> int:
        """Forget the source of this name and those below that path ("" for all); how many there were."""

    def fingerprints(self, collection: str, under: str) -> dict[str, Fingerprint]:
        """Path -> fingerprint of the documents at the path `under` or below it."""

    def put(self, collection: str, path: str, found: Fingerprint, reading: Reading, poll: Poll) -> None:
        """Keep a document in place of what was at its path. Nothing is done if that is the same content, and
        nothing is kept if `poll`, which is called now and then, raises. On the disk for certain after the
        next `flush`."""

    def flush(self) -> None:
        """Have what was put so far on the disk for certain."""

    def touch(self, collection: str, path: str, found: Fingerprint) -> None:
        """Note a new size and time of a document whose content is the same."""

    def remove(self, collection: str, paths: Iterable[str]) -> None:
        """Take out the documents with exactly these paths."""

    def removable(self, collection: str, under: str) -> Removed:
        """The documents at the path `under` or below it ("" for all)."""

    def drop(self, collection: str) -> None:
        """Take out a collection with all that is in it."""

    def documents(self, collection: str, offset: int, limit: int) -> list[DocumentRow]:
        """Some documents of a collection, by path."""

    def text(self, collection: str, path: str) -> str | None:
        """The stored text of a document."""

    def match(self, question: str) -> str:
        """What `lexical` and `wholes` look a question up by; "" when it has no words."""

    def lexical(
        self, match: str, groups: Sequence[int], limit: int, among: Collection[int] | None = None
    ) -> dict[int, float]:
        """Chunk -> BM25 (higher is better) of the best matches, best first; of `among` only, where that is
        given."""

    def wholes(self, match: str, groups: Sequence[int], limit: int) -> dict[int, float]:
        """Document -> BM25 of its whole text, as `lexical`."""

    def documents_of(self, ids: Collection[int]) -> dict[int, int]:
        """Chunk -> its document."""

    def neighbours(self, ids: Collection[int], reach: int) -> dict[int, list[int]]:
        """Chunk -> itself and those of its document at most `reach` positions from it."""

    def members(self, group: int) -> list[int]:
        """The chunks of a collection, by number."""

    def passages(self, ids: Sequence[int]) -> list[Passage]:
        """These chunks in this order; those deleted in the meantime are left out."""

    def stretch(self, collection: str, path: str, start: int, end: int) -> str:
        """The stored text of a document from `start` to `end`."""

    def homes(self, path: str) -> list[str]:
        """The collections that hold a document at this path, by name."""

    def covering(self, collection: str, place: Place) -> tuple[int, int] | None:
        """The positions of the first and last chunk of a place in a document; where no text is (a
        heading, a blank line), of the chunk that follows. None for a document without text."""

    def run(self, collection: str, path: str, first: int, last: int) -> list[Passage]:
        """The chunks of a document from one position to another."""

    def chosen(self, groups: Sequence[int], filters: Filters) -> list[int]:
        """The chunks of the documents that pass."""

    def close(self) -> None: ...
