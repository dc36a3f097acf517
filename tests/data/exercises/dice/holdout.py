from collections.abc import Iterator
from random import Random

NUMBERS = "ones twos threes fours fives sixes".split()
ROWS = [*NUMBERS, *"pair triple four house low high all chance".split()]


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    for throw, row in (
        ([1, 2, 3, 4], "ones"),
        ([1, 2, 3, 4, 7], "all"),
        ([0, 2, 3, 4, 5], "all"),
        ([1] * 5, "none"),
    ):
        yield "dice:score", [throw, row], ValueError
    for row in ROWS:
        for dice in ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6], [2, 5], [4]):
            throw = random.choices(dice, k=5)
            yield "dice:score", [throw, row], right(sorted(throw), row)
        for dice in ([1, 2, 3, 4, 5], [2, 3, 4, 5, 6], [3, 3, 3, 6, 6], [5, 5, 5, 5, 1]):
            yield "dice:score", [random.sample(dice, 5), row], right(dice, row)


def right(throw: list[int], row: str) -> int:
    if row in NUMBERS:
        return sum(die for die in throw if NUMBERS[die - 1] == row)
    most = {many: max([die for die in throw if throw.count(die) >= many], default=0) for many in (2, 3, 4, 5)}
    return {
        "pair": most[2] * 2,
        "triple": most[3] * 3,
        "four": most[4] * 4,
        "house": sum(throw) if most[3] and not most[4] and len(set(throw)) == 2 else 0,
        "low": 15 * (sorted(throw) == [1, 2, 3, 4, 5]),
        "high": 20 * (sorted(throw) == [2, 3, 4, 5, 6]),
        "all": 50 * (most[5] > 0),
        "chance": sum(throw),
    }[row]
