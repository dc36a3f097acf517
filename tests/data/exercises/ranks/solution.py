"""The table of a competition."""


def ranked(points: dict[str, int]) -> list[list[str | int]]:
    """Rank, name and points, the best first; equal points share a rank."""
    table: list[list[str | int]] = []
    rank = 0
    before: int | None = None
    for place, name in enumerate(sorted(points, key=lambda name: (-points[name], name)), start=1):
        if points[name] != before:
            rank = place
        table.append([rank, name, points[name]])
        before = points[name]
    return table
