from random import Random


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [["[", "a"], ["[!]", "a"], ["x*", "ax"]]
    for _ in range(50):
        parts = [
            random.choice(["a", "b", "?", "*", "[ab]", "[!a]", "[-c]"]) for _ in range(random.randint(0, 5))
        ]
        made.append(["".join(parts), "".join(random.choice("abc-") for _ in range(random.randint(0, 5)))])
    return made
