"""Tool search as the gateway uses it: what is listed, and what the three tools do."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

import anyio
import mcp.types as t
from anyio.abc import TaskGroup
from mcp import MCPError

from pygent_registry.catalogue import Catalogue, Definition
from pygent_registry.search import tools
from pygent_registry.search.ranking import FLOORS, Lexicon, Tool, fitting, ranked
from pygent_registry.search.tools import CallTool, DescribeTool, Found, Hit, SearchTools
from pygent_shared.embeddings.background import BackgroundEmbedder, shared_embedder
from pygent_shared.errors import InvalidArgument, PygentError, UnknownName
from pygent_shared.lazy import Lazy
from pygent_shared.settings import Settings

if TYPE_CHECKING:
    from pygent_registry.search.index import DefinitionIndex

log = logging.getLogger(__name__)

Catalogued = Callable[[], Awaitable[Catalogue]]
Relay = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Calls the tool of a shown name with arguments, by the way of every call."""

# A catalogue for hosts of each era and role, and what is just being replaced.
_MOST_REMEMBERED = 12


@dataclass(frozen=True, kw_only=True)
class Searchable:
    """A catalogue made ready for search."""

    catalogue: Catalogue
    tools: Mapping[str, Tool]

    @cached_property
    def lexicon(self) -> Lexicon:
        return Lexicon(self.tools.values())

    @cached_property
    def tokens(self) -> int:
        return tools.tokens(self.catalogue.tools.values())

    @property
    def servers(self) -> list[str]:
        return list(dict.fromkeys(tool.server for tool in self.tools.values()))


