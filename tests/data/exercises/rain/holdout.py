from collections.abc import Iterator
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    yield "rain:held", [[3, -1, 3]], ValueError
    for heights, width in (([1, 2], 3), ([1, 2], 0), ([-1, 2], 1)):
        yield "rain:wettest", [heights, width], ValueError
    for _ in range(30):
        heights = [random.randint(0, 6) for _ in range(random.randint(1, 12))]
        water = [min(max(heights[: at + 1]), max(heights[at:])) - wall for at, wall in enumerate(heights)]
        width = random.randint(1, len(heights))
        sums = [sum(water[at : at + width]) for at in range(len(heights) - width + 1)]
        yield "rain:held", [heights], sum(water)
        yield "rain:wettest", [heights, width], sums.index(max(sums))
