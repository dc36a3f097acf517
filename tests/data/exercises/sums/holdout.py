from collections.abc import Iterator
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    for text in ("1 / 0", "(3", "3)", "2 2", "+2", "", "1 - - -1", "4 *", "a"):
        yield "sums:value", [text], ValueError
    for _ in range(40):
        text, value = made(random, random.randint(0, 4))
        yield "sums:value", [text], ValueError if value is None else value


def made(random: Random, depth: int) -> tuple[str, int | None]:
    """A sum with brackets around each part, and what it comes to: None after a division by zero."""
    if depth == 0:
        number = random.randint(0, 9)
        return str(number), number
    (left, first), (right, second) = made(random, depth - 1), made(random, random.randrange(depth))
    sign = random.choice("+-*/~")
    blank = random.choice(["", " "])
    if sign == "~":
        return f"(-({left}))", None if first is None else -first
    text = f"({left}{blank}{sign}{blank}{right})"
    if first is None or second is None or (sign == "/" and second == 0):
        return text, None
    if sign == "/":
        rest = abs(first) % abs(second) * (1 if first > 0 else -1)
        return text, (first - rest) // second
    return text, {"+": first + second, "-": first - second, "*": first * second}[sign]
