"""HTML: what a browser would show as text, with the source line of each part. Nothing is fetched or run.

Navigation and footers are left out, and so is all around the main part where a page says which that is.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from pygent_rag.decoding import decode, one_line, visible
from pygent_rag.document import Block, Document, Kind, Outline, Places
from pygent_shared.errors import FileRefused

# What a page holds and does not show -> what ends it.
_HIDDEN = re.compile(r"<!--|<(script|style)\b", re.IGNORECASE)
_ENDINGS = {
    "": re.compile("-->"),
    "script": re.compile(r"</script\s*>", re.IGNORECASE),
    "style": re.compile(r"</style\s*>", re.IGNORECASE),
}
_STRAY = re.compile(r"<(?=[^<>]*(?:<|\Z))")
_MOST_STEPS = 1_000_000_000

_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_MAIN = re.compile(r"<main\b|role\s*=\s*[\"']?main\b", re.IGNORECASE)

LEAST_MAIN = 200
"""Characters that a page's main part must have to stand for the page."""

_UNSEEN = frozenset("script style template noscript svg iframe nav footer button select dialog".split())
_MAY_HIDE = frozenset("article aside div form header main section span table ul".split())
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    "address article aside blockquote body caption dd details div dl dt fieldset figcaption figure footer"
    " form head header hr html legend li main nav ol option p section select summary ul".split()
)


def parse(path: Path, data: bytes) -> Document:
    named = _CHARSET.search(data, 0, 2048)
    decoded = decode(path, data, named[1].decode() if named else "")
    try:
        return read(decoded.text, decoded.encoding)
    except AssertionError as error:  # html.parser's way to say that a declaration is beyond it
        raise FileRefused(path, f"is not HTML that can be read ({error})", "Mend or convert it.") from error


def read(source: str, encoding: str = "") -> Document:
    """The document of a page's source."""
    source = _parsable(_without_hidden(source))
    if _MAIN.search(source):
        page = _read(source, main_only=True)
        if len(page.text) >= LEAST_MAIN:
            return page.document(encoding)
    return _read(source, main_only=False).document(encoding)


def _read(source: str, *, main_only: bool) -> _Page:
    page = _Page(main_only=main_only)
    page.feed(source)
    page.close()
    return page


def _without_hidden(source: str) -> str:
    """The page without comments, scripts and styles. Their line ends stay, so lines keep their number."""
    parts: list[str] = []
    at = 0
    endless: set[str] = set()  # kinds that are not ended again further down
    for found in _HIDDEN.finditer(source):
        kind = (found[1] or "").lower()
        if found.start() < at:
            continue
        end = None if kind in endless else _ENDINGS[kind].search(source, found.end())
        if end:
            parts += source[at : found.start()], "\n" * source.count("\n", found.start(), end.end())
            at = end.end()
        else:
            endless.add(kind)
            if not kind:
                parts += source[at : found.start()], "&lt;"
                at = found.start() + 1
    return "".join([*parts, source[at:]])


def _parsable(source: str) -> str:
    """The page as it is; but where very many tags are not ended, with those as text.

    For each of them html.parser (before 3.14) looks through all the rest of the page: hours for a megabyte.
    """
    strays = sum(1 for _ in _STRAY.finditer(source))
    return _STRAY.sub("&lt;", source) if strays * len(source) > _MOST_STEPS else source


