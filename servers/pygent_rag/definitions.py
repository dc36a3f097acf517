"""Cutting source code by its definitions: the names of class and function take the place of headings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

from pygent_rag.document import Block

Definition = tuple[int, int, tuple[str, ...]]
"""First line, last line (from 1) and path of names of something that is defined."""

_CLOSING = re.compile(r"[\s)}\];,]*(?:end)?[\s)}\];,]*$")


def by_definition(text: str, definitions: Iterable[Definition], comment: re.Pattern[str]) -> Iterator[Block]:
    """Neighbouring lines of one owner, without the blank ones around them. A line's owner is the innermost
    definition around it; comment lines straight above a definition are its own, closing lines go with what
    they close."""
    lines = text.split("\n")
    owners = _owners(lines, definitions, comment)
    start = 0
    entries: list[tuple[int, int, tuple[str, ...]]] = []
    for line, owner in zip(lines, owners, strict=True):
        if line.strip():
            if entries and _CLOSING.match(line):
                owner = entries[-1][2]
            entries.append((start, start + len(line.rstrip()), owner))
        start += len(line) + 1
    for path, run in groupby(entries, key=itemgetter(2)):
        written = list(run)
        yield Block(start=written[0][0], end=written[-1][1], kind="code", heading=path)


def _owners(
    lines: list[str], definitions: Iterable[Definition], comment: re.Pattern[str]
) -> list[tuple[str, ...]]:
    owners: list[tuple[str, ...]] = [()] * len(lines)
    for first, last, path in sorted(definitions, key=lambda found: (found[0], -found[1])):
        while first > 1 and comment.match(lines[first - 2]) and len(owners[first - 2]) < len(path):
            first -= 1
        owners[first - 1 : last] = [path] * (last - first + 1)
    return owners
