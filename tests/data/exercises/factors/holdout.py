from random import Random

FUNCTION = "factors"


def cases(random: Random) -> list[list[object]]:
    return [[0], [1], [-4], [961]] + [[random.randint(2, 5000)] for _ in range(30)]
