"""A chunk as it is handed out: its text, and where it can be looked up."""

from __future__ import annotations

from dataclasses import dataclass

from pygent_rag.document import Unit


def citation(path: str, unit: Unit, number: int) -> str:
    """`path:line` or `path#page=N`: what editors and PDF viewers open at that place."""
    return f"{path}:{number}" if unit == "line" else f"{path}#page={number}"


@dataclass(frozen=True, kw_only=True)
class Passage:
    """`text` is in the file `path` on its lines or pages (`unit`) `first` to `last`.

    `heading` is the path of headings above it, outermost first, without one that only repeats the title.
    """

    id: int
    collection: str
    path: str
    title: str
    heading: tuple[str, ...]
    unit: Unit
    first: int
    last: int
    verbatim: bool
    text: str

    @property
    def citation(self) -> str:
        return citation(self.path, self.unit, self.first)

    def citation_at(self, offset: int) -> str:
        """The citation of what begins at `offset` of the text, as exact as the document allows."""
        lines = self.text.count("\n", 0, offset) if self.verbatim else 0
        return citation(self.path, self.unit, self.first + lines)

    @property
    def context(self) -> tuple[str, ...]:
        """The title of the document and the headings the passage stands under."""
        return (self.title, *self.heading)
