from random import Random


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [[[], 2, 3], [[2], 2, 10], [[1], 1, 10], [[1], 10, 1], [[-1, 1], 5, 10]]
    for _ in range(25):
        source = random.randint(2, 40)
        digits = [random.randrange(source) for _ in range(random.randint(1, 8))]
        made.append([digits, source, random.randint(2, 40)])
    return made
