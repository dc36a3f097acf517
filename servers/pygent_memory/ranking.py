"""What moves a result beside how well it fits: its conversation, the time and the person that a question
names, and a little how important and how new it is.

The weights are those measured on LoCoMo with every other conversation held out; importance and age were not
measured, hence they are small.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
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
    spans = times.named(question, now, [int(year) for year in {place.date[:4] for place in places}])
    names = ({place.speaker for place in places} | {place.entity for place in places}) - {""}
    return Asked(spans=tuple(spans), person=_named(question, names), now=None if spans or looks_back else now)


def rank(
    found: Sequence[Found], asked: Asked, *, most: int | None = None, explained: bool = False
) -> list[Found]:
    """The best of these memories, in order, with the scores they have now, and the reasons if somebody asked.

    Args:
        most: how many; None for all.
    """
    bonus, weighed = _sittings(found), _Weights(asked)
    scores = [(item.score + bonus[item.place.memory]) * weighed.in_all(item.place) for item in found]
    order = sorted(range(len(found)), key=lambda number: -scores[number])[:most]
    return [
        Found(
            score=scores[number],
            by=(item := found[number]).by,
            place=item.place,
            why=(*item.why, *weighed.reasons(item, bonus[item.memory])) if explained else item.why,
        )
        for number in order
    ]


class _Weights:
    """By how much a question moves a memory, for where it stands; of each day worked out once."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._days: dict[str, tuple[float, float]] = {}

    def in_all(self, place: Place) -> float:
        """All of the below, multiplied."""
        in_time, newness = self._of_day(place)
        weight = in_time * _prior(place, newness)
        return weight * self._by_person(place) if self._asked.person else weight

    def reasons(self, item: Found, bonus: float) -> Iterator[str]:
        """What made a score, in words."""
        in_time, newness = self._of_day(item.place)
        by_person = self._by_person(item.place)
        yield f"fit {item.score:.2f}"
        if bonus >= 0.005:
            yield f"conversation +{bonus:.2f}"
        if in_time > 1:
            yield f"time asked for x{in_time:g}"
        if by_person > 1:
            yield f"{self._asked.person} x{by_person:g}"
        yield f"importance and age x{_prior(item.place, newness):.2f}"

    def _of_day(self, place: Place) -> tuple[float, float]:
        """For the time asked for; and how new it is, from 1, today, half as much every thirty days."""
        if (known := self._days.get(place.date[:10])) is None:
            day = times.day(place.date)
            in_time = any(day in span for span in self._asked.spans)
            age = max(0, (self._asked.now - day).days) if self._asked.now is not None else 0
            known = self._days[place.date[:10]] = 1 + IN_TIME * in_time, 0.5 ** (age / HALF_LIFE_DAYS)
        return known

    def _by_person(self, place: Place) -> float:
        person = self._asked.person
        return 1 + BY_PERSON * (person != "" and person in (place.speaker, place.entity))


def _prior(place: Place, newness: float) -> float:
    """For its importance, and how new it is; one that is pinned does not age."""
    important, new = (1.0, 1.0) if place.pinned else (place.importance, newness)
    return (1 + IMPORTANCE * important) * (1 + RECENCY * new)


def _sittings(found: Sequence[Found]) -> dict[str, float]:
    """What its sitting adds to each memory. One that is no turn sits alone."""
    added: dict[str, float] = {}
    conversations: dict[int, list[Found]] = defaultdict(list)
    for item in found:
        place = item.place
        if place.conversation:
            conversations[place.conversation].append(item)
        else:
            added[place.memory] = SITTING * item.score / BEST
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
