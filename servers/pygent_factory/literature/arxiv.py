"""arXiv, by its query API: an Atom feed, one request in three seconds. https://info.arxiv.org/help/api"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from pygent_factory.literature import paper
from pygent_factory.literature.access import Access
from pygent_factory.literature.paper import Paper
from pygent_factory.literature.polite import NotThere, Polite, SourceFailed
from pygent_factory.literature.source import text

URL = "https://export.arxiv.org/api/query"

_ATOM = "{http://www.w3.org/2005/Atom}"
_ARXIV = "{http://arxiv.org/schemas/atom}"


class Arxiv:
    """Preprints of physics, mathematics, computer science and their neighbours."""

    name = "arXiv"
    pause = 3.0

    def __init__(self, door: Polite, access: Access) -> None:
        self._door = door

    async def search(self, query: str, limit: int) -> list[Paper]:
        words = re.findall(r"[^\W_]+", query)
        if not words:
            return []
        asked = " AND ".join(f"all:{word}" for word in words)
        return await self._entries({"search_query": asked, "max_results": limit, "sortBy": "relevance"})

    async def paper(self, arxiv: str, doi: str) -> Paper | None:
        if not arxiv:
            return None
        found = await self._entries({"id_list": arxiv, "max_results": 1})
        return found[0] if found else None

    async def _entries(self, params: dict[str, str | int]) -> list[Paper]:
        try:
            body = await self._door.get(URL, params)
        except NotThere:
            return []
        if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
            raise SourceFailed(
                self.name, "answered with XML that declares entities, which a feed has no use for"
            )
        try:
            feed = ElementTree.fromstring(body)
        except ElementTree.ParseError as error:
            raise SourceFailed(self.name, "answered with something that is no Atom feed") from error
        return [found for entry in feed.iter(f"{_ATOM}entry") if (found := self._paper(entry))]

    def _paper(self, entry: ElementTree.Element) -> Paper | None:
        def said(tag: str) -> str:
            return text(entry.findtext(tag))

        place = said(f"{_ATOM}id")
        if "/api/errors" in place:
            raise SourceFailed(
                self.name, f"refused the query ({said(f'{_ATOM}summary') or 'no reason given'})"
            )
        id = paper.arxiv_id(place)
        if not id:  # a number that does not exist gives an entry with nothing in it
            return None
        year = said(f"{_ATOM}published")[:4]
        return Paper(
            title=said(f"{_ATOM}title"),
            authors=tuple(text(author.findtext(f"{_ATOM}name")) for author in entry.iter(f"{_ATOM}author")),
            year=int(year) if year.isdigit() else None,
            venue=said(f"{_ARXIV}journal_ref"),
            abstract=said(f"{_ATOM}summary"),
            url=f"https://arxiv.org/abs/{id}",
            arxiv=id,
            doi=paper.doi(said(f"{_ARXIV}doi")),
            sources=(self.name,),
        )
