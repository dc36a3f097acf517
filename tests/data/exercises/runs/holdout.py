from collections.abc import Iterator
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    for packed in ("3", "a\\", "\\a", "1a", "0b", "03c", "2\\x"):
        yield "runs:unpack", [packed], ValueError
    for _ in range(15):
        text = packed = before = ""
        for _ in range(random.randint(0, 6)):
            character, times = (
                random.choice([one for one in "ab7\\ \n" if one != before]),
                random.randint(1, 12),
            )
            text += character * times
            packed += (str(times) if times > 1 else "") + {"7": "\\7", "\\": "\\\\"}.get(character, character)
            before = character
        yield "runs:pack", [text], packed
        yield "runs:unpack", [packed], text
