from random import Random

FUNCTION = "free"


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [[[[2, 1]], 0, 5, 1], [[], 5, 4, 1]]
    for _ in range(30):
        busy = [
            [begin, begin + random.randint(0, 6)] for begin in random.sample(range(30), random.randint(0, 5))
        ]
        made.append([busy, random.randint(0, 10), random.randint(10, 30), random.randint(0, 4)])
    return made
