"""How well each tool fits a query. Pure.

Both legs are absolute, from 0 to 1, so that scores of different queries can be compared with one floor, and
"nothing fits" can be said. The lexical leg is BM25 (Robertson and Zaragoza 2009) divided by the most it
could be for that query; the dense leg is the cosine. That is the theoretical min-max of Bruch, Gai and Ingber
("An Analysis of Fusion Functions for Hybrid Retrieval", TOIS 2023). Scaling each leg by the lowest and
highest score of the query at hand would call the best of any answers 1, and was measured no better: recall@5
0.85 by both on mcpproxy's queries (recall@1 0.57 against 0.63), 0.75 against 0.77 on LiveMCPBench's steps
(2026-11-21, `tests/benchmarks/toolsearch.py`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pygent_shared.fulltext import STOP_WORDS

LEXICAL, DENSE = 0.3, 0.7
FLOORS = {"hybrid": 0.22, "lexical": 0.05}
"""The least score that fits, by what the ranking had to go by. 0.22 is what twenty requests that no tool of
mcpproxy's set serves stay under; the scores of a lexical ranking are lower throughout."""

# BM25's usual saturation of repeats, and normalisation by length.
_K1, _B = 1.2, 0.75

_SENTENCE_END = re.compile(r"(?<=[.!?。])\s|\n")
_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# A letter of a script that does not part words; a run of other letters; a number.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+|\d+")
_JOINT = re.compile(r"[\W_]+")
_ENDINGS = (("ies", "y"), ("ied", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""))
_SHORTEST_STEM = 3


@dataclass(frozen=True, kw_only=True)
class Tool:
    """What of a tool counts in a search."""

    shown: str
    """The name that hosts call it by."""
    name: str
    """The name that its server gave it."""
    server: str
    description: str = ""

    @property
    def summary(self) -> str:
        """The description's first sentence."""
        return _SENTENCE_END.split(self.description.strip(), maxsplit=1)[0].strip()

    @property
    def text(self) -> str:
        """What is embedded: longer descriptions mostly say when to use a tool and blur what it does."""
        return f"{_spelled_out(self.name)}: {self.summary} ({_spelled_out(self.server)})"


class Lexicon:
    """The words of some tools (of name, whole description and server), ready to be searched."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._counts = {
            tool.shown: Counter(words(f"{tool.name} {tool.description} {tool.server}")) for tool in tools
        }
        lengths = {shown: sum(counts.values()) for shown, counts in self._counts.items()}
        mean = sum(lengths.values()) / len(lengths) if lengths else 0.0
        self._damping = {
            shown: _K1 * (1 - _B + _B * length / mean) if mean else _K1 for shown, length in lengths.items()
        }
        self._holders: dict[str, list[str]] = {}
        for shown, counts in self._counts.items():
            for word in counts:
                self._holders.setdefault(word, []).append(shown)

    def scores(self, query: str) -> dict[str, float]:
        """The tools that hold a word of the query, with their share (0 to 1) of the most BM25 can give."""
        found: dict[str, float] = {}
        most = 0.0
        for word in words(query):
            holders = self._holders.get(word, [])
            weight = self._rarity(len(holders)) * (_K1 + 1)
            most += weight
            for shown in holders:
                count = self._counts[shown][word]
                found[shown] = found.get(shown, 0.0) + weight * count / (count + self._damping[shown])
        return {shown: score / most for shown, score in found.items()}

    def _rarity(self, holders: int) -> float:
        return math.log(1 + (len(self._counts) - holders + 0.5) / (holders + 0.5))


def ranked(lexical: Mapping[str, float], cosines: Mapping[str, float]) -> dict[str, float]:
    """Tools with their scores, best first; equal ones in the order of their names.

    Args:
        lexical: as `Lexicon.scores` gives them; what is missing counts 0.
        cosines: of the tools that have a vector. One that has none yet is ranked by its words alone.
    """
    mixed = {
        shown: LEXICAL * lexical.get(shown, 0.0) + DENSE * max(0.0, cosine)
        for shown, cosine in cosines.items()
    }
    return dict(sorted({**lexical, **mixed}.items(), key=lambda entry: (-entry[1], entry[0])))


def fitting(
    scores: Mapping[str, float], floor: float, limit: int, among: Collection[str]
) -> dict[str, float]:
    """The best `limit` of these tools that reach the floor."""
    fit = [(shown, score) for shown, score in scores.items() if score >= floor and shown in among]
    return dict(fit[:limit])


def words(text: str) -> list[str]:
    """The words of a text as they are compared: identifiers split, lower case, without stop words and
    without endings. Scripts that do not part words are compared letter by letter.
    """
    parts = [part.lower() for part in _WORD.findall(_CASE.sub(" ", text))]
    return [_stem(part) for part in parts if part not in STOP_WORDS]


def _stem(word: str) -> str:
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and not word.endswith("ss") and len(word) - len(ending) >= _SHORTEST_STEM:
            word = word.removesuffix(ending) + instead
            break
    return word.removesuffix("e") if len(word) > _SHORTEST_STEM else word


def _spelled_out(identifier: str) -> str:
    """`getWeather_v2` as `get weather v2`."""
    return _JOINT.sub(" ", _CASE.sub(" ", identifier)).strip().lower()
