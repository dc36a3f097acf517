from random import Random

ROWS = "ones twos threes fours fives sixes pair triple four house low high all chance".split()


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [[[1, 2, 3, 4], "ones"], [[1, 2, 3, 4, 7], "all"], [[1, 2, 3, 4, 5], "none"]]
    for row in ROWS:
        made += [
            [[random.randint(1, 6) for _ in range(5)], row],
            [[random.randint(1, 2) for _ in range(5)], row],
        ]
        made.append(
            [random.sample(random.choice([[1, 2, 3, 4, 5], [2, 3, 4, 5, 6], [4, 4, 4, 4, 4]]), 5), row]
        )
    return made
