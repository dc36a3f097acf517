"""Masking: secrets and personal data that are taken out of a text before it is kept.

The one rule: only what its shape or its check digits tell apart is masked, and whoever told it is told so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from pygent_shared.shapes import SHAPES

Masked = Literal["off", "secrets", "all"]

_CARD = re.compile(r"(?<![\w.-])[2-6](?:[ -]?\d){12,18}(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_PHONE = re.compile(
    r"(?<![\w+.-])(?:\+\d{1,3}[ ./-]?(?:\(\d{1,4}\)[ ./-]?)?(?:\d[ ./-]?){5,12}\d"
    r"|(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}"
    r"|0\d{1,4}[ /-]\d{5,10})(?![\w-])"
)


@dataclass(frozen=True)
class _Kind:
    """A kind of number or name, and what finds the parts of a match that are one."""

    name: str
    marker: re.Pattern[str]
    pattern: re.Pattern[str]
    sure: Callable[[str], str] = str
    """The beginning of a match that is one; "" where none is."""


def luhn(number: str) -> bool:
    """Whether the last digit checks the others, as a payment card's does (ISO/IEC 7812-1)."""
    digits = [int(digit) for digit in reversed(number) if digit.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def iban(text: str) -> str:
    """The beginning of a text that is an IBAN, its check digits right (ISO 13616); "" where none is."""
    while text:
        compact = text.replace(" ", "")
        moved = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
        if len(compact) >= 15 and int(moved) % 97 == 1:
            return text
        text = text.rpartition(" ")[0]
    return ""


_DIGIT, _AT = re.compile(r"\d"), re.compile("@")
_CARDS = _Kind("card number", _DIGIT, _CARD, lambda text: text if luhn(text) else "")
_PERSONAL = (
    _Kind("IBAN", _DIGIT, _IBAN, iban),
    _Kind("e-mail address", _AT, _EMAIL),
    _Kind("phone number", _DIGIT, _PHONE),
)


class Mask:
    """Takes out of texts what the setting says.

    Args:
        what: "secrets" are keys, tokens, passwords in URLs and card numbers; "all" also e-mail addresses,
            phone numbers and IBANs.
    """

    def __init__(self, what: Masked = "off") -> None:
        self._secrets = what != "off"
        self._kinds = {"off": (), "secrets": (_CARDS,), "all": (_CARDS, *_PERSONAL)}[what]

    def masked(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The text without them, and the kinds that were in it, each once."""
        found: list[str] = []
        if self._secrets:
            for shape in SHAPES:
                text, count = shape.hide(text, f"[masked: {shape.name}]")
                found += [shape.name] * bool(count)
        for kind in self._kinds:
            if kind.marker.search(text):
                parts = list(_parts(kind, text))
                found += [kind.name] * (len(parts) > 1)
                text = f"[masked: {kind.name}]".join(parts)
        return text, tuple(dict.fromkeys(found))


def _parts(kind: _Kind, text: str) -> Iterator[str]:
    """What stands before, between and after those of a kind."""
    start = 0
    for match in kind.pattern.finditer(text):
        if sure := kind.sure(match[0]):
            yield text[start : match.start()]
            start = match.start() + len(sure)
    yield text[start:]
