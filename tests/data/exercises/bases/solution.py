"""Numbers as digits, in any base."""


def rebased(digits: list[int], source: int, target: int) -> list[int]:
    """The digits of a number in another base.

    Raises:
        ValueError: a base is below 2, or has no such digit.
    """
    if source < 2 or target < 2:
        raise ValueError("a base is at least 2")
    if any(digit < 0 or digit >= source for digit in digits):
        raise ValueError(f"a digit in base {source} is below it, and not negative")
    number = 0
    for digit in digits:
        number = number * source + digit
    found = [number % target]
    while number >= target:
        number //= target
        found.append(number % target)
    return found[::-1]
