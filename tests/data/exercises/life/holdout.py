from random import Random


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [[["..", "."], 1], [["...", "...", "..."], -1]]
    for _ in range(20):
        width = random.randint(3, 7)
        rows = ["".join(random.choice("#..") for _ in range(width)) for _ in range(random.randint(3, 7))]
        made.append([rows, random.randint(0, 4)])
    return made
