"""Literature as tools of agents, offered beside those of a factory's peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pygent_factory.literature.access import Access
from pygent_shared.errors import PygentError, UnknownName
from pygent_shared.peers import Peers, asked_with

if TYPE_CHECKING:
    from pygent_factory.literature.library import Desk, Found
    from pygent_factory.literature.paper import Paper

PREFIX = "literature__"
MOST = 20
ABSTRACT_CHARACTERS = 1200
MOST_AUTHORS = 6

DEFINITIONS: Sequence[dict[str, Any]] = (
    {
        "name": f"{PREFIX}search",
        "description": "Search published papers on arXiv, Semantic Scholar, OpenAlex and Crossref; the query "
        "is sent to them. Each paper begins with the id to cite it by, such as [arxiv:2305.10601].",
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "Words of the title or abstract."},
                "limit": {"type": "integer", "minimum": 1, "maximum": MOST, "default": 8},
            },
            "required": ["query"],
        },
    },
    {
        "name": f"{PREFIX}paper",
        "description": "A paper with its whole abstract, by its arXiv id or DOI.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "id": {"type": "string", "description": 'Such as "arxiv:2305.10601" or "doi:10.1000/182".'}
            },
            "required": ["id"],
        },
    },
)


class WithLiterature:
    """Peers, and the literature beside them.

    Args:
        peers: None where there are no others.
        access: how the sources are asked.
    """

    def __init__(self, peers: Peers | None, access: Access) -> None:
        self._peers = peers
        self._access = access
        self._desk: Desk | None = None

    async def list_tools(self) -> list[dict[str, Any]]:
        peers = await self._peers.list_tools() if self._peers is not None else []
        return [*peers, *DEFINITIONS]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], *, asking: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        if name not in {definition["name"] for definition in DEFINITIONS}:
            if self._peers is None:
                raise UnknownName("tool", name, (definition["name"] for definition in DEFINITIONS))
            return await self._peers.call_tool(name, arguments, **asked_with(asking))
        try:
            async with self._opened().library() as library:
                if name == f"{PREFIX}paper":
                    return _result(await library.paper(str(arguments.get("id", ""))), whole=True)
                limit = arguments.get("limit", 8)
                limit = min(max(limit, 1), MOST) if isinstance(limit, int) else 8
                return _result(await library.search(str(arguments.get("query", "")), limit), whole=False)
        except PygentError as error:
            return {"content": [{"type": "text", "text": str(error)}], "isError": True}

    def _opened(self) -> Desk:
        """Where the sources are asked; what asks them is imported by the first question."""
        if self._desk is None:
            from pygent_factory.literature.library import Desk

            self._desk = Desk(self._access)
        return self._desk


def _result(found: Found, *, whole: bool) -> dict[str, Any]:
    papers = "\n\n".join(_entry(paper, whole=whole) for paper in found.papers)
    silent = "; ".join(f"{name} {why}" for name, why in found.silent.items())
    text = papers or "Nobody lists such a paper. Search with other words."
    text = f"{text}\n\nWithout an answer: {silent}." if silent else text
    data = {"papers": [{"id": paper.id, **asdict(paper)} for paper in found.papers], "silent": found.silent}
    return {"content": [{"type": "text", "text": text}], "structuredContent": data, "isError": False}


def _entry(paper: Paper, *, whole: bool) -> str:
    more = " and others" if len(paper.authors) > MOST_AUTHORS else ""
    counted = "" if paper.cited_by is None else f"cited {paper.cited_by} times"
    facts = [", ".join(paper.authors[:MOST_AUTHORS]) + more, paper.venue, str(paper.year or ""), counted]
    abstract = paper.abstract if whole else paper.abstract[:ABSTRACT_CHARACTERS]
    cut = "…" if len(abstract) < len(paper.abstract) else ""
    lines = [
        f"[{paper.id}] {paper.title}",
        ". ".join(filter(None, facts)),
        paper.url,
        f"> {abstract}{cut}" if abstract else "",
        f"Listed by {', '.join(paper.sources)}.",
    ]
    return "\n".join(filter(None, lines))
