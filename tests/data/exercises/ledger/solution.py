"""Transfers between accounts, and what comes of them."""

import re

NAME = r"([a-z][a-z-]*)"
TRANSFER = re.compile(rf"{NAME}\s*->\s*{NAME}\s*:\s*([0-9]+)(?:\.([0-9]{{2}}))?")


def balances(lines: list[str]) -> dict[str, int]:
    """What each account has in the end, in cents.

    Raises:
        ValueError: a line is no transfer.
    """
    held: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        written = line.partition("#")[0].strip()
        if not written:
            continue
        transfer = TRANSFER.fullmatch(written)
        if transfer is None or transfer[1] == transfer[2]:
            raise ValueError(f"line {number} is no transfer")
        cents = int(transfer[3]) * 100 + int(transfer[4] or 0)
        if cents == 0:
            raise ValueError(f"line {number} transfers nothing")
        held[transfer[1]] = held.get(transfer[1], 0) - cents
        held[transfer[2]] = held.get(transfer[2], 0) + cents
    return dict(sorted(held.items()))
