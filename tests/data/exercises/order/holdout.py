from collections.abc import Iterator
from itertools import permutations
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    yield "order:ordered", [{"a": ["a"]}], ValueError
    for _ in range(25):
        names = random.sample("abcdef", random.randint(0, 5))
        needs = {name: random.sample(names, random.randint(0, min(2, len(names)))) for name in names}
        yield "order:ordered", [needs], next(right(needs, names), ValueError)


def right(needs: dict[str, list[str]], names: list[str]) -> Iterator[list[str]]:
    for way in permutations(sorted(names)):
        if all(way.index(need) < way.index(name) for name in names for need in needs[name]):
            yield list(way)
