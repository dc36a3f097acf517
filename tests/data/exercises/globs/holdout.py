import re
from collections.abc import Iterator
from random import Random

PARTS = {
    "a": "a",
    "b": "b",
    ".": r"\.",
    "?": ".",
    "*": ".*",
    "[ab]": "[ab]",
    "[!a]": "[^a]",
    "[a-c]": r"[a\-c]",
}


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    for pattern in ("[", "[]", "[!]", "a[b", "*[]"):
        yield "globs:matches", [pattern, "a"], ValueError
    for _ in range(80):
        parts = random.choices(list(PARTS), k=random.randint(0, 5))
        text = "".join(random.choice("abc-.") for _ in range(random.randint(0, 5)))
        matched = re.fullmatch("".join(PARTS[part] for part in parts), text)
        yield "globs:matches", ["".join(parts), text], matched is not None
