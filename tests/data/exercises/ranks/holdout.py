from random import Random


def cases(random: Random) -> list[list[object]]:
    return [
        [
            {
                name: random.randint(-2, 4)
                for name in random.sample(["ann", "bo", "cy", "di", "eve", "flo"], many)
            }
        ]
        for many in (0, 1, 2, 3, 4, 5, 6, 6, 6, 6)
    ]
