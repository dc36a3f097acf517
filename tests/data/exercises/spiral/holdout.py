from random import Random

FUNCTION = "wind"


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [[0, 0], [-1, 3], [3, -2], [4, 0]]
    return made + [[random.randint(1, 7), random.randint(1, 7)] for _ in range(15)]
