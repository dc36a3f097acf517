"""Answering with the documents' own sentences. Nothing is written here that the documents do not say.

Sentences are weighed by how much of the question they cover, each term counting by its rarity among the
candidates (Robertson and Sparck Jones 1976), and by their likeness in meaning where vectors can be had.
Further sentences are taken for what the ones before leave open.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pygent_rag.passage import Passage
from pygent_rag.sentences import spans
from pygent_shared.fulltext import terms

Likeness = Callable[[Sequence[str]], Sequence[float]]
"""How alike in meaning each text is to the question, as a cosine."""

MOST = 3
"""Sentences in an answer."""

IN_CONTEXT = 0.5
"""What a term is worth that stands in the headings above a sentence, or the head of its table, only."""

ENOUGH = 0.35
"""Share of the question that must be covered, by the whole answer, where only words can be compared."""

ALIKE = 0.45
"""Cosine from which on a sentence counts as an answer although it shares few words with the question."""

RELEVANT = 0.55
"""A further sentence scores at least this share of the best one, for what it adds."""

_ENDING = re.compile(r"(?:ings?|edly|ed|ies|es|[eo]rs?|ly|s|e|y)$")
_AND_WHAT = re.compile(
    r"[?;]\s+|[,;]?\s+(?:and|but|or)\s+(?=(?:who|whom|whose|what|which|when|where|why|how)\b)", re.IGNORECASE
)
# Words that ask, and stand in no answer: "what does … mean?", "how many …?".
_ASKING = re.compile(
    r"\bwhat (?:do|does|did)\b(?P<what>.*)\bmean\W*$|\bhow (?:many|much|far)\b", re.IGNORECASE
)
_LIST_MARK = re.compile(r"(?:[-*+•]|\d{1,3}[.)])\s+")
_RULE = re.compile(r"[\s|:*_=#~`-]*$")


@dataclass(frozen=True, kw_only=True)
class Quote:
    """A sentence that answers, word for word; `passage` is the index of the passage it stands in."""

    text: str
    citation: str
    passage: int


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    quote: Quote
    stems: frozenset[str]
    context: frozenset[str]


def extract(question: str, passages: Sequence[Passage], likeness: Likeness | None = None) -> list[Quote]:
    """The sentences that answer the question, best first; none when nothing in the passages does.

    A question that asks several things ("which …, and what …?") is answered one by one.
    """
    candidates = [found for index, passage in enumerate(passages) for found in _candidates(index, passage)]
    if not candidates:
        return []
    alike = likeness([found.quote.text for found in candidates]) if likeness else [0.0] * len(candidates)
    asked = parts(question)
    most = MOST if len(asked) == 1 else 1
    chosen = [number for part in asked for number in _answering(part, candidates, alike)[:most]]
    return [candidates[number].quote for number in dict.fromkeys(chosen[:MOST])]


def parts(question: str) -> list[str]:
    """The things a question asks, in order; one that has no terms of its own is no part."""
    return [part for part in _AND_WHAT.split(question) if terms(part)] or [question]


def _answering(question: str, candidates: Sequence[_Candidate], alike: Sequence[float]) -> list[int]:
    """The candidates that answer one thing, best first."""
    plain = _ASKING.sub(lambda found: found["what"] or "", question)
    weights = _weights({stem(term) for term in terms(plain)}, candidates)
    chosen = _choose(candidates, weights, alike)
    covered = max((_covered(candidates[number], weights) for number in chosen), default=0.0)
    return chosen if covered >= ENOUGH or max(alike) >= ALIKE else []


def stem(word: str) -> str:
    """A word without its commonest English endings, so that "jumps" meets "jumped"; short words stay."""
    return _ENDING.sub("", word) if len(word) > 4 else word.removesuffix("s")


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(term) for term in terms(text))


def _candidates(index: int, passage: Passage) -> list[_Candidate]:
    sentences = [_unmarked(start, passage.text[start:end]) for start, end in spans(passage.text)]
    context = _stems(" ".join(passage.context))
    columns = _stems(next((text for _, text in sentences if text.startswith("|")), ""))
    return [
        _Candidate(
            quote=Quote(text=text, citation=passage.citation_at(start), passage=index),
            stems=_stems(text),
            context=context | columns if text.startswith("|") else context,
        )
        for start, text in sentences
        if not _RULE.match(text)
    ]


def _unmarked(start: int, text: str) -> tuple[int, str]:
    """A sentence and where it starts, without the mark of the list item that it is."""
    mark = _LIST_MARK.match(text)
    return (start + mark.end(), text[mark.end() :]) if mark else (start, text)


def _weights(wanted: set[str], candidates: Sequence[_Candidate]) -> dict[str, float]:
    """Each term of the question with its share of the question, by rarity; together 1."""
    rarity = {
        term: math.log(1 + len(candidates) / (1 + sum(term in found.stems for found in candidates)))
        for term in sorted(wanted)
    }
    total = sum(rarity.values()) or 1.0
    return {term: weight / total for term, weight in rarity.items()}


def _covered(candidate: _Candidate, weights: Mapping[str, float]) -> float:
    """The share of the question's terms that the sentence, or what stands above it, holds."""
    return sum(
        weight * (1.0 if term in candidate.stems else IN_CONTEXT)
        for term, weight in weights.items()
        if term in candidate.stems or term in candidate.context
    )


def _choose(
    candidates: Sequence[_Candidate], weights: Mapping[str, float], alike: Sequence[float]
) -> list[int]:
    """The best candidate, then those that add most to it: what is covered already counts for half, and one
    that holds no further word of the question adds nothing."""
    chosen: list[int] = []
    covered: set[str] = set()
    wanted = dict(weights)
    threshold = 0.0
    while len(chosen) < MOST:
        texts = {candidates[number].quote.text for number in chosen}
        still_open = sum(wanted.values()) if weights else 1.0
        scores = {
            number: _covered(found, wanted) + still_open * max(0.0, alike[number])
            for number, found in enumerate(candidates)
            if found.quote.text not in texts and not (chosen and found.stems & weights.keys() <= covered)
        }
        best = max(scores, key=lambda number: scores[number], default=None)
        if best is None or scores[best] <= threshold:
            break
        threshold = threshold or RELEVANT * scores[best]
        chosen.append(best)
        covered |= candidates[best].stems | candidates[best].context
        for term in candidates[best].stems & wanted.keys():
            wanted[term] = weights[term] / 2
    return chosen
