"""Where sentences begin and end, and about how many tokens a text has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, takewhile

from pygent_rag.document import trimmed

# A full stop and what closes after it, before white space; an ideographic full stop; a blank line; a line
# that begins a list item or a table row.
_BREAK = re.compile(
    r"""(?P<end>[.!?…]["'”’»)\]*_]*)\s+
      | [。！？][」』）”]*
      | \n[ \t]*\n\s*
      | \n(?=[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t])
      | \n(?=[ \t]*\|)""",
    re.VERBOSE,
)
_ABBREVIATIONS = frozenset(
    "al approx ca cf dr e.g eg etc fig i.e ie mr mrs ms no nos p pp prof st vs".split()
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_LAST_WORD = re.compile(r"[\w.]*$")

# Calibrated on MiniLM's word pieces: within 7 % on scientific and encyclopaedic prose, notes and Python. Of
# numbers and of scripts other than Latin it knows little and takes nearly each character by itself; two
# letters are counted as one there, so that a chunk of the budget just fits the model, and others read more.
_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[A-Za-z\u00c0-\u024f]{1,7}|[^\W\d_]{1,2}"
    r"|\d{1,4}(?!\d)|\d|[^\w\s]|_"
)


def spans(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """The sentences of `text[start:end]` as (start, end), without the whitespace around them."""
    end = len(text) if end is None else end
    begin = start
    for found in _BREAK.finditer(text, start, end):
        if found["end"] is not None and not _ends_sentence(text, found, end):
            continue
        yield from _some(trimmed(text, begin, found.end()))
        begin = found.end()
    yield from _some(trimmed(text, begin, end))


def tokens(text: str) -> int:
    """About how many tokens an embedding model makes of `text`."""
    return len(_TOKEN.findall(text))


def fitting(texts: Iterable[str], most: int) -> int:
    """How many of the first texts have together at most so many tokens."""
    return sum(1 for _ in takewhile(lambda total: total <= most, accumulate(map(tokens, texts))))


def _ends_sentence(text: str, found: re.Match[str], end: int) -> bool:
    """Not before a small letter, nor after an abbreviation, an initial or the number of a list item; always
    before a blank line."""
    if _BLANK_LINE.search(found[0]):
        return True
    if found.end() < end and text[found.end()].islower():
        return False
    word = _LAST_WORD.search(text, max(0, found.start() - 12), found.start())
    before = word[0] if word else ""
    counted = (len(before) == 1 and before.isupper()) or (len(before) < 3 and before.isdigit())
    return text[found.start()] != "." or not (counted or before.lower() in _ABBREVIATIONS)


def _some(span: tuple[int, int]) -> Iterator[tuple[int, int]]:
    if span[0] < span[1]:
        yield span
