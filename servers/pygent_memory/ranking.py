"""What moves a result beside how well it fits: its conversation, the time and the person that a question
names, and a little how important and how new it is.

The weights are those measured on LoCoMo with every other conversation held out; importance and age were not
measured, hence they are small.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from pygent_memory import times
from pygent_memory.recall import Found, Place
from pygent_memory.turns import is_apart
from pygent_shared.fulltext import STOP_WORDS

SITTING = 0.2
"""What the mean of the three best of a sitting adds to each of its turns."""
BEST = 3

IN_TIME = 0.5
BY_PERSON = 0.1
IMPORTANCE = 0.1
RECENCY = 0.05
HALF_LIFE_DAYS = 30

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a question asks of its answers, beside what they say: told within `spans`, said by or about
    `person`; `now` is what their age counts from, None where age is nothing to go by."""

    spans: tuple[times.Span, ...] = ()
    person: str = ""
    now: date | None = None


def asked(question: str, found: Iterable[Found], now: date, *, looks_back: bool = False) -> Asked:
    """What a question asks of these memories."""
    places = [item.place for item in found]
    spans = times.named(question, now, {int(place.date[:4]) for place in places})
    names = {name for place in places for name in (place.speaker, place.entity) if name}
    return Asked(spans=tuple(spans), person=_named(question, names), now=None if spans or looks_back else now)


def rank(found: Sequence[Found], asked: Asked, *, explained: bool = False) -> list[Found]:
    """The same memories, best first, with the scores they have now, and the reasons if somebody asked."""
    bonus = _sittings(found)
    ranked = [_moved(item, bonus[item.memory], asked, explained=explained) for item in found]
    return sorted(ranked, key=lambda item: -item.score)


def _moved(item: Found, bonus: float, asked: Asked, *, explained: bool) -> Found:
    place = item.place
    in_time = 1 + IN_TIME * _is_in_time(place, asked)
    by_person = 1 + BY_PERSON * (asked.person != "" and asked.person in (place.speaker, place.entity))
    prior = (1 + IMPORTANCE * (1 if place.pinned else place.importance)) * (
        1 + RECENCY * _newness(place, asked)
    )
    why = item.why
    if explained:
        reasons = (
            f"fit {item.score:.2f}",
            f"conversation +{bonus:.2f}" if bonus >= 0.005 else "",
            f"time asked for x{in_time:g}" if in_time > 1 else "",
            f"{asked.person} x{by_person:g}" if by_person > 1 else "",
            f"importance and age x{prior:.2f}",
        )
        why = (*why, *filter(None, reasons))
    score = (item.score + bonus) * in_time * by_person * prior
    return Found(score=score, by=item.by, place=place, why=why)


def _is_in_time(place: Place, asked: Asked) -> bool:
    return bool(asked.spans) and any(times.day(place.date) in span for span in asked.spans)


def _newness(place: Place, asked: Asked) -> float:
    """From 1, today or pinned, half as much every thirty days."""
    if asked.now is None or place.pinned:
        return 1.0
    age = max(0, (asked.now - times.day(place.date)).days)
    return float(0.5 ** (age / HALF_LIFE_DAYS))


def _sittings(found: Sequence[Found]) -> dict[str, float]:
    """What its sitting adds to each memory. One that is no turn sits alone."""
    added: dict[str, float] = {}
    conversations: dict[int, list[Found]] = defaultdict(list)
    for item in found:
        if item.place.conversation:
            conversations[item.place.conversation].append(item)
        else:
            added[item.memory] = SITTING * item.score / BEST
    for turns in conversations.values():
        for sitting in _split(sorted(turns, key=lambda item: item.place.turn)):
            best = sorted((item.score for item in sitting), reverse=True)[:BEST]
            added |= dict.fromkeys((item.memory for item in sitting), SITTING * sum(best) / BEST)
    return added


def _split(turns: Sequence[Found]) -> list[list[Found]]:
    """The turns of a conversation, parted where it paused."""
    sittings = [[turns[0]]]
    for turn in turns[1:]:
        if is_apart(sittings[-1][-1].place.date, turn.place.date):
            sittings.append([])
        sittings[-1].append(turn)
    return sittings


def _named(question: str, names: Collection[str]) -> str:
    """The one person or thing of these that the question names; none where it names several."""
    words = {word.casefold() for word in _WORD.findall(question)} - STOP_WORDS
    hits = [name for name in names if words & {word.casefold() for word in _WORD.findall(name)}]
    return hits[0] if len(hits) == 1 else ""
