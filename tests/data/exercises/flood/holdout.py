from collections.abc import Iterator
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    yield "flood:flooded", [[[1], [1, 2]], 0, 0, 1], ValueError
    yield "flood:flooded", [[], 0, 0, 1], ValueError
    for _ in range(30):
        height, width, level = random.randint(1, 6), random.randint(1, 6), random.randint(0, 4)
        heights = [[random.randint(-1, 3) for _ in range(width)] for _ in range(height)]
        row, column = random.randint(-1, height), random.randint(-1, width)
        low = {
            (down, right) for down in range(height) for right in range(width) if heights[down][right] < level
        }
        is_there = 0 <= row < height and 0 <= column < width
        many = len(reached(low, {(row, column)} & low))
        yield "flood:flooded", [heights, row, column, level], many if is_there else ValueError


def reached(low: set[tuple[int, int]], wet: set[tuple[int, int]]) -> set[tuple[int, int]]:
    more = {
        place
        for place in low
        if any(abs(place[0] - row) + abs(place[1] - column) <= 1 for row, column in wet)
    }
    return wet if more == wet else reached(low, more)
