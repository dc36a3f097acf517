"""Runs of a character, written as a number and the character."""

import re
from itertools import groupby

ITEM = re.compile(r"([1-9][0-9]*)?(\\[0-9\\]|[^0-9\\])", re.DOTALL)


def pack(text: str) -> str:
    """Runs of characters as numbers and characters."""
    packed = ""
    for character, run in groupby(text):
        times = len(list(run))
        number = str(times) if times > 1 else ""
        packed += number + ("\\" if character in "0123456789\\" else "") + character
    return packed


def unpack(packed: str) -> str:
    """What `pack` was given.

    Raises:
        ValueError: `pack` does not write such a thing.
    """
    text, at = "", 0
    while at < len(packed):
        item = ITEM.match(packed, at)
        if item is None or item[1] == "1":
            raise ValueError(f"not a run: {packed[at:]!r}")
        text += item[2][-1] * int(item[1] or 1)
        at = item.end()
    return text
