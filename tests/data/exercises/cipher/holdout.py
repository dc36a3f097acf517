from collections.abc import Iterator
from random import Random


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    for key in ("", "B", "a1", "a b"):
        yield "cipher:hide", ["a", key], ValueError
        yield "cipher:show", ["a", key], ValueError
    for _ in range(20):
        text = "".join(random.choice("abyzABYZ ,.1é") for _ in range(random.randint(0, 25)))
        key = "".join(random.choice("abcxyz") for _ in range(random.randint(1, 5)))
        hidden, used = "", 0
        for one in text:
            if "a" <= one <= "z" or "A" <= one <= "Z":
                first = ord("a") if one >= "a" else ord("A")
                one = chr((ord(one) - first + ord(key[used % len(key)]) - ord("a")) % 26 + first)
                used += 1
            hidden += one
        yield "cipher:hide", [text, key], hidden
        yield "cipher:show", [hidden, key], text
