from collections.abc import Iterator
from random import Random

WRONG = [
    "a -> b",
    "a -> a: 1",
    "a -> b: 0",
    "a - > b: 1",
    "a -> b: 1.234",
    "a -> b: 1,00",
    "a -> B: 1",
    "a -> 1: 1",
]


def cases(random: Random) -> Iterator[tuple[object, ...]]:
    for line in WRONG:
        yield "ledger:balances", [["x -> y: 1", line]], ValueError
    for _ in range(20):
        lines, held = [], dict[str, int]()
        for _ in range(random.randint(0, 6)):
            payer, paid = random.sample(["till", "anna", "petty-cash", "bo"], 2)
            cents = random.choice([random.randint(1, 999), random.randint(1, 9) * 100])
            amount = f"{cents // 100}.{cents % 100:02}" if cents % 100 else str(cents // 100)
            blank = random.choice(["", " ", "  "])
            lines += [
                f"{blank}{payer}{blank}->{blank}{paid}{blank}:{blank}{amount}",
                random.choice(["", "# a -> b"]),
            ]
            held[payer] = held.get(payer, 0) - cents
            held[paid] = held.get(paid, 0) + cents
        yield "ledger:balances", [lines], held
