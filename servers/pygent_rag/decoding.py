"""From bytes to text that holds only what a reader would see.

Zero-width, direction-changing and tag characters can carry instructions that a person never notices, and
they split words for the index; they are taken out here, before anything else sees the text. No newline is
added or taken away, so line numbers are the file's.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from pygent_shared.errors import FileRefused

_SPACING = re.compile("[\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_BROKEN = re.compile("[\x00-\x08\x0e-\x1a\x7f\ufffd]")
MOST_BROKEN = 0.1
"""A file with a larger share of control and replacement characters is no text."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A file's text; `encoding` is "" for UTF-8, else the one that was taken."""

    text: str
    encoding: str = ""


def decode(path: Path, data: bytes) -> Decoded:
    """The text in `data`: UTF-8; UTF-16 where it says so; else Windows-1252, which never fails.

    Raises:
        FileRefused: it is binary.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        found = Decoded(text=data.decode("utf-16", errors="replace"), encoding="utf-16")
    elif b"\0" in data:
        raise _binary(path, "holds NUL bytes")
    else:
        found = _utf8_or_cp1252(data)
    if len(_BROKEN.findall(found.text)) > MOST_BROKEN * len(found.text):
        raise _binary(path, "is mostly unprintable")
    return Decoded(text=visible(found.text), encoding=found.encoding)


def visible(text: str) -> str:
    """`text` with "\\n" line ends, without control characters (but tab) and without invisible ones."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub("", _SPACING.sub(" ", text))


def one_line(text: str) -> str:
    """`text`, visible characters only, in one line: for file names and headings."""
    return " ".join(visible(text).split())


def _utf8_or_cp1252(data: bytes) -> Decoded:
    try:
        return Decoded(text=data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Decoded(text=data.decode("cp1252", errors="replace"), encoding="cp1252")


def _binary(path: Path, why: str) -> FileRefused:
    cure = "Convert it to text, or give it the suffix of what it is"
    return FileRefused(path, f"{why}, so it is binary and not the text its name says", f"{cure}.")
