"""A chunk as it is handed out: its text, and where it can be looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pygent_rag.document import Unit


def citation(path: str, unit: Unit, number: int, part: str = "", last: int = 0) -> str:
    """Where to look: what editors (`path:line`), PDF viewers (`path#page=N`) and spreadsheets
    (`path#'Sheet 1'!A5`) open at that place; `path#slide=N` and `path#cell=N` tell a person. With `last` it
    covers more than one: `path:5-12`, `path#'Sheet 1'!A5:A12`."""
    more = last > number
    if unit == "line":
        return f"{path}:{number}-{last}" if more else f"{path}:{number}"
    if unit == "row":
        sheet = part if part.isidentifier() else "'{}'".format(part.replace("'", "''"))
        return f"{path}#{sheet}!A{number}:A{last}" if more else f"{path}#{sheet}!A{number}"
    return f"{path}#{unit}={number}-{last}" if more else f"{path}#{unit}={number}"


@dataclass(frozen=True, kw_only=True)
class Passage:
    """`text` is in the file `path` on its lines, pages … (`unit`) `first` to `last`, on the sheet `part`.

    `heading` is the path of headings above it, outermost first, without one that only repeats the title.
    `position` counts the chunks of its document from 0; `start` and `end` are its place in the stored text.
    `joined` says that it is more than one chunk; its citation then covers them all.
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
    position: int = 0
    start: int = 0
    end: int = 0
    joined: bool = False

    @property
    def citation(self) -> str:
        return citation(self.path, self.unit, self.first, self.part, self.last if self.joined else 0)

    @property
    def section(self) -> tuple[object, ...]:
        """What chunks must share to be one passage: a document, headings, a sheet, page or slide."""
        whole = self.first if self.unit in ("page", "slide", "cell") else 0
        return self.collection, self.path, self.heading, self.part, whole

    def citation_at(self, offset: int) -> str:
        """The citation of what begins at `offset` of the text, as exact as the document allows."""
        if not (self.verbatim or self.unit == "row"):
            return self.citation
        lines = self.text.count("\n", 0, offset)
        return citation(self.path, self.unit, self.first + lines, self.part)

    @property
    def context(self) -> tuple[str, ...]:
        """The title of the document and the headings the passage stands under."""
        return (self.title, *self.heading)


def one(chunks: Sequence[Passage], best: Passage, text: str) -> Passage:
    """Neighbouring chunks as one passage with `text`, all of the document from the first to the last."""
    if len(chunks) == 1:
        return best
    first, last = chunks[0], chunks[-1]
    return replace(
        best,
        text=text,
        position=first.position,
        first=first.first,
        last=last.last,
        start=first.start,
        end=last.end,
        joined=True,
    )
