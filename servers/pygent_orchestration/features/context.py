"""What is known that bears on a task: earlier failures, patterns and documents, within a budget of tokens,
each with its source. Pure: `gathering` asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Literal

Kind = Literal["failure", "pattern", "document"]

KINDS: tuple[Kind, ...] = ("failure", "pattern", "document")
TITLES: dict[Kind, str] = {
    "failure": "What failed before",
    "pattern": "What is known to work here",
    "document": "Documents",
}
_BYTES_A_TOKEN = 4


@dataclass(frozen=True, kw_only=True)
class Source:
    """Something known. `place` is where it stands: a citation, or a memory's id."""

    kind: Kind
    place: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Context:
    """What is known.

    Args:
        tokens: about how many its text has.
        left_out: how much more there was.
        missing: what could not be asked, and why.
    """

    sources: tuple[Source, ...]
    tokens: int
    left_out: int = 0
    missing: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As whoever does the task is told it."""
        parts = []
        for kind in KINDS:
            if mine := [source for source in self.sources if source.kind == kind]:
                parts.append("\n\n".join([f"### {TITLES[kind]}", *map(shown, mine)]))
        return "\n\n".join(parts)


def selected(found: Sequence[Sequence[Source]], max_tokens: int, missing: Sequence[str] = ()) -> Context:
    """As much as fits of several lists, each the best first: of each list the best, then the second, and on.
    What says the same as another is left out."""
    taken: list[Source] = []
    said: set[str] = set()
    spent = left = 0
    for source in filter(None, chain.from_iterable(zip_longest(*found))):
        words = " ".join(source.text.split())
        if not words or words in said:
            continue
        said.add(words)
        cost = tokens(shown(source)) + (0 if any(t.kind == source.kind for t in taken) else 10)
        if spent + cost > max_tokens:
            left += 1
            continue
        spent += cost
        taken.append(source)
    return Context(sources=tuple(taken), tokens=spent, left_out=left, missing=tuple(missing))


def shown(source: Source) -> str:
    """A source as it stands in the text."""
    return f"{source.text.strip()}\n[{source.place}]"


def tokens(text: str) -> int:
    """About how many tokens a language model reads in a text: a quarter of its UTF-8 bytes, rounded up."""
    return -(-len(text.encode()) // _BYTES_A_TOKEN)
