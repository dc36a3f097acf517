"""A chunk as it is handed out: its text, and where it can be looked up."""

from __future__ import annotations

from dataclasses import dataclass

from pygent_rag.document import Unit


def citation(path: str, unit: Unit, number: int, part: str = "") -> str:
    """Where to look: what editors (`path:line`), PDF viewers (`path#page=N`) and spreadsheets
    (`path#'Sheet 1'!A5`) open at that place; `path#slide=N` and `path#cell=N` tell a person."""
    if unit == "line":
        return f"{path}:{number}"
    if unit == "row":
        sheet = part if part.isidentifier() else "'{}'".format(part.replace("'", "''"))
        return f"{path}#{sheet}!A{number}"
    return f"{path}#{unit}={number}"


@dataclass(frozen=True, kw_only=True)
class Passage:
    """`text` is in the file `path` on its lines, pages … (`unit`) `first` to `last`, on the sheet `part`.

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
    part: str = ""

    @property
    def citation(self) -> str:
        return citation(self.path, self.unit, self.first, self.part)

    def citation_at(self, offset: int) -> str:
        """The citation of what begins at `offset` of the text, as exact as the document allows."""
        lines = self.text.count("\n", 0, offset) if self.verbatim or self.unit == "row" else 0
        return citation(self.path, self.unit, self.first + lines, self.part)

    @property
    def context(self) -> tuple[str, ...]:
        """The title of the document and the headings the passage stands under."""
        return (self.title, *self.heading)
