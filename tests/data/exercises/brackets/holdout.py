from random import Random


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [["\\"], ["(()"], ["[a](b){c}"]]
    for _ in range(40):
        made.append(["".join(random.choice("()[]{}a\\") for _ in range(random.randint(1, 8)))])
    return made