class _Page(HTMLParser):
    """Collects the text of a page, block by block."""

    def __init__(self, *, main_only: bool) -> None:
        super().__init__(convert_charrefs=True)
        self._main_only = main_only
        self._main = ""  # the element that is the main part, while inside it
        self._main_depth = 0  # elements of its kind around us, from it on
        self._hidden = ""  # the hidden element around us
        self._hidden_depth = 0
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._starts: list[int] = []
        self._numbers: list[int] = []
        self._outline = Outline()
        self._titles: list[str] = []
        self._in_title = False
        self._unseen = 0  # elements around us whose content is not shown
        self._tables = 0  # tables around us
        self._cells = 0  # cells in the table row so far
        self._gap = ""  # what is due between the text so far and the next word
        self._begin("prose")

    @property
    def text(self) -> str:
        self._end()
        return "".join(self._parts)

    def document(self, encoding: str) -> Document:
        self._end()
        headings = [block.heading[-1] for block in self._blocks if block.kind == "heading"]
        return Document(
            text="".join(self._parts),
            blocks=tuple(self._blocks),
            places=Places(starts=self._starts or [0], numbers=self._numbers or [1]),
            title=one_line("".join(self._titles)) or next(iter(headings), ""),
            decoded=encoding,
        )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._enter(tag, attrs)
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag == "title":
            self._in_title = not self._unseen
        elif tag == "table":
            self._tables += 1
            if self._tables == 1:
                self._begin("table")
        elif self._tables:
            self._inside_table(tag)
        elif tag in _HEADINGS:
            self._begin("heading", _HEADINGS[tag])
        elif tag == "pre":
            self._begin("code")
        elif tag == "br":
            self._gap = "\n"
        elif tag in _BLOCKS:
            self._begin("prose")

    def handle_endtag(self, tag: str) -> None:
        self._leave(tag)
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag == "title":
            self._in_title = False
        elif tag == "table":
            self._tables = max(0, self._tables - 1)
            if not self._tables:
                self._begin("prose")
        elif not self._tables and (tag in _BLOCKS or tag in _HEADINGS or tag == "pre"):
            self._begin("prose")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self._titles.append(data)
        elif not (self._unseen or self._hidden) and (self._main or not self._main_only):
            number, _ = self.getpos()
            first, *more = visible(data).split("\n")
            self._add(number, first)
            for line in more:
                number += 1
                self._gap = self._gap or ("\n" if self._kind == "code" else " ")
                self._add(number, line)

    def _enter(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note whether the main part, or one that is hidden, begins here or goes on."""
        if tag == self._hidden:
            self._hidden_depth += 1
        elif not self._hidden and tag in _MAY_HIDE and _is_hidden(attrs):
            self._hidden, self._hidden_depth = tag, 1
        if tag == self._main:
            self._main_depth += 1
        elif not self._main and (tag == "main" or ("role", "main") in attrs):
            self._main, self._main_depth = tag, 1

    def _leave(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden_depth -= 1
            self._hidden = tag if self._hidden_depth else ""
        if tag == self._main:
            self._main_depth -= 1
            self._main = tag if self._main_depth else ""

    def _inside_table(self, tag: str) -> None:
        """A row is a line; its cells are told apart by bars; what is inside a cell is not broken further."""
        if tag == "tr":
            self._gap, self._cells = "\n", 0
        elif tag in ("td", "th"):
            if self._cells:
                self._gap = self._gap.rstrip(" ") + " | "
            self._cells += 1
        elif tag in _BLOCKS or tag in _HEADINGS or tag in ("br", "pre"):
            self._gap = self._gap or " "

    def _add(self, number: int, line: str) -> None:
        """Add what source line `number` holds: its words, one space between; preformatted text as it is."""
        code = self._kind == "code"
        words = line.rstrip() if code else " ".join(line.split())
        if not words.strip():
            self._gap = self._gap or (" " if line else "")
            return
        if self._length > self._begun:
            self._append(self._gap or (" " if line[0].isspace() and not code else ""))
        self._starts.append(self._length)
        self._numbers.append(number)
        self._append(words)
        self._gap = " " if line[-1].isspace() else ""

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def _begin(self, kind: Kind, level: int = 0) -> None:
        """End the block in hand and begin one of `kind`; `level` is a heading's."""
        if self._blocks or self._parts:
            self._end()
        self._kind, self._level, self._gap = kind, level, ""
        self._begun, self._first_part = self._length, len(self._parts)

    def _end(self) -> None:
        if self._length == self._begun:
            return
        if self._kind == "heading":
            self._outline.enter(self._level, "".join(self._parts[self._first_part :]))
        text = "".join(self._parts[self._first_part :]) if self._kind == "table" else ""
        head = (self._begun, self._begun + text.index("\n")) if "\n" in text else None
        block = Block(
            start=self._begun, end=self._length, kind=self._kind, heading=self._outline.path, head=head
        )
        self._blocks.append(block)
        self._append("\n\n")


def _is_hidden(attrs: list[tuple[str, str | None]]) -> bool:
    return any(name == "hidden" or (name == "style" and _HIDING.search(value or "")) for name, value in attrs)
