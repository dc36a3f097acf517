from random import Random


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [["", 3], ["a", 0]]
    for _ in range(30):
        words = [
            "".join(random.choice("abc") for _ in range(random.randint(1, 9)))
            for _ in range(random.randint(1, 9))
        ]
        made.append([random.choice([" ", "  ", "\n"]).join(words), random.randint(1, 12)])
    return made
