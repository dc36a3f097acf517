"""What a parser makes of a file: its text, the blocks it is made of, and where each stands in the file.

The one rule: every offset counts characters of `Document.text`, and nothing after the parser changes it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pygent_rag.decoding import Decoded

LONGEST_HEADING = 200
"""Characters of a title or heading that are kept with each passage under it."""

Kind = Literal["heading", "prose", "table", "code"]
Unit = Literal["line", "page", "slide", "cell", "row"]
Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """`text[start:end]`, which belongs together; `heading` is the path of headings it stands under.

    A block of kind "heading" has its own heading last in its path. All text but whitespace is in one block.

    Attributes:
        head: where the head row is of the table that this is, or is a row of; it goes with every part.
        part: the name of the sheet it stands on, where a document has sheets.
    """

    start: int
    end: int
    kind: Kind = "prose"
    heading: tuple[str, ...] = ()
    head: Span | None = None
    part: str = ""


@dataclass(frozen=True, kw_only=True)
class Places:
    """From an offset to the line, page … of the file: from `starts[i]` on it is `numbers[i]`."""

    starts: Sequence[int]
    numbers: Sequence[int]

    def at(self, offset: int) -> int:
        return self.numbers[max(0, bisect_right(self.starts, offset) - 1)]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A parsed file.

    Attributes:
        text: all that can be cited, visible characters only.
        blocks: in the order of the text, without overlap.
        places: the line, page … of each offset, counted from 1.
        unit: what `places` counts; rows are counted on each sheet anew.
        source: the file as it was decoded, where the text is the file's own, line by line.
        title: what the document calls itself; "" when it does not say.
        decoded: the encoding, where it was not UTF-8.
        note: what the reader of the report should know; "" mostly.
    """

    text: str
    blocks: tuple[Block, ...]
    places: Places
    unit: Unit = "line"
    source: Decoded | None = None
    title: str = ""
    decoded: str = ""
    note: str = ""

    @property
    def verbatim(self) -> bool:
        """Whether the text is the file's own, line by line."""
        return self.source is not None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The first and last line (page …) of `text[start:end]`."""
        return self.places.at(start), self.places.at(max(start, end - 1))


class Outline:
    """The headings in force while a document is read from top to bottom."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(title for _, title in self._open)

    def enter(self, level: int, title: str) -> tuple[str, ...]:
        """A heading of `level` (1 is the highest) begins; it ends all of its level or lower."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        self._open.append((level, " ".join(title.split())[:LONGEST_HEADING]))
        return self.path

    def leave(self) -> None:
        """What follows stands under no heading."""
        self._open.clear()


def verbatim(
    source: Decoded, blocks: Iterable[Block], *, title: str = "", note: str = "", places: Places | None = None
) -> Document:
    """The document of a text that is the file's own."""
    return Document(
        text=source.text,
        blocks=tuple(blocks),
        places=places or lines_of(source.text),
        source=source,
        title=title,
        decoded=source.encoding,
        note=note,
    )


def lines_of(text: str) -> Places:
    """The places of a text that is the file's own, line by line."""
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    return Places(starts=starts, numbers=range(1, len(starts) + 1))


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without whitespace at its ends; empty when there is nothing else."""
    stretch = text[start:end]
    start += len(stretch) - len(stretch.lstrip())
    return start, start + len(stretch.strip())
