"""Text in lines of a width."""


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a text, none longer than `width`.

    Raises:
        ValueError: the width is below 1.
    """
    if width < 1:
        raise ValueError("a line is at least one character wide")
    lines: list[str] = []
    room = 0
    for word in text.split():
        if len(word) < room:
            lines[-1] += f" {word}"
            room -= len(word) + 1
            continue
        pieces = [word[at : at + width] for at in range(0, len(word), width)]
        lines += pieces
        room = width - len(pieces[-1])
    return lines
