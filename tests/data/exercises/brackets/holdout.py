import re
from collections.abc import Iterator
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    for _ in range(60):
        text = "".join(random.choice("()[]{}a\\") for _ in range(random.randint(0, 8)))
        yield "brackets:fault", [text], right(text)


def right(text: str) -> int:
    bare = re.sub(r"\\.", "  ", text)
    for end in range(len(bare) + 1):
        left = reduced([(index, one) for index, one in enumerate(bare[:end]) if one in "()[]{}"])
        if any(one in ")]}" for _, one in left):
            return end - 1
    return left[-1][0] if left else -1


def reduced(rest: list[tuple[int, str]]) -> list[tuple[int, str]]:
    for at in range(len(rest) - 1):
        if rest[at][1] + rest[at + 1][1] in ("()", "[]", "{}"):
            return reduced(rest[:at] + rest[at + 2 :])
    return rest
