from collections import Counter
from collections.abc import Iterator
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    yield "life:after", [["...", ".."], 1], ValueError
    yield "life:after", [["...", ". .", "..."], 1], ValueError
    yield "life:after", [["...", "...", "..."], -1], ValueError
    for _ in range(20):
        height, width, generations = random.randint(3, 7), random.randint(3, 7), random.randint(0, 4)
        living = {(row, column) for row in range(height) for column in range(width) if random.random() < 0.4}
        board = drawn(living, height, width)
        for _ in range(generations):
            near = Counter(
                ((row + down) % height, (column + right) % width)
                for row, column in living
                for down, right in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
            )
            living = {cell for cell in near if near[cell] == 3 or (near[cell] == 2 and cell in living)}
        yield "life:after", [board, generations], drawn(living, height, width)


def drawn(living: set[tuple[int, int]], height: int, width: int) -> list[str]:
    return ["".join(".#"[(row, column) in living] for column in range(width)) for row in range(height)]
