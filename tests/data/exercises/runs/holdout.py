from random import Random

FUNCTION = "pack"


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [[""], ["\\"], ["0" * 11]]
    for _ in range(20):
        made.append(["".join(random.choice("ab7\\ ") * random.randint(1, 12) for _ in range(6))])
    return made
