from random import Random


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [[[[1], [1, 2]], 0, 0, 1], [[], 0, 0, 1]]
    for _ in range(30):
        height, width = random.randint(1, 6), random.randint(1, 6)
        heights = [[random.randint(-1, 3) for _ in range(width)] for _ in range(height)]
        made.append([heights, random.randint(-1, height), random.randrange(width), random.randint(0, 4)])
    return made
