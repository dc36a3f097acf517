from random import Random


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [[-1, [1]], [4, [0, 2]], [7, [2, 4]]]
    for _ in range(20):
        made.append([random.randint(0, 90), random.sample(range(1, 30), random.randint(1, 4))])
    return made
