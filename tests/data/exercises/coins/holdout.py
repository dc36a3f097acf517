from collections.abc import Iterator
from itertools import combinations_with_replacement
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    yield "coins:fewest", [-1, [1]], ValueError
    yield "coins:fewest", [4, [0, 2]], ValueError
    for _ in range(20):
        amount, kinds = random.randint(0, 25), random.sample(range(1, 12), random.randint(1, 3))
        yield "coins:fewest", [amount, kinds], right(amount, kinds) or ValueError if amount else []


def right(amount: int, kinds: list[int]) -> list[int]:
    for many in range(amount + 1):
        ways = combinations_with_replacement(sorted(kinds, reverse=True), many)
        if found := [way for way in ways if sum(way) == amount]:
            return sorted(max(found))
    return []
