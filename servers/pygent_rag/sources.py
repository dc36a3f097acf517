"""What a caller can name to be read: a file, a folder, a pattern of files, a web page, or a text itself.

Each document is told apart by a name that stays: a file's path, a page's URL, or "text:" and a title.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urldefrag, urlsplit

from pygent_rag import files
from pygent_rag.decoding import one_line
from pygent_rag.document import LONGEST_HEADING
from pygent_rag.files import Poll
from pygent_rag.parsers import PARSERS
from pygent_rag.store import Fingerprint
from pygent_shared.errors import FileRefused, InvalidArgument
from pygent_shared.roots import check_root

FETCH_SECONDS = 60.0
"""How long one page may take to come."""

GIVEN = "text:"
_URL = re.compile(r"https?://", re.IGNORECASE)
_MAGIC = re.compile(r"[*?[]")
_LONGEST_URL = 2000

# What a page says it is -> the suffix of such files. What says nothing, or nothing definite, is told by its
# URL's own suffix.
_SUFFIXES = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/markdown": ".md",
    "text/x-markdown": ".md",
    "text/x-rst": ".rst",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "text/x-python": ".py",
    "text/javascript": ".js",
    "application/javascript": ".js",
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/x-ipynb+json": ".ipynb",
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
}
_INDEFINITE = ("", "text/plain", "application/octet-stream", "binary/octet-stream", "application/json")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A document's content; `name` tells its type, `title` what it is called if its giver said so."""

    name: Path
    data: bytes
    found: Fingerprint
    title: str = ""


class Item(Protocol):
    """One document to be."""

    @property
    def name(self) -> str:
        """What tells it apart in a collection."""

    def unchanged(self, known: Fingerprint) -> bool:
        """Whether it need not be read to know that it is what it was."""

    def load(self, max_bytes: int, poll: Poll) -> Loaded:
        """Its content.

        Raises:
            FileRefused: it cannot be had.
        """


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a call to ingest is about.

    Attributes:
        name: as it is stored, or what all names of its documents begin with.
        items: finds its documents, and what cannot be looked at.
        covers: whether a stored document is one of its.
        single: whether it is one document, whose refusal is the call's.
        again: what to give `named` to have it once more; "" for what cannot be read a second time.
    """

    name: str
    items: Callable[[Poll], Iterator[Item | FileRefused]]
    covers: Callable[[str], bool] = lambda name: True
    single: bool = False
    again: str = ""


@dataclass(frozen=True)
class LocalFile:
    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def unchanged(self, known: Fingerprint) -> bool:
        return files.looks_unchanged(self.path, known)

    def load(self, max_bytes: int, poll: Poll) -> Loaded:
        data, found = files.read(self.path, max_bytes)
        return Loaded(name=self.path, data=data, found=found)


@dataclass(frozen=True)
class WebPage:
    """Always fetched again: only its content tells whether it changed."""

    name: str
    private: bool

    def unchanged(self, known: Fingerprint) -> bool:
        return False

    def load(self, max_bytes: int, poll: Poll) -> Loaded:
        from pygent_shared.addresses import is_public
        from pygent_shared.fetching import fetch

        page = fetch(
            self.name,
            max_bytes=max_bytes,
            seconds=FETCH_SECONDS,
            poll=poll,
            allowed=(lambda address: True) if self.private else is_public,
        )
        data = _as_utf8(page.data, page.charset)
        name = Path(unquote(Path(urlsplit(page.url).path).stem) or "index")
        suffix = page_suffix(page.media_type, page.url)
        if not suffix:
            why = f"is {page.media_type or 'of a type it does not say'}, which is not read"
            raise FileRefused(self.name, why, "Save it in a format that is, and ingest the file.")
        return Loaded(name=name.with_suffix(suffix), data=data, found=files.fingerprint(data))


@dataclass(frozen=True)
class GivenText:
    title: str
    text: str

    @property
    def name(self) -> str:
        return f"{GIVEN}{self.title}"

    def unchanged(self, known: Fingerprint) -> bool:
        return False

    def load(self, max_bytes: int, poll: Poll) -> Loaded:
        data = self.text.encode("utf-8", "replace")
        if len(data) > max_bytes:
            why = f"has more than the {max_bytes // 1_000_000} MB that are read"
            raise FileRefused(self.name, why, "Split it.")
        return Loaded(name=Path("given.md"), data=data, found=files.fingerprint(data), title=self.title)


def is_file_name(name: str) -> bool:
    """Whether a document's name is the path of a file."""
    return not (_URL.match(name) or name.startswith(GIVEN))


def given(text: str, title: str) -> Source:
    """A text that the caller sends.

    Raises:
        InvalidArgument: it has no title to be known by.
    """
    called = one_line(title)[:LONGEST_HEADING]
    if not called:
        cure = "Give the text a title; the same title replaces it later."
        raise InvalidArgument("title", "is empty", cure)
    item = GivenText(called, text)
    return Source(name=item.name, items=lambda poll: iter([item]), covers=_only(item.name), single=True)


