"""Brackets that are closed, or not."""

PAIRS = {")": "(", "]": "[", "}": "{"}


def fault(text: str) -> int:
    """The index of the first bracket that is wrong, or -1."""
    opened: list[int] = []
    escaped = False
    for index, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character in PAIRS.values():
            opened.append(index)
        elif character in PAIRS and (not opened or text[opened.pop()] != PAIRS[character]):
            return index
    return opened[-1] if opened else -1
