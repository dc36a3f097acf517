"""A paper, whoever lists it, and how one is known again in another's list."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_ARXIV = re.compile(
    r"(?:arxiv:|10\.48550/arxiv\.|arxiv\.org/(?:abs|pdf)/)?(\d{4}\.\d{4,5}|[a-z-]+(?:\.[a-z]{2})?/\d{7})(?:v\d+)?",
    re.IGNORECASE,
)
_DOI = re.compile(r"(?:doi:\s*|https?://(?:dx\.)?doi\.org/)?(10\.\d{4,9}/\S+)", re.IGNORECASE)


LONG_TITLE = 20
"""Letters from which on two papers of one title are taken for the same."""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What a source says of a paper.

    Attributes:
        arxiv: its number there, without a version.
        doi: in lower case, as DOIs are compared.
        other: how the source itself names it, such as "s2:…", for a paper with neither.
        cited_by: how often; None where the source does not count.
        sources: who lists it.
    """

    title: str
    authors: tuple[str, ...] = ()
    year: int | None = None
    venue: str = ""
    abstract: str = ""
    url: str = ""
    arxiv: str = ""
    doi: str = ""
    other: str = ""
    cited_by: int | None = None
    sources: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """How it is cited: the arXiv number, else the DOI, else the source's own name for it."""
        if self.arxiv:
            return f"arxiv:{self.arxiv}"
        return f"doi:{self.doi}" if self.doi else self.other

    def keys(self) -> set[str]:
        """What it may be known by: two papers that share one are the same."""
        title = re.sub(r"\W+", "", self.title.casefold())
        if len(title) < LONG_TITLE:
            title = ""
        known = {f"arxiv:{self.arxiv}": self.arxiv, f"doi:{self.doi}": self.doi, f"title:{title}": title}
        return {key for key, value in known.items() if value}


def arxiv_id(text: str) -> str:
    """The arXiv number that a text is, without its version; "" where it is none."""
    found = _ARXIV.fullmatch(re.sub(r"^https?://|\.pdf$", "", text.strip()))
    return found.group(1).lower() if found else ""


def doi(text: str) -> str:
    """The DOI that a text is, in lower case; "" where it is none, or stands for an arXiv number."""
    found = _DOI.fullmatch(text.strip())
    return found.group(1).lower() if found and not arxiv_id(found.group(1)) else ""


def merged(lists: Iterable[Iterable[Paper]]) -> list[Paper]:
    """The papers of several lists, each once: those that most lists have come first, then as they stood."""
    kept: list[Paper] = []
    ranked = sorted(
        ((place, paper) for papers in lists for place, paper in enumerate(papers)), key=lambda pair: pair[0]
    )
    for _, paper in ranked:
        same = [other for other in kept if other.keys() & paper.keys()]
        if not same:
            kept.append(paper)
            continue
        joined = same[0]
        for other in (*same[1:], paper):
            joined = _joined(joined, other)
        kept[kept.index(same[0])] = joined
        kept = [other for other in kept if other not in same[1:]]
    return sorted(kept, key=lambda paper: -len(paper.sources))


def _joined(first: Paper, second: Paper) -> Paper:
    """Two accounts of one paper: what the first leaves open, the second says."""
    return replace(
        first,
        authors=first.authors or second.authors,
        year=first.year or second.year,
        venue=first.venue or second.venue,
        abstract=max(first.abstract, second.abstract, key=len),
        url=first.url or second.url,
        arxiv=first.arxiv or second.arxiv,
        doi=first.doi or second.doi,
        other=first.other or second.other,
        cited_by=max((n for n in (first.cited_by, second.cited_by) if n is not None), default=None),
        sources=tuple(dict.fromkeys((*first.sources, *second.sources))),
    )
