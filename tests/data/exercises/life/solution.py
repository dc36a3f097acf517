"""The game of life, on a board without edges."""

AROUND = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]


def after(rows: list[str], generations: int) -> list[str]:
    """The board after so many generations.

    Raises:
        ValueError: it is no board, or the number is negative.
    """
    if generations < 0:
        raise ValueError("no generation comes before the first")
    if len({len(row) for row in rows}) > 1 or not set("".join(rows)) <= {"#", "."}:
        raise ValueError("a board is rows of one length, of # and .")
    for _ in range(generations):
        rows = [
            "".join("#" if lives(rows, row, column) else "." for column in range(len(rows[0])))
            for row in range(len(rows))
        ]
    return list(rows)


def lives(rows: list[str], row: int, column: int) -> bool:
    """Whether there is life at a place in the next generation."""
    near = sum(
        rows[(row + down) % len(rows)][(column + right) % len(rows[0])] == "#" for down, right in AROUND
    )
    return near == 3 or (near == 2 and rows[row][column] == "#")
