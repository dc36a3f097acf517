"""Whether an answer's sources are among what its run found. A citation stands in brackets, as a tool gave
it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

NOTHING_CITED = "no source at all"
"""Stands for the citations of an answer that has none."""

SILENCE = ("the documents do not say", "the papers do not say", "the sources do not say")
"""How an answer begins that claims nothing."""

_BRACKETS = re.compile(r"\[([^\[\]\n]{1,300})\](?!\()")
_SOURCE = re.compile(r"[:./#\d]")
_MEND = """\
Your answer was:

{answer}

It cites what no tool result of this run contains: {wrong}. Answer again, whole: cite only what a tool \
returned, in brackets, exactly as it stood there, and leave out what has no source. You may search."""
_CITE = """\
Your answer was:

{answer}

It names no source. Answer again, whole: end every sentence that states a fact with its citation in \
brackets, exactly as a tool returned it, and leave out what you have no source for. You may search."""


def citations(answer: object) -> list[str]:
    """What an answer cites, each once. Words in brackets that are no source, such as [sic], are none."""
    found: list[str] = []
    for bracket in _BRACKETS.findall(_text(answer)):
        if _SOURCE.search(bracket):
            found.append(bracket.strip())
    return list(dict.fromkeys(found))


def unsupported(answer: object, results: Sequence[str]) -> list[str]:
    """The citations that stand in none of the results; of several in one bracket, those that do not."""
    cited = citations(answer)
    if not cited:
        return [] if _text(answer).strip().casefold().startswith(SILENCE) else [NOTHING_CITED]
    known = "\n".join(results).casefold()
    missing: list[str] = []
    for citation in cited:
        if not _stands(citation, known):
            parts = [part.strip() for part in re.split(r"[;,]\s+|;", citation)]
            missing += [part for part in parts if not _stands(part, known)]
    return list(dict.fromkeys(missing))


def mend(answer: object, wrong: Sequence[str]) -> str:
    """What the model is told of them."""
    if list(wrong) == [NOTHING_CITED]:
        return _CITE.format(answer=_text(answer))
    return _MEND.format(answer=_text(answer), wrong=", ".join(f"[{citation}]" for citation in wrong))


def _stands(citation: str, known: str) -> bool:
    """Whether a source stands in a text by itself: not as a part of a longer one, but of a path without its
    folders; nor as a bare number."""
    if citation.isdigit():
        return False
    alone = rf"(?<![\w.-]){re.escape(citation.casefold())}(?![\w/#-]|[.:]\w)"
    return re.search(alone, known) is not None


def _text(answer: object) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
