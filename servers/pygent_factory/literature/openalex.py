"""OpenAlex, by its works: it wants a key, which is free, for more than a few searches a day.
https://developers.openalex.org"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pygent_factory.literature import paper
from pygent_factory.literature.access import Access
from pygent_factory.literature.paper import Paper
from pygent_factory.literature.polite import NotThere, Polite
from pygent_factory.literature.source import inner, items, names, number, read_object, text

URL = "https://api.openalex.org/works"


class OpenAlex:
    """An open list of the works of all fields. Its abstracts come as words with their places."""

    name = "OpenAlex"
    pause = 0.2

    def __init__(self, door: Polite, access: Access) -> None:
        self._door = door
        self._asker: dict[str, str | int] = {"mailto": access.mail} if access.mail else {}
        self._secret = {"api_key": access.openalex_key} if access.openalex_key else {}

    async def search(self, query: str, limit: int) -> list[Paper]:
        body = await self._door.get(
            URL, {"search": query, "per_page": limit, **self._asker}, secret=self._secret
        )
        data = read_object(self.name, body)
        return [self._paper(item) for item in items(self.name, data.get("results"))]

    async def paper(self, arxiv: str, doi: str) -> Paper | None:
        id = f"10.48550/arxiv.{arxiv}" if arxiv else doi
        try:
            body = await self._door.get(f"{URL}/doi:{quote(id, safe='/')}", self._asker, secret=self._secret)
        except NotThere:
            return None
        return self._paper(read_object(self.name, body))

    def _paper(self, item: dict[str, Any]) -> Paper:
        said = text(item.get("doi"))
        place = text(inner(item, "primary_location", "landing_page_url"))
        id = text(item.get("id"))
        return Paper(
            title=text(item.get("display_name") or item.get("title")),
            authors=names(item.get("authorships"), "author", "display_name"),
            year=number(item.get("publication_year")),
            venue=text(inner(item, "primary_location", "source", "display_name")),
            abstract=abstract(item.get("abstract_inverted_index")),
            url=place or said or id,
            arxiv=paper.arxiv_id(said.removeprefix("https://doi.org/")) or paper.arxiv_id(place),
            doi=paper.doi(said),
            other=f"openalex:{id.rpartition('/')[2]}",
            cited_by=number(item.get("cited_by_count")),
            sources=(self.name,),
        )


def abstract(places: Any) -> str:
    """The text of an index from words to their places."""
    if not isinstance(places, dict):
        return ""
    words = [
        (place, word)
        for word, at in places.items()
        if isinstance(at, list)
        for place in at
        if isinstance(place, int)
    ]
    return text(" ".join(word for _, word in sorted(words)))
