from random import Random

FUNCTION = "compare"


def cases(random: Random) -> list[list[object]]:
    def version() -> str:
        numbers = ".".join(str(random.choice([0, 1, 2, 10])) for _ in range(random.randint(1, 4)))
        return numbers + random.choice(["", "", "-rc", "-rc2", "-rc10", "-beta"])

    return [["1.2.3.4.5", "1"], ["1", "01"], ["1", "1.0"]] + [[version(), version()] for _ in range(40)]
