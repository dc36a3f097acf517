from collections.abc import Iterator
from datetime import date, timedelta
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    for month, weekday, which in ((0, 1, 1), (13, 1, 1), (5, 7, 1), (5, -1, 1), (5, 1, 0), (5, 1, 6)):
        yield "weekdays:meeting", [2026, month, weekday, which], ValueError
    for _ in range(60):
        year, month, weekday = random.randint(1900, 2100), random.randint(1, 12), random.randint(0, 6)
        which = random.choice([-5, -2, -1, 1, 2, 4, 5])
        day = date(year, month, 1)
        month_long = [day + timedelta(days=after) for after in range(31)]
        days = [str(day) for day in month_long if day.month == month and day.weekday() == weekday]
        right = dict(zip(range(1, 6), days, strict=False)) | dict(
            zip(range(-1, -6, -1), days[::-1], strict=False)
        )
        yield "weekdays:meeting", [year, month, weekday, which], right.get(which, ValueError)
