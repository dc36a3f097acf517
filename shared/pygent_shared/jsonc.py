"""JSON with comments and trailing commas, as people write config files.

What JSON lacks is overwritten with as many spaces, so every line, column and offset that json names holds in
the original. The regular expressions step over strings, so only what stands outside of them is found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

STRING = r'"[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*"'
COMMENT = re.compile(STRING + r"|(//[^\r\n]*|/\*.*?\*/)", re.DOTALL)
TRAILING_COMMA = re.compile(STRING + r"|[{\[,][ \t\r\n]*,|(,)(?=[ \t\r\n]*[}\]])", re.DOTALL)


def plain(text: str) -> str:
    """The text as JSON."""
    bare = blanked(text, spans(COMMENT, text))
    return blanked(bare, spans(TRAILING_COMMA, bare))


def spans(pattern: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    """Where the pattern's first group is found."""
    return [match.span(1) for match in pattern.finditer(text) if match[1]]


def blanked(text: str, places: Sequence[tuple[int, int]]) -> str:
    """The text with spaces in these places; newlines stay."""
    pieces, at = [], 0
    for start, end in places:
        pieces += [text[at:start], re.sub(r"[^\r\n]", " ", text[start:end])]
        at = end
    return "".join([*pieces, text[at:]])
