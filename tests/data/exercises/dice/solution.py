"""What a throw of five dice counts."""

from collections import Counter

NUMBERS = ["ones", "twos", "threes", "fours", "fives", "sixes"]
EQUAL = {"pair": 2, "triple": 3, "four": 4}


def score(throw: list[int], row: str) -> int:
    """What a throw counts in a row of the sheet.

    Raises:
        ValueError: that is no throw, or no row.
    """
    if len(throw) != 5 or any(die < 1 or die > 6 for die in throw):
        raise ValueError("a throw is five dice")
    counts = Counter(throw)
    if row in NUMBERS:
        number = NUMBERS.index(row) + 1
        return counts[number] * number
    if row in EQUAL:
        return max((die for die in counts if counts[die] >= EQUAL[row]), default=0) * EQUAL[row]
    if row == "house":
        return sum(throw) if sorted(counts.values()) == [2, 3] else 0
    if row == "low":
        return 15 if set(throw) == {1, 2, 3, 4, 5} else 0
    if row == "high":
        return 20 if set(throw) == {2, 3, 4, 5, 6} else 0
    if row == "all":
        return 50 if len(counts) == 1 else 0
    if row == "chance":
        return sum(throw)
    raise ValueError(f"the sheet has no row {row!r}")
