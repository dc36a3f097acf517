"""From ranked chunks to what is handed out: neighbours in one passage, the same text once, within a budget.

The one rule: the best chunk of a passage gives it its place; what joins it never moves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from pygent_rag.passage import Passage
from pygent_rag.sentences import fitting, tokens
from pygent_shared.fulltext import words

MOST_JOINED = 4
"""Chunks in one passage: about 500 tokens, so that one document does not take the whole budget."""

SHINGLE = 3
"""Words in a row that are compared."""

SAME = 0.8
"""Share of shingles in common (Jaccard; Broder 1997) from which on two texts are the same but for details."""

MOST_AROUND = 200
"""Chunks looked at on either side of one that is read."""

FURTHER = 2
"""For each passage asked for, so many chunks of the ranking are looked at."""


@dataclass(kw_only=True)
class Gathered:
    """Chunks that are handed out as one passage, in the order of the document.

    Attributes:
        best: the chunk that gives it its place.
        also: where the same text stands once more.
    """

    best: Passage
    chunks: list[Passage]
    also: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(tokens(chunk.text) for chunk in self.chunks)

    def joins(self, chunk: Passage) -> bool:
        """Whether the chunk stands right before or after these."""
        first, last = self.chunks[0], self.chunks[-1]
        return chunk.section == first.section and chunk.position in (first.position - 1, last.position + 1)

    def join(self, chunk: Passage) -> None:
        self.chunks = sorted([*self.chunks, chunk], key=lambda one: one.position)

    def meets(self, other: Gathered) -> bool:
        """Whether these and the others are one stretch, and not too long."""
        ends = (other.chunks[0], other.chunks[-1])
        return len(self.chunks) + len(other.chunks) <= MOST_JOINED and any(map(self.joins, ends))

    def take(self, other: Gathered) -> None:
        self.chunks = sorted([*self.chunks, *other.chunks], key=lambda one: one.position)
        self.also += other.also


def gather(ranked: Sequence[Passage], limit: int, max_tokens: int) -> tuple[list[Gathered], int]:
    """At most `limit` passages of together at most `max_tokens`, and how many more there were for want of
    room. There is always one, so that there is an answer."""
    found: list[Gathered] = []
    known: list[tuple[frozenset[tuple[str, ...]], Gathered]] = []
    room, left_out = max_tokens, 0
    for chunk in ranked[: FURTHER * limit]:
        shingled = shingles(chunk.text)
        same = next((held for other, held in known if alike(shingled, other)), None)
        if same is not None:
            same.also.append(chunk.citation)
            continue
        size = tokens(chunk.text)
        beside = next((held for held in found if held.joins(chunk)), None)
        if beside is not None and len(beside.chunks) < MOST_JOINED and size <= room:
            beside.join(chunk)
            held = beside
            for other in found:
                if other is not held and held.meets(other):
                    first, second = sorted((held, other), key=found.index)
                    first.take(second)
                    found.remove(second)
                    known = [(text, first if one is second else one) for text, one in known]
                    held = first
                    break
        elif len(found) + left_out >= limit or left_out or (size > room and found):
            left_out += len(found) + left_out < limit
            continue
        else:
            held = Gathered(best=chunk, chunks=[chunk])
            found.append(held)
        known.append((shingled, held))
        room -= size
    return found, left_out


def grown(
    chunks: Sequence[Passage], first: int, last: int, max_tokens: int, *, section: bool
) -> tuple[list[Passage], bool]:
    """The chunks at the positions `first` to `last` with their neighbours on both sides, by turns, as long as
    they fit; whether there were more.

    Args:
        chunks: of a document, in order.
        section: stop where the headings (or the page …) change.
    """
    kept = [chunk for chunk in chunks if first <= chunk.position <= last]
    before = [chunk for chunk in chunks if chunk.position < first][::-1]
    after = [chunk for chunk in chunks if chunk.position > last]
    if section:
        before = list(takewhile(lambda chunk: chunk.section == kept[0].section, before))
        after = list(takewhile(lambda chunk: chunk.section == kept[-1].section, after))
    room = max_tokens
    if (fit := fitting((one.text for one in kept), room)) < len(kept):
        return kept[: max(1, fit)], True
    room -= sum(tokens(one.text) for one in kept)
    while before or after:
        side = after if after and (not before or len(kept) % 2) else before
        if (room := room - tokens(side[0].text)) < 0:
            return kept, True
        kept = [*kept, side.pop(0)] if side is after else [side.pop(0), *kept]
    return kept, False


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """The runs of SHINGLE words of a text; of a shorter one, all its words."""
    every = words(text)
    return frozenset(
        tuple(every[start : start + SHINGLE]) for start in range(max(1, len(every) - SHINGLE + 1))
    )


def alike(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> bool:
    """Whether two texts are the same but for details."""
    if min(len(one), len(other)) < SAME * max(len(one), len(other)):
        return False
    common = len(one & other)
    return common >= SAME * (len(one) + len(other) - common)
