"""Names that probably mean the same: spelled alike, or one a part of the other. Pure.

The one rule: probable is not certain. Nothing is merged by what is found here; somebody is asked.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations

COMMON = 20
"""A word that more names share than this tells nothing about any two of them."""

_WORD = re.compile(r"\w+")


def alike(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of different names, each pair once: the same but for case, accents, blanks and punctuation, or
    all words of one among those of the other ("Ann", "Ann Lee")."""
    words = {name: _words(name) for name in names}
    sharing: dict[str, list[str]] = defaultdict(list)
    for name, own in words.items():
        for key in {*own, "".join(own)} - {""}:
            sharing[key].append(name)
    met: set[tuple[str, str]] = set()
    for group in sharing.values():
        if len(group) > COMMON:
            continue
        for one, other in combinations(group, 2):
            if (one, other) not in met and _related(words[one], words[other]):
                met.add((one, other))
                yield one, other


def _related(one: list[str], other: list[str]) -> bool:
    return "".join(one) == "".join(other) or set(one) <= set(other) or set(other) <= set(one)


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name).casefold()
    return _WORD.findall("".join(letter for letter in plain if not unicodedata.combining(letter)))
