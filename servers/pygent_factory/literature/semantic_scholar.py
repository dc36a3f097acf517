"""Semantic Scholar, by its Graph API: one request in a second. https://api.semanticscholar.org/api-docs/graph"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pygent_factory.literature import paper
from pygent_factory.literature.access import Access
from pygent_factory.literature.paper import Paper
from pygent_factory.literature.polite import NotThere, Polite
from pygent_factory.literature.source import inner, items, names, number, read_object, text

URL = "https://api.semanticscholar.org/graph/v1/paper"
FIELDS = "title,abstract,year,venue,authors,externalIds,citationCount,url"


class SemanticScholar:
    """Papers of all fields, with how often each is cited."""

    name = "Semantic Scholar"
    pause = 1.1

    def __init__(self, door: Polite, access: Access) -> None:
        self._door = door
        self._headers = {"x-api-key": access.semantic_scholar_key} if access.semantic_scholar_key else {}

    async def search(self, query: str, limit: int) -> list[Paper]:
        asked: dict[str, str | int] = {"query": query, "limit": limit, "fields": FIELDS}
        body = await self._door.get(f"{URL}/search", asked, headers=self._headers)
        data = read_object(self.name, body)
        return [self._paper(item) for item in items(self.name, data.get("data", []))]

    async def paper(self, arxiv: str, doi: str) -> Paper | None:
        id = f"ARXIV:{arxiv}" if arxiv else f"DOI:{doi}"
        try:
            body = await self._door.get(
                f"{URL}/{quote(id, safe=':/')}", {"fields": FIELDS}, headers=self._headers
            )
        except NotThere:
            return None
        return self._paper(read_object(self.name, body))

    def _paper(self, item: dict[str, Any]) -> Paper:
        return Paper(
            title=text(item.get("title")),
            authors=names(item.get("authors"), "name"),
            year=number(item.get("year")),
            venue=text(item.get("venue")),
            abstract=text(item.get("abstract")),
            url=text(item.get("url")),
            arxiv=paper.arxiv_id(text(inner(item, "externalIds", "ArXiv"))),
            doi=paper.doi(text(inner(item, "externalIds", "DOI"))),
            other=f"s2:{text(item.get('paperId'))}",
            cited_by=number(item.get("citationCount")),
            sources=(self.name,),
        )
