"""Sums, worked out."""

import re

PARTS = re.compile(r"\s*([0-9]+|[-+*/()])\s*")


def value(text: str) -> int:
    """What a sum comes to.

    Raises:
        ValueError: it is no sum, or divides by zero.
    """
    parts: list[str] = []
    at = 0
    while at < len(text):
        part = PARTS.match(text, at)
        if part is None:
            raise ValueError(f"no part of a sum: {text[at:]!r}")
        parts.append(part[1])
        at = part.end()
    found = _sum(parts)
    if parts:
        raise ValueError(f"too much: {' '.join(parts)}")
    return found


def _sum(parts: list[str]) -> int:
    found = _product(parts)
    while parts and parts[0] in "+-":
        sign = parts.pop(0)
        right = _product(parts)
        found = found + right if sign == "+" else found - right
    return found


def _product(parts: list[str]) -> int:
    found = _single(parts)
    while parts and parts[0] in "*/":
        sign = parts.pop(0)
        right = _single(parts)
        found = found * right if sign == "*" else _quotient(found, right)
    return found


def _quotient(left: int, right: int) -> int:
    if right == 0:
        raise ValueError("division by zero")
    whole = abs(left) // abs(right)
    return whole if (left < 0) == (right < 0) else -whole


def _single(parts: list[str]) -> int:
    negative = bool(parts) and parts[0] == "-"
    if negative:
        parts.pop(0)
    if not parts:
        raise ValueError("the sum ends too early")
    part = parts.pop(0)
    if part.isdigit():
        found = int(part)
    elif part == "(":
        found = _sum(parts)
        if not parts or parts.pop(0) != ")":
            raise ValueError("a bracket is not closed")
    else:
        raise ValueError(f"{part} is out of place")
    return -found if negative else found
