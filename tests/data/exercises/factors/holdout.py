from collections.abc import Iterator
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    for number in (0, -4):
        yield "factors:factors", [number], ValueError
        yield "factors:divisors", [number], ValueError
    for _ in range(15):
        number, primes = 1, list[int]()
        for prime in random.choices([2, 3, 5, 7, 31, 101], k=random.randint(0, 5)):
            number *= prime
            primes.append(prime)
        yield "factors:factors", [number], [[prime, primes.count(prime)] for prime in sorted(set(primes))]
        small = random.randint(1, 400)
        yield "factors:divisors", [small], [one for one in range(1, small + 1) if small % one == 0]
