from collections.abc import Iterator
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    yield "spiral:wind", [-1, 3], ValueError
    yield "spiral:wind", [3, -1], ValueError
    yield "spiral:walk", [[[1], [2, 3]]], ValueError
    for _ in range(15):
        height, width = random.randint(0, 7), random.randint(1, 7)
        way = steps(height, width)
        table = [[way.index((row, column)) + 1 for column in range(width)] for row in range(height)]
        yield "spiral:wind", [height, width], table
        other = [[random.randint(-9, 9) for _ in range(width)] for _ in range(height)]
        yield "spiral:walk", [other], [other[row][column] for row, column in way]


def steps(height: int, width: int) -> list[tuple[int, int]]:
    way: list[tuple[int, int]] = []
    row, column, down, right = 0, 0, 0, 1
    while len(way) < height * width:
        way.append((row, column))
        ahead = row + down, column + right
        if not (0 <= ahead[0] < height and 0 <= ahead[1] < width) or ahead in way:
            down, right = right, -down
        row, column = row + down, column + right
    return way
