from collections.abc import Iterator
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    for digits, source, target in (([2], 2, 10), ([1], 1, 10), ([1], 10, 1), ([-1, 1], 5, 10), ([0], 10, 0)):
        yield "bases:rebased", [digits, source, target], ValueError
    for _ in range(25):
        source, target = random.randint(2, 40), random.randint(2, 40)
        digits = [random.randrange(source) for _ in range(random.randint(0, 8))]
        number = sum(digit * source**power for power, digit in enumerate(reversed(digits)))
        yield "bases:rebased", [digits, source, target], written(number, target)


def written(number: int, base: int) -> list[int]:
    return [number] if number < base else [*written(number // base, base), number % base]
