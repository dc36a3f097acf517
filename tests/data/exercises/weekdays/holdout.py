from random import Random


def cases(random: Random) -> list[list[object]]:
    return [
        [random.randint(1900, 2100), random.randint(0, 13), random.randint(-1, 7), random.randint(-6, 6)]
        for _ in range(60)
    ]
