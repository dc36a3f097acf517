"""Time that is taken, and what is left of it."""


def merged(busy: list[list[int]]) -> list[list[int]]:
    """Spans of time, with those joined that overlap or touch.

    Raises:
        ValueError: one ends before it begins.
    """
    joined: list[list[int]] = []
    for begin, end in sorted(busy):
        if end < begin:
            raise ValueError(f"a span ends at {end}, before it begins")
        if joined and begin <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([begin, end])
    return joined


def free(busy: list[list[int]], begin: int, end: int, least: int) -> list[list[int]]:
    """The spans between `begin` and `end`, at least as long as `least`, in which nothing is busy.

    Raises:
        ValueError: a span ends before it begins, or the day does.
    """
    if end < begin:
        raise ValueError("the end comes before the beginning")
    left = []
    at = begin
    for taken, released in [*merged(busy), [end, end]]:
        stop = min(taken, end)
        if stop - at >= max(least, 1):
            left.append([at, stop])
        at = max(at, released)
    return left
