from collections.abc import Iterator
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    yield "gaps:free", [[[2, 1]], 0, 5, 1], ValueError
    yield "gaps:free", [[], 5, 4, 1], ValueError
    yield "gaps:merged", [[[2, 1]]], ValueError
    for _ in range(30):
        begins = random.sample(range(30), random.randint(0, 5))
        busy = [[begin, begin + random.randint(0, 6)] for begin in begins]
        begin, end, least = random.randint(0, 10), random.randint(10, 30), random.randint(0, 4)
        yield "gaps:free", [busy, begin, end, least], left(busy, begin, end, least)
        yield "gaps:merged", [busy], joined(busy)


def left(busy: list[list[int]], begin: int, end: int, least: int) -> list[list[int]]:
    spans: list[list[int]] = []
    for hour in range(begin, end):
        if any(first <= hour < last for first, last in busy):
            continue
        if spans and spans[-1][1] == hour and [hour, hour] not in busy:
            spans[-1][1] = hour + 1
        else:
            spans.append([hour, hour + 1])
    return [span for span in spans if span[1] - span[0] >= least]


def joined(busy: list[list[int]]) -> list[list[int]]:
    for one in busy:
        for other in busy:
            if one is not other and one[0] <= other[0] <= one[1]:
                rest = [span for span in busy if span is not one and span is not other]
                return joined([*rest, [one[0], max(one[1], other[1])]])
    return sorted(busy)
