"""What a caller can name to be read: a file, a folder, a pattern of files, a web page, or a text itself.

Each document is told apart by a name that stays: a file's path, a page's URL, or "text:" and a title.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urldefrag

from pygent_rag import files
from pygent_rag.decoding import one_line
from pygent_rag.document import LONGEST_HEADING
from pygent_rag.files import Poll
from pygent_rag.items import GIVEN, GivenText, Item, LocalFile, WebPage
from pygent_rag.patterns import Pattern, fixed, is_pattern
from pygent_shared.errors import FileRefused, InvalidArgument
from pygent_shared.roots import check_root

_URL = re.compile(r"https?://", re.IGNORECASE)
_LONGEST_URL = 2000


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
    if is_pattern(full):
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
    count = fixed(parts)
    folder = Path(os.path.realpath(Path(*parts[:count])))
    check_root(folder, roots)
    if not folder.is_dir():
        raise FileRefused(folder, "is no folder", "Check the spelling before the first wildcard.")
    match = Pattern(folder, parts[count:]).matches
    return Source(
        name=str(folder),
        items=lambda poll: _in_folder(folder, poll, match),
        covers=match,
        again=str(Path(folder, *parts[count:])),
    )
