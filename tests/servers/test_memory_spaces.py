"""Spaces belong to whoever made them: what callers see of each other's, alone and behind the registry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from mcp import Client
from mcp.types import ResourceTemplateReference, TextContent

from pygent_shared.caller import META
from pygent_shared.settings import Settings
from pygent_shared.testing import in_memory

pytestmark = pytest.mark.anyio

MEMORY = "pygent_memory"


class Caller:
    """A client of the memory server that the registry would name so."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self._client.call_tool(tool, arguments, meta={META: self._name})
        assert not result.is_error, result.content
        assert result.structured_content is not None
        return result.structured_content

    async def refused(self, tool: str, **arguments: Any) -> str:
        result = await self._client.call_tool(tool, arguments, meta={META: self._name})
        assert result.is_error
        assert isinstance(result.content[0], TextContent)
        return result.content[0].text

    async def remember(self, text: str, space: str = "") -> str:
        added = await self.call("memory_add", text=text, space=space)
        id: str = added["results"][0]["id"]
        return id

    async def recall(self, query: str, space: str = "") -> list[str]:
        found = await self.call("memory_search", query=query, space=space)
        return [item["text"] for item in found["results"]]


@asynccontextmanager
async def callers(settings: Settings, *names: str) -> AsyncIterator[list[Caller]]:
    async with in_memory(MEMORY, replace(settings, memory_tools="admin")) as client:
        yield [Caller(client, name) for name in names]


async def test_each_caller_has_a_default_space_of_its_own(settings: Settings) -> None:
    async with callers(settings, "ann", "bo", "") as (ann, bo, owner):
        id = await ann.remember("The tide is high.")
        assert await ann.recall("tide") == ["The tide is high."]
        assert await bo.recall("tide") == await owner.recall("tide") == []
        assert (await bo.call("memory_get", ids=[id]))["unknown"] == [id]
        assert (await bo.call("memory_forget", ids=[id]))["unknown"] == [id]
        assert await ann.recall("tide") == ["The tide is high."]


async def test_anothers_space_is_refused_by_its_full_name_whether_it_exists_or_not(
    settings: Settings,
) -> None:
    async with callers(settings, "ann", "bo") as (ann, bo):
        await ann.remember("The tide is high.", space="notes")
        there = await bo.refused("memory_search", query="tide", space="ann/notes")
        absent = await bo.refused("memory_search", query="tide", space="ann/other")
        assert there.replace("notes", "other") == absent
        assert 'memory_share(principal="bo")' in there
        assert "not a space of yours" in await bo.refused("memory_add", text="Mine.", space="ann/new")
        assert "not a space of yours" in await bo.refused("memory_search", query="tide", space="/default")


async def test_the_machines_own_user_may_use_every_space(settings: Settings) -> None:
    async with callers(settings, "ann", "") as (ann, owner):
        await ann.remember("The tide is high.")
        assert await owner.recall("tide", space="ann/default") == ["The tide is high."]


async def test_a_shared_space_is_read_and_a_space_shared_for_writing_is_written(settings: Settings) -> None:
    async with callers(settings, "ann", "bo", "cy") as (ann, bo, cy):
        await ann.remember("The tide is high.", space="notes")
        shared = await ann.call("memory_share", principal="bo", space="notes")
        assert shared["shares"] == [{"space": "ann/notes", "principal": "bo", "access": "read"}]
        assert await bo.recall("tide", space="ann/notes") == ["The tide is high."]
        assert "not a space of yours" in await bo.refused("memory_add", text="Low.", space="ann/notes")
        await ann.call("memory_share", principal="bo", access="write", space="notes")
        await bo.remember("The tide turned.", space="ann/notes")
        assert sorted(await ann.recall("tide", space="notes")) == ["The tide is high.", "The tide turned."]
        assert "not a space of yours" in await cy.refused("memory_search", query="tide", space="ann/notes")
        assert "not a space of yours" in await bo.refused("memory_share", principal="cy", space="ann/notes")
        await ann.call("memory_share", principal="bo", access="none", space="notes")
        assert "not a space of yours" in await bo.refused("memory_search", query="tide", space="ann/notes")


async def test_the_owners_space_is_shared_under_its_name_with_a_slash(settings: Settings) -> None:
    async with callers(settings, "", "bo") as (owner, bo):
        await owner.remember("The tide is high.", space="team")
        await owner.call("memory_share", principal="bo", space="team")
        assert await bo.recall("tide", space="/team") == ["The tide is high."]
        assert await bo.recall("tide", space="team") == []


async def test_sharing_needs_a_space_that_holds_something_and_somebody(settings: Settings) -> None:
    async with callers(settings, "ann") as (ann,):
        assert "holds nothing yet" in await ann.refused("memory_share", principal="bo", space="notes")
        await ann.remember("The tide is high.", space="notes")
        assert "principal" in await ann.refused("memory_share", principal=" ", space="notes")


async def test_completion_names_only_the_spaces_that_the_caller_may_read(settings: Settings) -> None:
    async with in_memory(MEMORY, settings) as client:
        ann = Caller(client, "ann")
        await ann.remember("The tide is high.", space="notes")
        template = ResourceTemplateReference(uri="memory://{space}/recent")
        seen = await client.complete(template, {"name": "space", "value": ""})
        assert seen.completion.values == ["ann/notes"]


async def test_who_is_not_the_machines_user_sees_neither_others_spaces_nor_the_whole(
    settings: Settings,
) -> None:
    async with callers(settings, "ann", "bo") as (ann, bo):
        await ann.remember("The tide is high.")
        await bo.remember("The tide is low.")
        assert [space["name"] for space in (await ann.call("memory_spaces"))["spaces"]] == ["ann/default"]
        assert "machine's own user" in await ann.refused("memory_status")
