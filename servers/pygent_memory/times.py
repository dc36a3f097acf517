"""Times that a text names: "in July 2023", "last week", "3 May"; as spans of days.

The one rule: a time is read only where it is plain. What is vague ("recently", "the other day") names none,
and what has no year means each of the years asked about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

_TOLD_AFTER = ((timedelta(days=7), timedelta(days=8)), (timedelta(days=100), timedelta(days=14)))
"""How much later something is still told of, by how long the time is that it happened in: what happened on a
day or in a week, within eight days; in a month or a season, within a fortnight."""

_DAY = timedelta(days=1)
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december".split("|")
_SHORT = {name[:3]: number for number, name in enumerate(_MONTHS, 1)} | {"sept": 9}
_WEEKDAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday".split("|")
_SEASONS = {"spring": (3, 5), "summer": (6, 8), "autumn": (9, 11), "fall": (9, 11), "winter": (12, 2)}
_NUMBERS = {
    word: number
    for number, word in enumerate("one two three four five six seven eight nine ten eleven twelve".split(), 1)
} | {"a": 1, "an": 1, "a couple of": 2}

# "may" and "march" are verbs too, and three letters may be a name: those need a day or a year beside them.
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)}|{'|'.join(_SHORT)})\.?"
_SURE_MONTH = rf"(?P<month>{'|'.join(name for name in _MONTHS if name not in ('may', 'march'))})"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_OF_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_COUNT = rf"(?P<count>\d{{1,3}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"


@dataclass(frozen=True, order=True, kw_only=True)
class Span:
    """The days from `first` to `last`, both included."""

    first: date
    last: date

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.first <= day <= self.last

    def __str__(self) -> str:
        """As ISO 8601 has it, as short as it can be: a day, a month, a year, or an interval."""
        first, last = self.first, self.last
        if first == last:
            return first.isoformat()
        if self == _months(first.year, first.month, first.month):
            return first.isoformat()[:7]
        if self == _year(first.year):
            return first.isoformat()[:4]
        return f"{first.isoformat()}/{last.isoformat()}"


def named(question: str, now: date, years: Collection[int]) -> list[Span]:
    """When something was told of that happened in the times a question names; empty where it names none.

    Args:
        now: what "last week" counts from.
        years: those that a time without a year may mean.
    """
    meant, left = [], question
    for words, span in relative(question, now):
        meant.append(span)
        left = left.replace(words, " ", 1)
    return [_told(span) for span in (*meant, *_calendar(left, years))]


def relative(text: str, told: date) -> list[tuple[str, Span]]:
    """The words of a text that name a time by when they were said, and the days they mean; in order."""
    found: list[tuple[int, int, Span]] = []
    folded = text.casefold()
    there = {word for word in _NEEDED if word in folded}
    for needed, pattern, meaning in _RELATIVE:
        if there.isdisjoint(needed):
            continue
        for match in pattern.finditer(text):
            try:
                found.append((match.start(), match.end(), meaning(match, told)))
            except (ValueError, OverflowError):  # before the first year there is, or after the last
                continue
    chosen: list[tuple[str, Span]] = []
    upto = 0
    for start, stop, span in sorted(found, key=lambda one: (one[0], -one[1])):
        if start >= upto:
            chosen.append((text[start:stop], span))
            upto = stop
    return chosen


def day(moment: str) -> date:
    """The day of a moment in ISO 8601."""
    return date.fromisoformat(moment[:10])


def _told(span: Span) -> Span:
    """When a thing of these days is told of. One that took a week or less counts from the day before: the
    clocks of the world differ."""
    for length, later in _TOLD_AFTER:
        if span.last - span.first < length:
            earlier = _DAY if length == _TOLD_AFTER[0][0] else timedelta(0)
            first = span.first - min(earlier, span.first - date.min)
            return Span(first=first, last=span.last + min(later, date.max - span.last))
    return span


def _calendar(text: str, years: Collection[int]) -> Iterator[Span]:
    """The times of a calendar. Of those that lie within one another the narrowest counts: a day, not also its
    month."""
    left = text.lower()
    for pattern, meaning in _CALENDAR:
        for match in list(pattern.finditer(left)):
            parts = match.groupdict()
            asked = [int(parts["year"])] if parts.get("year") else sorted(years)
            for year in asked:
                with suppress(ValueError):  # 30 February
                    yield meaning(parts, year)
            left = left[: match.start()] + " " * (match.end() - match.start()) + left[match.end() :]


def _month_number(name: str) -> int:
    return _SHORT[name[:3]]


def _months(year: int, first: int, last: int) -> Span:
    """From the first day of a month to the last of another, of the next year where that comes earlier."""
    until = year + (last < first)
    end = date(until + (last == 12), last % 12 + 1, 1) - _DAY
    return Span(first=date(year, first, 1), last=end)


def _year(year: int) -> Span:
    return Span(first=date(year, 1, 1), last=date(year, 12, 31))


def _single(day: date) -> Span:
    return Span(first=day, last=day)


def _iso(parts: dict[str, str], year: int) -> Span:
    return _single(date(year, int(parts["number"]), int(parts["day"])))


def _month_day(parts: dict[str, str], year: int) -> Span:
    return _single(date(year, _month_number(parts["month"]), int(parts["day"])))


def _month(parts: dict[str, str], year: int) -> Span:
    number = _month_number(parts["month"])
    return _months(year, number, number)


def _iso_month(parts: dict[str, str], year: int) -> Span:
    return _months(year, int(parts["number"]), int(parts["number"]))


def _season(parts: dict[str, str], year: int) -> Span:
    return _months(year, *_SEASONS[parts["season"]])


def _whole_year(parts: dict[str, str], year: int) -> Span:
    return _year(year)


def _read(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_NEXT_YEAR = rf"(?:\s*,?\s+(?:of\s+|in\s+)?{_YEAR})?\b"
_CALENDAR: list[tuple[re.Pattern[str], Callable[[dict[str, str], int], Span]]] = [
    (_read(rf"\b{_YEAR}-(?P<number>\d\d)-(?P<day>\d\d)(?!\d)"), _iso),
    (_read(rf"\b{_OF_DAY}\s+(?:of\s+)?{_MONTH}{_NEXT_YEAR}"), _month_day),
    (_read(rf"\b{_MONTH}\s+{_OF_DAY}(?!\d){_NEXT_YEAR}"), _month_day),
    (_read(rf"\b{_YEAR}-(?P<number>\d\d)(?![\d-])"), _iso_month),
    (_read(rf"\b{_MONTH}\s*,?\s+(?:of\s+|in\s+)?{_YEAR}\b"), _month),
    (_read(rf"\b{_SURE_MONTH}\b"), _month),
    (
        _read(
            r"\b(?:in|of|during|since|until|early|late|mid|last|this)[\s-]+(?P<month>may|march)\b(?!\s+(?:be|have)\b)"
        ),
        _month,
    ),
    (
        _read(rf"\b(?P<season>{'|'.join(_SEASONS)})\s+(?:of\s+)?{_YEAR}\b"),
        _season,
    ),
    (_read(rf"\b(?:in|of|during|since|throughout|year)\s+{_YEAR}\b"), _whole_year),
]


def _at(days: int) -> Callable[[re.Match[str], date], Span]:
    return lambda match, told: _single(told + days * _DAY)


def _ago(match: re.Match[str], told: date) -> Span:
    return _apart(match, told, -1)


def _ahead(match: re.Match[str], told: date) -> Span:
    return _apart(match, told, 1)


def _apart(match: re.Match[str], told: date, sign: int) -> Span:
    """So many days away is a day; so many weeks, months or years away is one of those."""
    said = " ".join(match["count"].lower().split())
    count = sign * (int(said) if said.isdigit() else _NUMBERS[said])
    return _shifted(match["unit"].lower(), told, count)


def _shifted(unit: str, told: date, by: int) -> Span:
    match unit:
        case "day":
            return _single(told + by * _DAY)
        case "week":
            monday = told - told.weekday() * _DAY + 7 * by * _DAY
            return Span(first=monday, last=monday + 6 * _DAY)
        case "weekend":
            saturday = told - told.weekday() * _DAY + (7 * by + 5) * _DAY
            return Span(first=saturday, last=saturday + _DAY)
        case "month":
            year, month = divmod(12 * told.year + told.month - 1 + by, 12)
            return _months(year, month + 1, month + 1)
        case _:
            return _year(told.year + by)


_WHICH = {"last": -1, "past": -1, "previous": -1, "this": 0, "next": 1, "coming": 1}


def _which(match: re.Match[str], told: date) -> Span:
    """ "Last week" is the one before this; "last weekend", said on a Sunday, the one before too."""
    return _shifted(match["unit"].lower(), told, _WHICH[match["which"].lower()])


def _weekday(match: re.Match[str], told: date) -> Span:
    """The nearest one before the day, or after it; "this Friday" lies ahead or is today."""
    apart = (_WEEKDAYS.index(match["weekday"].lower()) - told.weekday()) % 7
    match _WHICH[match["which"].lower()]:
        case -1:
            return _single(told + (apart - 7) * _DAY)
        case 0:
            return _single(told + apart * _DAY)
        case _:
            return _single(told + (apart or 7) * _DAY)


def _named_season(match: re.Match[str], told: date) -> Span:
    """The last one that was over, the one of this year, the next one that has not begun."""
    months = _SEASONS[match["season"].lower()]
    which = _WHICH[match["which"].lower()]
    every = [_months(year, *months) for year in range(told.year - 2, told.year + 3)]
    if which < 0:
        return [span for span in every if span.last < told][-1]
    if which > 0:
        return next(span for span in every if span.first > told)
    return next(span for span in every if span.last >= told)


def _named_month(match: re.Match[str], told: date) -> Span:
    number = _month_number(match["month"].lower())
    which = _WHICH[match["which"].lower()]
    if which == 0:
        return _months(told.year, number, number)
    ahead = number > told.month
    year = told.year + (0 if ahead else 1) if which > 0 else told.year - (1 if number >= told.month else 0)
    return _months(year, number, number)


_SAID = r"(?P<which>last|past|previous|this|next|coming)"
_UNITS = ("day", "week", "month", "year")
# Each with words of which a text must have one for the pattern to find anything: looking for these is fast.
_RELATIVE: list[tuple[Collection[str], re.Pattern[str], Callable[[re.Match[str], date], Span]]] = [
    (("yesterday",), _read(r"\bthe day before yesterday\b"), _at(-2)),
    (("tomorrow",), _read(r"\bthe day after tomorrow\b"), _at(2)),
    (("yesterday", "night"), _read(r"\b(?:yesterday|last night)\b"), _at(-1)),
    (
        ("today", "tonight", "this "),
        _read(r"\b(?:today|tonight|this (?:morning|afternoon|evening))\b"),
        _at(0),
    ),
    (("tomorrow",), _read(r"\btomorrow\b"), _at(1)),
    (("ago",), _read(rf"\b{_COUNT}\s+(?P<unit>day|week|month|year)s?\s+ago\b"), _ago),
    (_UNITS, _read(rf"\bin\s+{_COUNT}\s+(?P<unit>day|week|month|year)s?(?:'s?)?(?:\s+time)?\b"), _ahead),
    (_UNITS, _read(rf"\b{_SAID}\s+(?P<unit>weekend|week|month|year)\b"), _which),
    (_WEEKDAYS, _read(rf"\b{_SAID}\s+(?P<weekday>{'|'.join(_WEEKDAYS)})\b"), _weekday),
    (_SEASONS, _read(rf"\b{_SAID}\s+(?P<season>{'|'.join(_SEASONS)})\b"), _named_season),
    (_MONTHS, _read(rf"\b{_SAID}\s+(?P<month>{'|'.join(_MONTHS)})\b"), _named_month),
]
_NEEDED = {word for needed, _, _ in _RELATIVE for word in needed}
