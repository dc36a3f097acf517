from collections.abc import Iterator
from random import Random

NAMES = ["-alpha", "-beta", "-beta2", "-beta10", "-rc", "-rc1", ""]
"""From the oldest to the newest."""


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    for text in ("1.2.3.4.5", "01", "1..2", "1-", "1-RC", "-rc"):
        yield "versions:compare", [text, "1"], ValueError
        yield "versions:newest", [["1", text]], ValueError
    yield "versions:newest", [[]], ValueError
    for _ in range(40):
        numbers = [random.choice([0, 1, 2, 10]) for _ in range(random.randint(1, 4))]
        others = random.choice([numbers, [*numbers, 0][:4], [*numbers[:-1], random.choice([1, 3, 9])]])
        (left, first), (right, second) = named(numbers, random), named(others, random)
        yield "versions:compare", [left, right], (first > second) - (first < second)
        yield "versions:newest", [[left, right]], right if second > first else left


def named(numbers: list[int], random: Random) -> tuple[str, int]:
    """A version, and a number that is larger for a newer one."""
    name = random.choice(NAMES)
    order = 0
    for number in [*numbers, 0, 0, 0][:4]:
        order = order * 100 + number
    return ".".join(map(str, numbers)) + name, order * 100 + NAMES.index(name)
