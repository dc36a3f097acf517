"""Water that rises over a map."""


def flooded(heights: list[list[int]], row: int, column: int, level: int) -> int:
    """How many places the water covers.

    Raises:
        ValueError: the rows differ in length, or the place is not on the map.
    """
    if len({len(line) for line in heights}) > 1:
        raise ValueError("all rows have to be of one length")
    if not (0 <= row < len(heights) and 0 <= column < len(heights[0])):
        raise ValueError("the place is not on the map")
    covered: set[tuple[int, int]] = set()
    reached = [(row, column)]
    while reached:
        down, right = reached.pop()
        if not (0 <= down < len(heights) and 0 <= right < len(heights[0])):
            continue
        if (down, right) in covered or heights[down][right] >= level:
            continue
        covered.add((down, right))
        reached += [(down - 1, right), (down + 1, right), (down, right - 1), (down, right + 1)]
    return len(covered)
