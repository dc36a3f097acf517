from random import Random


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [["1 / 0"], ["(3"], ["-(2)"], ["2 2"]]
    for _ in range(30):
        text = str(random.randint(0, 20))
        for _ in range(random.randint(1, 5)):
            text = random.choice(
                [f"({text})", f"-({text})", f"{text} {random.choice('+-*/')} {random.randint(0, 9)}"]
            )
        made.append([text])
    return made
