"""Water that stands between walls."""

from itertools import accumulate


def held(heights: list[int]) -> int:
    """How much water stands between the walls.

    Raises:
        ValueError: a height is negative.
    """
    return sum(_depths(heights))


def wettest(heights: list[int], width: int) -> int:
    """Where the `width` walls begin that hold the most.

    Raises:
        ValueError: a height is negative, or there are not so many walls.
    """
    if not 1 <= width <= len(heights):
        raise ValueError(f"there are {len(heights)} walls")
    depths = _depths(heights)
    return max(range(len(depths) - width + 1), key=lambda at: sum(depths[at : at + width]))


def _depths(heights: list[int]) -> list[int]:
    if any(height < 0 for height in heights):
        raise ValueError("a wall has no negative height")
    left = accumulate(heights, max)
    right = list(accumulate(reversed(heights), max))[::-1]
    return [min(walls) - height for *walls, height in zip(left, right, heights, strict=True)]
