from random import Random


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [[{}], [{"a": ["a"]}], [{"a": ["b"], "b": ["a"]}]]
    for _ in range(25):
        names = random.sample("abcdefgh", random.randint(1, 8))
        made.append(
            [{name: random.sample(names[:at], random.randint(0, at)) for at, name in enumerate(names)}]
        )
    return made