class ToolSearch:
    """Search over a gateway's tools.

    Args:
        settings: `tools`, `tools_token_limit` and `tools_pinned` of them; the index lies in `data_dir`.
        embedder: what the definitions are embedded by; the process's own unless told otherwise.
    """

    def __init__(self, settings: Settings, embedder: BackgroundEmbedder | None = None) -> None:
        self._settings = settings
        self._embedder = embedder or shared_embedder(settings)
        self._index = Lazy(self._open)
        self._tasks: TaskGroup | None = None
        self._remembered: list[Searchable] = []
        self._complained = ""

    @asynccontextmanager
    async def around(self, life: AbstractAsyncContextManager[None]) -> AsyncIterator[None]:
        """The gateway's life, with the index closed after it."""
        async with self._index.lifespan(self), anyio.create_task_group() as self._tasks, life:
            yield
        self._tasks = None

    def shown(self, catalogue: Catalogue) -> Mapping[str, Definition]:
        """The tools that hosts are shown: all, or the three and the pinned ones."""
        if not self._is_on(catalogue):
            return catalogue.tools
        self.notice(catalogue)
        pinned = {name: tool for name, tool in catalogue.tools.items() if self._is_pinned(name)}
        return {**tools.definitions(self._searchable(catalogue).servers), **pinned}

    def notice(self, catalogue: Catalogue) -> None:
        """Have what is new in a catalogue embedded, in the background, where it may be searched."""
        if self._tasks is not None and self._is_on(catalogue):
            self._tasks.start_soon(
                self._keep, [tool.text for tool in self._searchable(catalogue).tools.values()]
            )

    def answers(self, name: str) -> bool:
        """Whether a call of that name is for one of the three. With `auto` they answer also while all is
        listed: a host may go by a list that it was given before.
        """
        return name in tools.NAMES and self._settings.tools != "all"

    async def call(
        self, name: str, arguments: Mapping[str, Any] | None, catalogued: Catalogued, relay: Relay
    ) -> dict[str, Any]:
        """The result of one of the three.

        Raises:
            InvalidArgument, UnknownName: the model can mend the call.
            whatever `relay` raises.
        """
        match tools.parse(name, arguments or {}):
            case SearchTools() as asked:
                return await self._search(asked, await catalogued())
            case DescribeTool() as asked:
                return self._describe(asked, await catalogued())
            case CallTool() as asked:
                return await self._call(asked, catalogued, relay)
        raise AssertionError(name)

    # The three.

    async def _search(self, asked: SearchTools, catalogue: Catalogue) -> dict[str, Any]:
        among = self._searchable(catalogue)
        if asked.server and asked.server not in among.servers:
            raise UnknownName("server", asked.server, among.servers, "Leave it out to search all.")
        self.notice(catalogue)
        return tools.search_result(await self._find(asked, among), asked.detail)

    async def _find(self, asked: SearchTools, among: Searchable) -> Found:
        chosen = {shown: tool for shown, tool in among.tools.items() if asked.server in ("", tool.server)}
        cosines, why = await self._cosines(asked.query, chosen)
        # In a thread, for the first search of a catalogue: it counts the words of every definition.
        lexical = await anyio.to_thread.run_sync(lambda: among.lexicon.scores(asked.query))
        scores = ranked(lexical, cosines)
        floor = FLOORS["hybrid" if cosines else "lexical"]
        return Found(
            query=asked.query,
            hits=[
                Hit(tool=chosen[shown], score=score, definition=among.catalogue.tools[shown])
                for shown, score in fitting(scores, floor, asked.limit, chosen).items()
            ],
            searched=len(chosen),
            servers=among.servers,
            nearest=max((score for shown, score in scores.items() if shown in chosen), default=0.0),
            floor=floor,
            why_lexical=why,
            pending=len(chosen) - len(cosines) if cosines else 0,
        )

    def _describe(self, asked: DescribeTool, catalogue: Catalogue) -> dict[str, Any]:
        definition = _defined(catalogue, asked.name)
        return tools.text_result(tools.described(definition, catalogue.tool_targets[asked.name].server))

    async def _call(self, asked: CallTool, catalogued: Catalogued, relay: Relay) -> dict[str, Any]:
        if asked.name in tools.NAMES:
            raise InvalidArgument("name", f'"{asked.name}" is called directly', f"Call {asked.name} itself.")
        try:
            result = await relay(asked.name, asked.arguments)
        except MCPError as error:
            # A stale requestState is a wrong parameter too, but none of the tool's own.
            if error.error.code != t.INVALID_PARAMS or "requestState" in error.error.message:
                raise
            result = {**tools.text_result(error.error.message), "isError": True}
            return tools.with_schema(result, _defined(await catalogued(), asked.name))
        if not result.get("isError"):
            return result
        definition = _defined(await catalogued(), asked.name)
        if tools.refuses_arguments(result, asked.arguments, definition.get("inputSchema") or {}):
            return tools.with_schema(result, definition)
        return result

    # What they need.

    async def _cosines(self, query: str, chosen: Mapping[str, Tool]) -> tuple[dict[str, float], str]:
        """By shown name, and why there are none."""
        if self._embedder.ready() is None:
            return {}, self._embedder.why
        texts = {tool.text for tool in chosen.values()}
        try:
            near = await anyio.to_thread.run_sync(lambda: self._index.get().cosines(query, texts))
        except PygentError as error:
            self._complain(error)
            return {}, str(error)
        found = {shown: near[tool.text] for shown, tool in chosen.items() if tool.text in near}
        return found, "" if found or not chosen else "the tools' definitions are not embedded yet"

    async def _keep(self, texts: list[str]) -> None:
        if self._embedder.state == "absent":
            return
        try:
            await anyio.to_thread.run_sync(lambda: self._index.get().keep(texts))
        except PygentError as error:
            self._complain(error)

    def _complain(self, error: PygentError) -> None:
        if str(error) != self._complained:
            self._complained = str(error)
            log.warning("Tool search stays lexical: %s", error)

    def _open(self) -> DefinitionIndex:
        # Not at import: most endpoints never search, and SQLite with its extension takes a moment to load.
        from pygent_registry.search.index import DefinitionIndex

        return DefinitionIndex(self._settings.data_dir / "tools.db", self._embedder)

    def _is_on(self, catalogue: Catalogue) -> bool:
        if self._settings.tools == "auto":
            return self._searchable(catalogue).tokens > self._settings.tools_token_limit
        return self._settings.tools == "search"

    def _is_pinned(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._settings.tools_pinned)

    def _searchable(self, catalogue: Catalogue) -> Searchable:
        for known in self._remembered:
            if known.catalogue is catalogue:
                return known
        made = _searchable(catalogue)
        self._remembered = [made, *self._remembered][:_MOST_REMEMBERED]
        return made


def _searchable(catalogue: Catalogue) -> Searchable:
    found = {
        shown: Tool(
            shown=shown,
            name=catalogue.tool_targets[shown].name,
            server=catalogue.tool_targets[shown].server,
            description=str(definition.get("description") or definition.get("title") or ""),
        )
        for shown, definition in catalogue.tools.items()
    }
    return Searchable(catalogue=catalogue, tools=found)


def _defined(catalogue: Catalogue, name: str) -> Definition:
    if name not in catalogue.tools:
        raise UnknownName("tool", name, catalogue.tools, 'Find it: search_tools(query="what it should do")')
    return catalogue.tools[name]
