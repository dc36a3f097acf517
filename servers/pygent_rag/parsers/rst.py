"""reStructuredText: titles, tables, literal blocks and directives, as far as they bear on where to cut.

The text stays as it is written; no directive is carried out, so nothing is included or run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pygent_rag.decoding import decode
from pygent_rag.document import Block, Document, Kind, Outline, Span, verbatim

_RULE = re.compile(r"([!-/:-@[-`{-~])\1*[ \t]*$")
_GRID = re.compile(r"\+(?:[-=]+\+)+[ \t]*$")
_SIMPLE = re.compile(r"=+(?:[ \t]+=+)+[ \t]*$")
_CODE = re.compile(r"(?:\.\. (?:code|code-block|sourcecode|highlight|parsed-literal|math|raw)::|::[ \t]*$)")


class _Line:
    """A line with its place."""

    def __init__(self, start: int, text: str) -> None:
        self.start, self.text = start, text
        self.end = start + len(text.rstrip())
        self.blank = not text.strip()
        self.indented = text[:1] in (" ", "\t")


def parse(path: Path, data: bytes) -> Document:
    decoded = decode(path, data)
    lines, start = [], 0
    for text in decoded.text.split("\n"):
        lines.append(_Line(start, text))
        start += len(text) + 1
    blocks = list(_blocks(lines))
    title = next((block.heading[-1] for block in blocks if block.kind == "heading"), "")
    return verbatim(decoded, blocks, title=title)


def _blocks(lines: list[_Line]) -> Iterator[Block]:
    outline = Outline()
    styles: list[str] = []  # of titles, in the order they are met: the first is the highest
    at = 0
    while at < len(lines):
        if lines[at].blank:
            at += 1
            continue
        if size := _title_lines(lines, at):
            title, style = _title(lines[at : at + size])
            if style not in styles:
                styles.append(style)
            outline.enter(styles.index(style) + 1, title)
            kind: Kind = "heading"
        else:
            kind, size = _body(lines, at)
        last = max(number for number in range(at, at + size) if not lines[number].blank)
        start, end = lines[at].start, lines[last].end
        yield Block(start=start, end=end, kind=kind, heading=outline.path, head=_head(lines, at, kind))
        at += size


def _title_lines(lines: list[_Line], at: int) -> int:
    """How many lines the title takes that begins here; 0 when none does."""
    first, second, third = (
        lines[number].text if number < len(lines) else "" for number in (at, at + 1, at + 2)
    )
    if _RULE.match(first):
        rule = first.strip() == third.strip() and len(first.strip()) >= len(second.strip()) > 0
        return 3 if rule and not _RULE.match(second) else 0
    if lines[at].indented or not _RULE.match(second):
        return 0
    return 2 if len(second.strip()) >= min(len(first.rstrip()), 4) else 0


def _title(lines: list[_Line]) -> tuple[str, str]:
    """The words of a title, and its style: the rule's character, twice where there is one above, too."""
    words = lines[-2].text.strip()
    return words, lines[-1].text[0] * (len(lines) - 1)


def _body(lines: list[_Line], at: int) -> tuple[Kind, int]:
    """The kind of what begins here, and how many lines it takes."""
    first = lines[at].text
    if _GRID.match(first):
        return "table", _count(lines, at, lambda line: line.text[:1] in ("+", "|"))
    if _SIMPLE.match(first):
        return "table", _simple_table(lines, at)
    if _CODE.match(first):
        return "code", 1 + _indented(lines, at + 1)
    if first.startswith((".. list-table::", ".. csv-table::", ".. table::")):
        return "table", 1 + _indented(lines, at + 1)
    size = 0
    while (
        at + size < len(lines)
        and not lines[at + size].blank
        and not (size and _title_lines(lines, at + size))
    ):
        size += 1
    if lines[at + size - 1].text.rstrip().endswith("::") and (literal := _indented(lines, at + size)):
        return "prose" if size > 3 else "code", size + literal
    return "prose", size


def _count(lines: list[_Line], at: int, holds: Callable[[_Line], bool]) -> int:
    size = 0
    while at + size < len(lines) and holds(lines[at + size]):
        size += 1
    return size


def _indented(lines: list[_Line], at: int) -> int:
    """How many lines from here are indented or blank; 0 when all are blank."""
    size = _count(lines, at, lambda line: line.indented or line.blank)
    return size if any(not line.blank for line in lines[at : at + size]) else 0


def _simple_table(lines: list[_Line], at: int) -> int:
    """To the last rule: a table has two, or three when it has a head."""
    rules = []
    for number in range(at, len(lines)):
        if _SIMPLE.match(lines[number].text):
            rules.append(number)
            if len(rules) == 3 or number + 1 == len(lines) or (len(rules) > 1 and lines[number + 1].blank):
                break
        elif lines[number].blank and len(rules) > 2:
            break
    return (rules[-1] if len(rules) > 1 else at) - at + 1


def _head(lines: list[_Line], at: int, kind: Kind) -> Span | None:
    """The head row of a table with rules: the line after the first."""
    if kind != "table" or at + 1 >= len(lines) or lines[at].text.startswith(".. "):
        return None
    return lines[at + 1].start, lines[at + 1].end
