from random import Random

FUNCTION = "wettest"


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [[[1, 2], 3], [[1, 2], 0], [[-1, 2], 1]]
    for _ in range(30):
        heights = [random.randint(0, 6) for _ in range(random.randint(1, 12))]
        made.append([heights, random.randint(1, len(heights))])
    return made
