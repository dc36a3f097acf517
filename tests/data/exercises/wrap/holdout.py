from collections.abc import Iterator
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    yield "wrap:wrapped", ["a", 0], ValueError
    yield "wrap:wrapped", ["", -1], ValueError
    for _ in range(40):
        many = random.randint(0, 9)
        words = ["".join(random.choice("abc") for _ in range(random.randint(1, 9))) for _ in range(many)]
        width = random.randint(1, 12)
        text = random.choice([" ", "  ", "\n"]).join(words)
        yield "wrap:wrapped", [text, width], list(lines(" ".join(words), width))


def lines(rest: str, width: int) -> Iterator[str]:
    while len(rest) > width:
        blank = rest.rfind(" ", 0, width + 1)
        yield rest[:width] if blank < 0 else rest[:blank]
        rest = rest[width:] if blank < 0 else rest[blank + 1 :]
    if rest:
        yield rest
