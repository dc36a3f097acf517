"""The days of a month on which one meets."""

from calendar import monthrange


def meeting(year: int, month: int, weekday: int, which: int) -> str:
    """The date of the `which`th weekday of a month.

    Raises:
        ValueError: there is no such day.
    """
    if not 1 <= month <= 12 or not 0 <= weekday <= 6 or not 1 <= abs(which) <= 5:
        raise ValueError("there is no such month, weekday or place in a month")
    first, length = monthrange(year, month)
    days = list(range(1 + (weekday - first) % 7, length + 1, 7))
    if abs(which) > len(days):
        raise ValueError("the month has four such days")
    day = days[which - 1] if which > 0 else days[which]
    return f"{year:04}-{month:02}-{day:02}"
