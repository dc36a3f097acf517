"""What numbers are made of."""


def factors(number: int) -> list[list[int]]:
    """Primes and how often they occur, ascending.

    Raises:
        ValueError: the number is below 1.
    """
    if number < 1:
        raise ValueError("only numbers from 1 are made of primes")
    found = []
    prime = 2
    while prime * prime <= number:
        times = 0
        while number % prime == 0:
            number //= prime
            times += 1
        if times:
            found.append([prime, times])
        prime += 1
    if number > 1:
        found.append([number, 1])
    return found


def divisors(number: int) -> list[int]:
    """All that divides a number, ascending.

    Raises:
        ValueError: the number is below 1.
    """
    found = [1]
    for prime, times in factors(number):
        found = [small * prime**power for small in found for power in range(times + 1)]
    return sorted(found)
