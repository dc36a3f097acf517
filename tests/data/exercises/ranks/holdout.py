from collections.abc import Iterator
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    for _ in range(15):
        names = random.sample(["ann", "bo", "cy", "di", "eve", "flo"], random.randint(0, 6))
        points = {name: random.randint(-2, 4) for name in names}
        rows = [[1 + sum(more > won for more in points.values()), name, won] for name, won in points.items()]
        yield "ranks:ranked", [points], sorted(rows)
