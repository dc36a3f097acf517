from random import Random

FUNCTION = "hide"


def cases(random: Random) -> list[list[object]]:
    made: list[list[object]] = [["a", ""], ["a", "B"]]
    for _ in range(20):
        text = "".join(random.choice("abyzABYZ ,.1é") for _ in range(random.randint(0, 25)))
        made.append([text, "".join(random.choice("abcxyz") for _ in range(random.randint(1, 5)))])
    return made
