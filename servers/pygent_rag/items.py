"""One document to be: a file, a web page, or a text that a call brought."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from pygent_rag import files
from pygent_rag.files import Poll
from pygent_rag.parsers import PARSERS
from pygent_rag.store import Fingerprint
from pygent_shared.errors import FileRefused

FETCH_SECONDS = 60.0
"""How long one page may take to come."""

GIVEN = "text:"
"""What the name of a text that a call brought begins with."""

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


def page_suffix(media_type: str, url: str) -> str:
    """The suffix that tells the type of what was found at a URL; "" when there is no parser for it."""
    own = Path(urlsplit(url).path).suffix.lower()
    if media_type in _INDEFINITE and own in PARSERS:
        return own
    if media_type == "text/plain":
        return ".txt"
    return _SUFFIXES.get(media_type, "")


def _as_utf8(data: bytes, charset: str) -> bytes:
    """Text that was said to be in another encoding; left as it is where that cannot be."""
    if charset.lower() in ("", "utf-8", "utf8"):
        return data
    try:
        return data.decode(charset).encode()
    except (LookupError, UnicodeError):
        return data
