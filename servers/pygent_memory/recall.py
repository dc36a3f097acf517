"""From what the search legs found to what is shown: fuse, fold, fill. What lies between, `ranking` does.

Passages are found; memories are shown. The two legs' scores are scaled and added half and half, which was
measured best on LoCoMo (plain reciprocal rank fusion was worse than full-text search alone).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from pygent_memory.memory import Memory
from pygent_memory.showing import dates, shown
from pygent_shared import segments
from pygent_shared.fulltext import words

LEG = 200
"""How many passages each leg brings, at most."""

LEAST_LEG = 50
"""How many where few results are asked for: on LoCoMo the first ten of these are as good as those of four
times as many (R@10 78.5 with either; without embeddings 76.8 and 77.0)."""

DEEP = 1000
"""So many passages deep full-text search is asked for the scores of what the other leg brings."""

LEAST_COSINE = 0.15
"""Below this a passage is only the nearest of what is there, not near. On LoCoMo nothing found is lost by it,
not even at 0.25."""

ALIKE = 0.9
"""The share of common words (Jaccard) above which one memory repeats another."""

HEADER_TOKENS = 10
"""What the line above a result costs a reader, besides its tags and speaker."""

FRAME_TOKENS = 40
"""What an answer says before and after its results."""

Leg = Literal["lexical", "semantic"]

_LEAST: dict[Leg, float] = {"lexical": 0.0, "semantic": LEAST_COSINE}
_SAYS: dict[Leg, str] = {"lexical": "words (BM25)", "semantic": "meaning (cosine)"}


class Place(NamedTuple):
    """Where a passage stands: in which memory; and what ranking asks of that memory. `conversation` is a
    number, 0 for none."""

    passage: int
    memory: str
    importance: float = 0.5
    pinned: bool = False
    date: str = ""
    speaker: str = ""
    entity: str = ""
    conversation: int = 0
    turn: int = 0


class Found(NamedTuple):
    """A memory that was found: its score, by which legs, its best passage, and how the score came about, if
    somebody asked. Of these and of places a search makes hundreds, hence tuples."""

    score: float
    by: tuple[Leg, ...]
    place: Place
    why: tuple[str, ...] = ()

    @property
    def memory(self) -> str:
        return self.place.memory


@dataclass(frozen=True, kw_only=True)
class Recalled:
    """A memory as it is shown: `text` is all of it when `whole`, else its best passage, with the `dates` that
    are meant in it; `shown` is how it is printed."""

    memory: Memory
    text: str
    dates: Mapping[str, str]
    shown: str
    whole: bool
    score: float
    by: tuple[Leg, ...]
    why: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()


class Part(NamedTuple):
    """The part `[start, stop)` of a memory's text that was found."""

    memory: Memory
    start: int
    stop: int


Distinct = tuple[Found, Part, tuple[str, ...]]
"""What was found, and the ids and dates of those that repeat it."""


def brought(results: int) -> int:
    """How many passages each leg is to bring, for so many results to be chosen from them."""
    return min(LEG, max(LEAST_LEG, 5 * results))


def candidates(
    lexical: Mapping[int, float], semantic: Mapping[int, float] | None, leg: int = LEG
) -> dict[Leg, dict[int, float]]:
    """The scores of the passages that a leg brings: the best by their words, and those near enough to mean
    anything. What one leg brings has its score of the other too, where that is known: measured on LoCoMo, two
    points of recall against counting it as the other leg's lowest.

    Args:
        lexical: best first, deeper than it brings.
        semantic: None where meanings could not be compared.
        leg: how many the first brings.
    """
    some = dict.fromkeys(islice(lexical, leg))
    if semantic is None:
        return {"lexical": {passage: lexical[passage] for passage in some}}
    some |= dict.fromkeys(passage for passage, cosine in semantic.items() if cosine >= LEAST_COSINE)
    return {
        "lexical": {passage: lexical[passage] for passage in some if passage in lexical},
        "semantic": {passage: semantic[passage] for passage in some if passage in semantic},
    }


def fuse(legs: Mapping[Leg, Mapping[int, float]]) -> dict[int, float]:
    """One score from 0 to 1 a passage, best first: the mean of its shares of each leg's best score. A passage
    that a leg does not know has no share."""
    shares: dict[int, float] = {}
    for leg in legs.values():
        best = max(leg.values(), default=0.0)
        for passage, score in leg.items():
            share = score / best if score > 0 else 0.0
            shares[passage] = shares.get(passage, 0.0) + share / len(legs)
    return dict(sorted(shares.items(), key=lambda entry: -entry[1]))


