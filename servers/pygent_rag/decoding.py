"""From bytes to text that holds only what a reader would see.

Zero-width, direction-changing and tag characters can carry instructions that a person never notices, and
they split words for the index; they are taken out here, before anything else sees the text. No newline is
added or taken away, so line numbers are the file's.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pygent_shared.errors import FileRefused

_SPACING = re.compile("[\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_TAKEN_OUT = re.compile(rf"\r(?=\n)|{_INVISIBLE.pattern}")
_BROKEN = re.compile("[\x00-\x08\x0e-\x1a\x7f\ufffd]")
MOST_BROKEN = 0.1
"""A file with a larger share of control and replacement characters is no text."""


_WINDOWS = "cp1252"
_ON_PAGES = re.compile(r"(?:cp125\d|iso8859-(?!1$)|koi8-|shift_jis|cp932|euc_|gb|big5)")
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A file's text, and where in its bytes each part of it is.

    Attributes:
        text: visible characters only.
        encoding: "" for UTF-8, else the one that was taken.
        raw: the text with the characters that were taken out.
        codec: what turns `raw` into the file's bytes.
        mark: bytes of the byte order mark before it.
        size: bytes in all.
    """

    text: str
    encoding: str = ""
    raw: str = ""
    codec: str = "utf-8"
    mark: int = 0
    size: int = 0

    def bytes_of(self, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """For spans of the text, one after the other: the bytes of the file that say the same."""
        gaps = self._gaps()
        offsets = _ByteOffsets(self)
        for start, end in spans:
            yield offsets.of(start + bisect_right(gaps, start)), offsets.of(end + bisect_left(gaps, end))

    def _gaps(self) -> Sequence[int]:
        """For each character that was taken out: before which character of the text it stood."""
        if self.raw == self.text or len(self.raw) == len(self.text):
            return ()
        return [found.start() - number for number, found in enumerate(_TAKEN_OUT.finditer(self.raw))]


class _ByteOffsets:
    """The byte offsets of offsets in a raw text; quick when each is near the one before."""

    def __init__(self, decoded: Decoded) -> None:
        self._decoded = decoded
        self._plain = decoded.raw.isascii() or decoded.codec == _WINDOWS
        self._at, self._bytes = 0, 0

    def of(self, offset: int) -> int:
        self._bytes += self._size(self._at, offset) if offset > self._at else -self._size(offset, self._at)
        self._at = offset
        return min(self._decoded.mark + self._bytes, self._decoded.size)

    def _size(self, start: int, end: int) -> int:
        if self._plain:
            return (end - start) * (2 if self._decoded.codec.startswith("utf-16") else 1)
        return len(self._decoded.raw[start:end].encode(self._decoded.codec))


def decode(path: Path, data: bytes, declared: str = "") -> Decoded:
    """The text in `data`: UTF-8; UTF-16 where it says so; else Windows-1252, which never fails.

    Args:
        declared: the encoding that the document itself names; taken where its bytes are not UTF-8.

    Raises:
        FileRefused: it is binary.
    """
    mark = next((mark for mark in _BYTE_ORDER_MARKS if data.startswith(mark)), b"")
    codec = _BYTE_ORDER_MARKS.get(mark, "utf-8")
    if b"\0" in data and not codec.startswith("utf-16"):
        raise _binary(path, "holds NUL bytes")
    codec, raw = _decoded(data[len(mark) :], codec, declared)
    if len(_BROKEN.findall(raw)) > MOST_BROKEN * len(raw):
        raise _binary(path, "is mostly unprintable")
    encoding = "utf-16" if codec.startswith("utf-16") else "" if codec == "utf-8" else codec
    return Decoded(text=visible(raw), encoding=encoding, raw=raw, codec=codec, mark=len(mark), size=len(data))


def visible(text: str) -> str:
    """`text` with "\\n" line ends, without control characters (but tab) and without invisible ones."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub("", _SPACING.sub(" ", text))


def one_line(text: str) -> str:
    """`text`, visible characters only, in one line: for file names and headings."""
    return " ".join(visible(text).split())


def _decoded(data: bytes, codec: str, declared: str) -> tuple[str, str]:
    """The encoding that `data` is in, and its text."""
    if codec != "utf-8":
        return codec, data.decode(codec, errors="replace")
    for tried in ("utf-8", _known(declared)):
        with suppress(UnicodeDecodeError):
            return tried, data.decode(tried)
    return _WINDOWS, data.decode(_WINDOWS, errors="replace")


def _known(encoding: str) -> str:
    """An encoding that a page names, as Python calls it; "ascii" for one that pages are not in."""
    with suppress(LookupError):
        if _ON_PAGES.match(name := codecs.lookup(encoding).name):
            return name
    return "ascii"


def _binary(path: Path, why: str) -> FileRefused:
    cure = "Convert it to text, or give it the suffix of what it is"
    return FileRefused(path, f"{why}, so it is binary and not the text its name says", f"{cure}.")
