"""Texts that look as a pattern says."""


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text is what the pattern describes.

    Raises:
        ValueError: a bracket is not closed, or has nothing in it.
    """
    possible = {0}
    for part in _parts(pattern):
        if part == "*":
            possible = set(range(min(possible), len(text) + 1)) if possible else set()
        else:
            possible = {at + 1 for at in possible if at < len(text) and _one(part, text[at])}
    return len(text) in possible


def _parts(pattern: str) -> list[str]:
    parts = []
    at = 0
    while at < len(pattern):
        end = at + 1
        if pattern[at] == "[":
            end = pattern.find("]", at) + 1
            if end == 0 or pattern[at + 1 : end - 1] in ("", "!"):
                raise ValueError(f"a bracket is not closed or empty: {pattern[at:]!r}")
        parts.append(pattern[at:end])
        at = end
    return parts


def _one(part: str, character: str) -> bool:
    if part.startswith("[!"):
        return character not in part[2:-1]
    if part.startswith("["):
        return character in part[1:-1]
    return part in ("?", character)
