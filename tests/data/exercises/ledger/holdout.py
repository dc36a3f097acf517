from random import Random


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [[["a -> b"]], [["a -> a: 1"]], [["# nothing"]]]
    for _ in range(20):
        lines = []
        for _ in range(random.randint(1, 6)):
            payer, paid = random.sample(["till", "anna", "petty-cash", "bo"], 2)
            amount = random.choice(
                [f"{random.randint(1, 99)}", f"{random.randint(0, 9)}.{random.randint(1, 99):02}"]
            )
            lines.append(f"{payer} -> {paid}: {amount}")
        made.append([lines])
    return made