def fold(
    legs: Mapping[Leg, Mapping[int, float]], places: Mapping[int, Place], *, explained: bool = False
) -> list[Found]:
    """The memories the passages belong to, best first; a memory is as good as its best passage.

    Passages without a place (forgotten in the meantime) are left out.
    """
    by_leg = [
        (leg, {passage for passage, score in found.items() if score >= _LEAST[leg]})
        for leg, found in legs.items()
    ]
    best: dict[str, Found] = {}
    for passage, score in fuse(legs).items():
        if (place := places.get(passage)) is None:
            continue
        by = tuple([leg for leg, passages in by_leg if passage in passages])
        if (known := best.get(place.memory)) is None:
            best[place.memory] = Found(score, by, place, _fit(legs, passage) if explained else ())
        elif by != known.by:
            best[place.memory] = known._replace(by=tuple(leg for leg in legs if leg in (*known.by, *by)))
    return list(best.values())


def different(found: Sequence[tuple[Found, Part]]) -> list[Distinct]:
    """The memories without those that repeat a better one, of which the ids and dates are told instead.

    One repeats another if the same speaker says nearly the same: more than nine words in ten, and no number
    that differs.
    """
    kept: list[tuple[Found, Part, list[str]]] = []
    by_speaker: dict[str, list[tuple[frozenset[str], list[str]]]] = {}
    for item, part in found:
        memory = part.memory
        said = frozenset(words(segments.asked(memory.text)))
        others = by_speaker.setdefault(memory.speaker, [])
        alike = next((ids for other, ids in others if _repeats(said, other)), None)
        if alike is not None:
            alike.append(f"{memory.id} of {memory.date[:10]}")
            continue
        ids: list[str] = []
        others.append((said, ids))
        kept.append((item, part, ids))
    return [(item, part, tuple(ids)) for item, part, ids in kept]


def fill(found: Sequence[Distinct], max_tokens: int) -> list[Recalled]:
    """As many as fit into `max_tokens`, best first; one that does not fit makes room for smaller ones.

    The best is always there, cut if it must be.
    """
    results: list[Recalled] = []
    left = max_tokens - FRAME_TOKENS
    for item, (memory, start, stop), alike in found:
        text, whole = excerpt(memory.text, start, stop)
        meant = dates(memory, text)
        printed = shown(memory, text, whole=whole, alike=alike, why=item.why, meant=meant)
        cost = _cost(printed)
        if cost > left and not results:
            room = left - _cost(shown(memory, "", whole=False, alike=alike, why=item.why))
            text, whole = _cut(text, max(room, 1)), False
            meant = dates(memory, text)
            printed = shown(memory, text, whole=whole, alike=alike, why=item.why)
        elif cost > left:
            continue
        results.append(
            Recalled(
                memory=memory,
                text=text,
                dates=meant,
                shown=printed,
                whole=whole,
                score=item.score,
                by=item.by,
                why=item.why,
                alike=alike,
            )
        )
        left -= cost
    return results


def excerpt(text: str, start: int, stop: int) -> tuple[str, bool]:
    """The part `[start, stop)` with marks where something was left out, and whether nothing was."""
    before, after = bool(text[:start].strip()), bool(text[stop:].strip())
    if not before and not after:
        return text.strip(), True
    return f"{'… ' if before else ''}{text[start:stop]}{' …' if after else ''}", False


def tokens(text: str) -> int:
    """About how many tokens a language model reads in a text: a quarter of its UTF-8 bytes, rounded up."""
    return -(-len(text.encode()) // 4)


def header_tokens(memory: Memory) -> int:
    """About how many tokens the line above a result takes."""
    return HEADER_TOKENS + tokens(memory.speaker) + sum(tokens(tag) + 1 for tag in memory.tags)


def _fit(legs: Mapping[Leg, Mapping[int, float]], passage: int) -> tuple[str, ...]:
    """How a passage fits, leg by leg."""
    return tuple(f"{_SAYS[leg]} {legs[leg][passage]:.3g}" for leg in legs if passage in legs[leg])


def _cost(printed: str) -> int:
    """What a result takes, with the blank line behind it."""
    return tokens(printed + "\n\n")


def _repeats(one: frozenset[str], other: frozenset[str]) -> bool:
    if not one or min(len(one), len(other)) <= ALIKE * max(len(one), len(other)):
        return False
    common = len(one & other)
    if common <= ALIKE * (len(one) + len(other) - common):
        return False
    return not any(character.isdigit() for word in one ^ other for character in word)


def _cut(text: str, limit: int) -> str:
    return text.encode()[: limit * 4].decode(errors="ignore").rstrip() + " …"
