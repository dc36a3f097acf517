"""Tables, walked round from outside inwards."""


def wind(height: int, width: int) -> list[list[int]]:
    """A table with the numbers from 1, in a spiral.

    Raises:
        ValueError: a size is negative.
    """
    if height < 0 or width < 0:
        raise ValueError("a table has no negative size")
    places = walk([[row * width + column for column in range(width)] for row in range(height)])
    table = [[0] * width for _ in range(height)]
    for number, place in enumerate(places, start=1):
        table[place // width][place % width] = number
    return table


def walk(table: list[list[int]]) -> list[int]:
    """What a table holds, in the order of a spiral.

    Raises:
        ValueError: its rows differ in length.
    """
    if len({len(row) for row in table}) > 1:
        raise ValueError("all rows have to be of one length")
    walked: list[int] = []
    rest = [list(row) for row in table]
    while rest:
        walked += rest.pop(0)
        rest = [list(column) for column in zip(*rest, strict=True)][::-1]
    return walked
