"""The text of a document that has none of its own, while a parser puts it together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pygent_rag.document import Block, Document, Kind, Outline, Places, Unit

BETWEEN = "\n\n"


class Draft:
    """Parts of text, one after the other, each with its place and with the headings above it."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self.outline = Outline()
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._starts: list[int] = []
        self._numbers: list[int] = []
        self._length = 0

    def place(self, number: int, after: int = 0) -> None:
        """What comes `after` so many further characters is on this page, slide …"""
        self._starts.append(self._length + after)
        self._numbers.append(number)

    def heading(self, level: int, title: str, *, part: str = "") -> None:
        self.outline.enter(level, title)
        self.add(title, "heading", part=part)

    def add(self, text: str, kind: Kind = "prose", *, part: str = "", gap: str = BETWEEN) -> None:
        """Add a block, and the gap after it. A table's first line is its head row. Blank text is nothing.

        Args:
            part: the sheet it is on.
        """
        text = text.strip("\n").rstrip()
        if not text.strip():
            return
        end = self._length + len(text)
        head_end = self._length + len(text.partition("\n")[0])
        head = (self._length, head_end) if kind == "table" and head_end < end else None
        self._blocks.append(
            Block(start=self._length, end=end, kind=kind, heading=self.outline.path, head=head, part=part)
        )
        self._append(text, gap)

    def extend(self, text: str, blocks: Iterable[Block]) -> None:
        """Add a text that is in blocks already."""
        self._blocks += [
            replace(block, start=block.start + self._length, end=block.end + self._length, head=None)
            for block in blocks
        ]
        self._append(text, BETWEEN)

    def document(self, *, title: str = "", note: str = "") -> Document:
        headings = (block.heading[-1] for block in self._blocks if block.kind == "heading")
        return Document(
            text="".join(self._parts),
            blocks=tuple(self._blocks),
            places=Places(starts=self._starts or [0], numbers=self._numbers or [1]),
            unit=self._unit,
            title=title or next(headings, ""),
            note=note,
        )

    def _append(self, text: str, gap: str) -> None:
        self._parts += text, gap
        self._length += len(text) + len(gap)
