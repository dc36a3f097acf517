"""Markdown: headings (both styles), tables, fenced code and front matter, as CommonMark and GFM have them.

Only what bears on where a passage may be cut is read; emphasis, links and the rest stay as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pygent_rag.decoding import decode, one_line
from pygent_rag.document import Block, Document, Kind, Outline, Span, verbatim

_LINE = re.compile(r"^.*$", re.MULTILINE)
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*)$")
_CLOSING_HASHES = re.compile(r"(?:^|[ \t])#+$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_DELIMITER_ROW = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_NOT_PARAGRAPH = re.compile(r"[ \t]*(?:[-*+>]|\d+[.)])[ \t]")
_LINK = re.compile(r"\[([^][]*)\]\([^()]*\)")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n((?:(?:[\w.-]+:|[ \t-]).*\n)*?)(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_FRONT_TITLE = re.compile(r"^title:[ \t]*(.+)$", re.MULTILINE)


def parse(path: Path, data: bytes) -> Document:
    decoded = decode(path, data)
    found = tuple(blocks(decoded.text, Outline()))
    return verbatim(decoded, found, title=_title(decoded.text, found))


def blocks(text: str, outline: Outline) -> Iterator[Block]:
    """The blocks of a Markdown text that stands under the headings of `outline`."""
    for run in _runs(text):
        if run.kind == "heading":
            outline.enter(*_heading(text[run.start : run.end]))
        # A fence that is never closed runs on over the blank lines at the document's end.
        end = run.start + len(text[run.start : run.end].rstrip())
        yield Block(start=run.start, end=end, kind=run.kind, heading=outline.path, head=_head(text, run))


def _head(text: str, run: _Run) -> Span | None:
    """The row that names a table's columns: the one above the delimiter row."""
    first, _, rest = text[run.start : run.end].partition("\n")
    named = run.kind == "table" and _DELIMITER_ROW.match(rest.partition("\n")[0])
    return (run.start, run.start + len(first)) if named else None


class _Run:
    """Lines of one kind, while they are read."""

    def __init__(self, kind: Kind, start: int, end: int) -> None:
        self.kind, self.start, self.end = kind, start, end
        self.lines = 1

    def extend(self, end: int) -> None:
        self.end = end
        self.lines += 1


def _runs(text: str) -> Iterator[_Run]:
    """Top to bottom. A run ends at a blank line or where another kind begins; in a fence, with the fence."""
    front = _FRONT_MATTER.match(text)
    if front:
        yield _Run("table", 0, len(front[0].rstrip()))
    run: _Run | None = None
    fence = ""
    for found in _LINE.finditer(text, front.end() if front else 0):
        line, end = found[0], found.end()
        if run and fence:
            run.extend(end)
            fence = "" if _closes(line, fence) else fence
        elif run and line.strip() and _joins(text, run, line):
            run.extend(end)
        else:
            if run:
                yield run
            run = _Run(_kind(line), found.start(), end) if line.strip() else None
            fence = _opens(line)
    if run:
        yield run


def _kind(line: str) -> Kind:
    if _ATX.match(line):
        return "heading"
    if _opens(line):
        return "code"
    return "table" if line.lstrip().startswith("|") else "prose"


def _joins(text: str, run: _Run, line: str) -> bool:
    """Whether `line` goes on with the run above it. It may make the run something else: an underline makes
    one line of prose a heading, a delimiter row makes it the head of a table."""
    if run.kind == "prose" and run.lines == 1:
        above = text[run.start : run.end]
        if "|" in above and "|" in line and _DELIMITER_ROW.match(line):
            run.kind = "table"
            return True
        if _UNDERLINE.match(line) and not _NOT_PARAGRAPH.match(above):
            run.kind = "heading"
            return True
    kind = _kind(line)
    return run.kind == kind == "prose" or (run.kind == "table" and (kind == "table" or "|" in line))


def _opens(line: str) -> str:
    """The fence that the line opens; "" mostly."""
    fence = _FENCE.match(line)
    return fence[1] if fence else ""


def _closes(line: str, fence: str) -> bool:
    stripped = line.strip()
    return len(stripped) >= len(fence) and set(stripped) == {fence[0]}


def _heading(source: str) -> tuple[int, str]:
    """Level and title of a heading in either style."""
    if atx := _ATX.match(source):
        return len(atx[1]), _plain(_CLOSING_HASHES.sub("", atx[2].strip())) or source
    title, _, underline = source.rpartition("\n")
    return 1 if underline.strip().startswith("=") else 2, _plain(title) or source


def _plain(title: str) -> str:
    """A heading without emphasis marks, and with links replaced by their text."""
    return _LINK.sub(r"\1", title).replace("**", "").replace("`", "").strip()


def _title(text: str, found: tuple[Block, ...]) -> str:
    """The title in the front matter, else the first heading."""
    front = _FRONT_MATTER.match(text)
    if front and (named := _FRONT_TITLE.search(front[1])):
        return one_line(named[1]).strip("\"'")
    return next((block.heading[-1] for block in found if block.kind == "heading"), "")