def named(path: str, *, roots: Sequence[str] = (), private: bool = False) -> Source:
    """The file, folder, pattern or page a caller means. Links of a file or folder are resolved.

    Args:
        roots: folders that files must be in, hidden ones apart; none: anywhere.
        private: whether pages at addresses that are not public may be read.

    Raises:
        InvalidArgument: no path can look like this.
        FileRefused: there is nothing there, or it cannot be reached.
        NotAllowed: it is not in one of the roots.
    """
    if not path.strip() or not files.speakable(path):
        cure = "Name a file or folder, best with its full path."
        raise InvalidArgument("path", "is empty or holds characters that are no text", cure)
    if _URL.match(path.strip()):
        return _page(path.strip(), private)
    full = Path(os.path.expanduser(path)).absolute()
    if _MAGIC.search(str(full)) and not os.path.lexists(full):
        return _pattern(full, roots)
    try:
        real = Path(os.path.realpath(full, strict=True))
    except OSError as error:
        raise files.refusal(full, error) from error
    check_root(real, roots)
    if os.path.isdir(real):
        return Source(
            name=str(real), items=lambda poll: _in_folder(real, poll, lambda name: True), again=str(real)
        )
    return _one(LocalFile(real))


def page_suffix(media_type: str, url: str) -> str:
    """The suffix that tells the type of what was found at a URL; "" when there is no parser for it."""
    own = Path(urlsplit(url).path).suffix.lower()
    if media_type in _INDEFINITE and own in PARSERS:
        return own
    if media_type == "text/plain":
        return ".txt"
    return _SUFFIXES.get(media_type, "")


def _page(url: str, private: bool) -> Source:
    if len(url) > _LONGEST_URL:
        raise InvalidArgument(
            "path", f"is a URL of more than {_LONGEST_URL} characters", "Name a shorter one."
        )
    return _one(WebPage(urldefrag(url).url, private))


def _one(item: LocalFile | WebPage) -> Source:
    return Source(
        name=item.name,
        items=lambda poll: iter([item]),
        covers=_only(item.name),
        single=True,
        again=item.name,
    )


def _only(name: str) -> Callable[[str], bool]:
    return lambda other: other == name


def _in_folder(folder: Path, poll: Poll, wanted: Callable[[str], bool]) -> Iterator[Item | FileRefused]:
    for entry in files.walk(folder, poll):
        if isinstance(entry, FileRefused):
            yield entry
        elif wanted(str(entry)):
            yield LocalFile(entry)


def _pattern(full: Path, roots: Sequence[str]) -> Source:
    """The files below the last folder without a wildcard whose paths match."""
    parts = full.parts
    fixed = _fixed(parts)
    folder = Path(os.path.realpath(Path(*parts[:fixed])))
    check_root(folder, roots)
    if not folder.is_dir():
        raise FileRefused(folder, "is no folder", "Check the spelling before the first wildcard.")
    match = _Pattern(folder, parts[fixed:]).matches
    return Source(
        name=str(folder),
        items=lambda poll: _in_folder(folder, poll, match),
        covers=match,
        again=str(Path(folder, *parts[fixed:])),
    )


def _fixed(parts: Sequence[str]) -> int:
    """How many parts of a path come before its first wildcard."""
    return next((number for number, part in enumerate(parts) if _MAGIC.search(part)), len(parts))


def watched_folder(again: str) -> str | None:
    """The folder below which changes concern a source that is no page; None for a single file."""
    parts = Path(again).parts
    if os.path.lexists(again) or (fixed := _fixed(parts)) == len(parts):
        return again if os.path.isdir(again) else None
    return str(Path(*parts[:fixed]))


@dataclass(frozen=True)
class _Pattern:
    """A glob below a folder: `*`, `?`, `[…]` within a name, `**` for any folders."""

    folder: Path
    parts: tuple[str, ...]

    def matches(self, path: str) -> bool:
        return bool(self._regex.fullmatch(path))

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        separator = re.escape(os.sep)
        made = re.escape(str(self.folder).rstrip(os.sep))
        for number, part in enumerate(self.parts):
            last = number + 1 == len(self.parts)
            if part == "**":
                made += f"{separator}.+" if last else f"(?:{separator}[^{separator}]+)*"
            else:
                made += separator + _translated(part, separator)
        return re.compile(made, re.DOTALL)


def _translated(part: str, separator: str) -> str:
    """One name of a glob as a regular expression."""
    made = ""
    for found in re.finditer(r"\[(!?)(]?[^]]*)]|(.)", part):
        if found[3] is None:
            made += f"[{'^' if found[1] else ''}{re.escape(found[2]).replace(chr(92) + '-', '-')}]"
        else:
            made += {"*": f"[^{separator}]*", "?": f"[^{separator}]"}.get(found[3], re.escape(found[3]))
    return made


def _as_utf8(data: bytes, charset: str) -> bytes:
    """Text that was said to be in another encoding; left as it is where that cannot be."""
    if charset.lower() in ("", "utf-8", "utf8"):
        return data
    try:
        return data.decode(charset).encode()
    except (LookupError, UnicodeError):
        return data
