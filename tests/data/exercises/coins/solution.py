"""Paying with as few coins as possible."""


def fewest(amount: int, kinds: list[int]) -> list[int]:
    """The fewest coins that make the amount, ascending.

    Raises:
        ValueError: the amount is negative, a coin is worth nothing, or there is no way.
    """
    if amount < 0:
        raise ValueError("an amount is at least 0")
    if any(kind < 1 for kind in kinds):
        raise ValueError("a coin is worth at least 1")
    best: list[list[int] | None] = [[]]
    for total in range(1, amount + 1):
        ways = []
        for kind in kinds:
            rest = best[total - kind] if kind <= total else None
            if rest is not None:
                ways.append(sorted([*rest, kind], reverse=True))
        best.append(min(ways, key=lambda way: (len(way), [-coin for coin in way])) if ways else None)
    found = best[amount]
    if found is None:
        raise ValueError(f"{amount} cannot be paid with {kinds}")
    return found[::-1]
