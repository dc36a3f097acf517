"""All sources asked at once, and what they say of one paper joined."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2

from pygent_factory.literature.access import Access
from pygent_factory.literature.arxiv import Arxiv
from pygent_factory.literature.crossref import Crossref
from pygent_factory.literature.openalex import OpenAlex
from pygent_factory.literature.paper import Paper, arxiv_id, doi, merged
from pygent_factory.literature.polite import SECONDS, Pace, Polite, Secretive, Sleep, SourceFailed, user_agent
from pygent_factory.literature.semantic_scholar import SemanticScholar
from pygent_factory.literature.source import Source
from pygent_shared.errors import InvalidArgument
from pygent_shared.http.outbound import Outbound

SOURCES: tuple[type[Source], ...] = (Arxiv, SemanticScholar, OpenAlex, Crossref)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Papers, and which sources gave no answer, and why."""

    papers: list[Paper]
    silent: dict[str, str]


class Library:
    """The sources behind one door each.

    Args:
        sources: in the order in which they are believed.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    async def search(self, query: str, limit: int) -> Found:
        """The best papers for some words, each once.

        Raises:
            InvalidArgument: there are no words.
            SourceFailed: not one source gave an answer.
        """
        if not query.strip():
            raise InvalidArgument("query", "is empty", "Give some words.")
        lists, silent = await self._asked(lambda source: source.search(query, limit))
        return Found(papers=merged(lists)[:limit], silent=silent)

    async def paper(self, id: str) -> Found:
        """The paper of an id as `Paper.id` has it; none where nobody lists it. Raises as `search` does."""
        number, name = arxiv_id(id), doi(id)
        if not number and not name:
            why = f"{id[:100]!r} is neither an arXiv id nor a DOI"
            raise InvalidArgument("id", why, 'Give one such as "arxiv:2305.10601" or "doi:10.1000/182".')

        async def listed(source: Source) -> list[Paper]:
            found = await source.paper(number, name)
            return [found] if found else []

        lists, silent = await self._asked(listed)
        return Found(papers=merged(lists)[:1], silent=silent)

    async def _asked(
        self, ask: Callable[[Source], Coroutine[Any, Any, list[Paper]]]
    ) -> tuple[list[list[Paper]], dict[str, str]]:
        lists: dict[str, list[Paper]] = {}
        silent: dict[str, str] = {}

        async def one(source: Source) -> None:
            try:
                lists[source.name] = [paper for paper in await ask(source) if paper.title]
            except SourceFailed as error:
                silent[source.name] = error.why

        async with anyio.create_task_group() as tasks:
            for source in self._sources:
                tasks.start_soon(one, source)
        if not lists:
            told = "; ".join(f"{name} {why}" for name, why in sorted(silent.items()))
            raise SourceFailed("The literature", f"is out of reach: {told}")
        in_order = [lists[source.name] for source in self._sources if source.name in lists]
        return in_order, dict(sorted(silent.items()))


class Desk:
    """Where the sources are asked: it keeps their pace, for the whole process.

    Args:
        access: how they are asked.
        transport: sends the requests.
        sleep: waits between them.
    """

    def __init__(
        self,
        access: Access,
        transport: Callable[[], httpx2.AsyncBaseTransport] | None = None,
        sleep: Sleep = anyio.sleep,
    ) -> None:
        self._access = access
        self._transport = transport or Outbound
        self._sleep = sleep
        self._paces = {source.name: Pace(source.pause) for source in SOURCES}

    @asynccontextmanager
    async def library(self) -> AsyncIterator[Library]:
        """The sources, with connections that are closed at the end."""
        async with httpx2.AsyncClient(
            transport=Secretive(self._transport()),
            timeout=SECONDS,
            headers={"User-Agent": user_agent(self._access.mail)},
        ) as http:

            def door(name: str) -> Polite:
                return Polite(name, http, self._paces[name], sleep=self._sleep)

            yield Library([source(door(source.name), self._access) for source in SOURCES])
