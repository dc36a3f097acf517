"""arXiv, Semantic Scholar, OpenAlex and Crossref as their public documents describe their answers."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpx2

ATOM = """<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:arxiv="http://arxiv.org/schemas/atom"
      xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">
  <title type="html">ArXiv Query</title>
  <id>http://arxiv.org/api/cHxbiOdZaP56ODnBPIenZhzg5f8</id>
  <opensearch:totalResults>1</opensearch:totalResults>
  {entries}
</feed>"""
ENTRY = """<entry>
    <id>http://arxiv.org/abs/2401.00042v2</id>
    <updated>2024-03-03T18:00:00Z</updated>
    <published>2024-01-01T08:30:00Z</published>
    <title>Tides of Small
      Harbours &amp; How to Measure Them</title>
    <summary>  We measure the tide
    with a stick. </summary>
    <author><name>Ada Quay</name></author>
    <author><name>Ben Pier</name></author>
    <arxiv:doi>10.5555/HARBOUR.42</arxiv:doi>
    <arxiv:journal_ref>J. Harb. 7 (2024) 42</arxiv:journal_ref>
    <link href="http://arxiv.org/abs/2401.00042v2" rel="alternate" type="text/html"/>
    <category term="physics.ao-ph" scheme="http://arxiv.org/schemas/atom"/>
  </entry>"""
REFUSED = """<entry>
    <id>http://arxiv.org/api/errors#incorrect_id_format_for_x</id>
    <title>Error</title><summary>incorrect id format for x</summary>
  </entry>"""

SCHOLAR = {
    "paperId": "649def34f8be52c8b66281af98ae884c09aef38b",
    "externalIds": {"DOI": "10.5555/harbour.42", "ArXiv": "2401.00042", "CorpusId": 42},
    "url": "https://www.semanticscholar.org/paper/649def34f8be52c8b66281af98ae884c09aef38b",
    "title": "Tides of Small Harbours & How to Measure Them",
    "abstract": None,
    "venue": "Journal of Harbours",
    "year": 2024,
    "citationCount": 17,
    "authors": [{"authorId": "1", "name": "Ada Quay"}, {"authorId": "2", "name": "Ben Pier"}],
}
ALEX = {
    "id": "https://openalex.org/W4242",
    "doi": "https://doi.org/10.5555/harbour.42",
    "display_name": "Tides of Small Harbours & How to Measure Them",
    "publication_year": 2024,
    "cited_by_count": 19,
    "authorships": [{"author_position": "first", "author": {"display_name": "Ada Quay"}}],
    "primary_location": {
        "landing_page_url": "https://doi.org/10.5555/harbour.42",
        "source": {"display_name": "Journal of Harbours"},
    },
    "abstract_inverted_index": {
        "We": [0],
        "measure": [1],
        "the": [2, 5],
        "tide": [3],
        "at": [4],
        "quay.": [6],
    },
}
LONE = {
    "id": "https://openalex.org/W77",
    "doi": None,
    "display_name": "A report that nobody gave a number",
    "publication_year": None,
    "authorships": [],
    "primary_location": None,
    "abstract_inverted_index": None,
    "cited_by_count": 0,
}
REGISTERED = {
    "DOI": "10.5555/HARBOUR.42",
    "title": ["Tides of Small Harbours &amp; How to Measure Them"],
    "author": [{"given": "Ada", "family": "Quay", "sequence": "first"}, {"name": "The Tide Board"}],
    "issued": {"date-parts": [[2024, 2]]},
    "container-title": ["Journal of Harbours"],
    "abstract": "<jats:p>We measure the <jats:italic>tide</jats:italic>.</jats:p>",
    "URL": "https://doi.org/10.5555/harbour.42",
    "is-referenced-by-count": 12,
}

HOSTS = ("export.arxiv.org", "api.semanticscholar.org", "api.openalex.org", "api.crossref.org")


def answers() -> dict[str, httpx2.Response]:
    """What each host answers to a search."""
    return {
        "export.arxiv.org": httpx2.Response(200, text=ATOM.format(entries=ENTRY)),
        "api.semanticscholar.org": _json({"total": 1, "offset": 0, "data": [SCHOLAR]}),
        "api.openalex.org": _json({"meta": {"count": 2, "page": 1}, "results": [ALEX, LONE]}),
        "api.crossref.org": _json({"status": "ok", "message": {"total-results": 1, "items": [REGISTERED]}}),
    }


def singles() -> dict[str, httpx2.Response]:
    """What each answers when it is asked for one paper."""
    return {
        "export.arxiv.org": httpx2.Response(200, text=ATOM.format(entries=ENTRY)),
        "api.semanticscholar.org": _json(SCHOLAR),
        "api.openalex.org": _json(ALEX),
        "api.crossref.org": _json({"status": "ok", "message-type": "work", "message": REGISTERED}),
    }


class Wires(httpx2.AsyncBaseTransport):
    """All four hosts.

    Args:
        said: their answers.
        busy: the answers each host gives first.
    """

    def __init__(self, said: dict[str, httpx2.Response], busy: list[httpx2.Response] | None = None) -> None:
        self._said = said
        self._busy = busy or []
        self.asked: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        earlier = Counter(asked.url.host for asked in self.asked)[host]
        self.asked.append(request)
        of = self._busy[earlier] if earlier < len(self._busy) else self._said[host]
        if of.status_code == 0:
            raise httpx2.ConnectError("no route to host")
        return httpx2.Response(of.status_code, headers=of.headers, content=of.content, request=request)

    def to(self, host: str) -> list[httpx2.Request]:
        """What a host was asked."""
        return [request for request in self.asked if request.url.host == host]


def _json(data: Any) -> httpx2.Response:
    return httpx2.Response(200, text=json.dumps(data), headers={"content-type": "application/json"})
