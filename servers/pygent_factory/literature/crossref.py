"""Crossref, by its REST API: the records that publishers register with a DOI. https://api.crossref.org"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pygent_factory.literature import paper
from pygent_factory.literature.access import Access
from pygent_factory.literature.paper import Paper
from pygent_factory.literature.polite import NotThere, Polite
from pygent_factory.literature.source import inner, items, number, read_object, text

URL = "https://api.crossref.org/works"


class Crossref:
    """Published works; preprints of arXiv are not among them."""

    name = "Crossref"
    pause = 0.3

    def __init__(self, door: Polite, access: Access) -> None:
        self._door = door
        self._asker: dict[str, str | int] = {"mailto": access.mail} if access.mail else {}

    async def search(self, query: str, limit: int) -> list[Paper]:
        body = await self._door.get(URL, {"query.bibliographic": query, "rows": limit, **self._asker})
        found = inner(read_object(self.name, body), "message", "items")
        return [self._paper(item) for item in items(self.name, found)]

    async def paper(self, arxiv: str, doi: str) -> Paper | None:
        if not doi:
            return None
        try:
            body = await self._door.get(f"{URL}/{quote(doi, safe='')}", self._asker)
        except NotThere:
            return None
        (found,) = items(self.name, [inner(read_object(self.name, body), "message")])
        return self._paper(found)

    def _paper(self, item: dict[str, Any]) -> Paper:
        said = text(item.get("DOI"))
        listed = item.get("author")
        authors = [
            f"{text(inner(author, 'given'))} {text(inner(author, 'family'))}".strip()
            for author in (listed if isinstance(listed, list) else ())
        ]
        return Paper(
            title=text(inner(item, "title", 0)),
            authors=tuple(filter(None, authors)),
            year=number(inner(item, "issued", "date-parts", 0, 0)),
            venue=text(inner(item, "container-title", 0)),
            abstract=text(item.get("abstract")),
            url=text(item.get("URL")),
            arxiv=paper.arxiv_id(said),
            doi=paper.doi(said),
            other=f"doi:{said}",
            cited_by=number(item.get("is-referenced-by-count")),
            sources=(self.name,),
        )
