"""Which tools each profile of the memory server shows, and what their definitions cost a model.

python -m pytest -s tests/servers/test_memory_profiles.py     prints the table
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pygent_memory.tools.graph import NINE
from pygent_shared.settings import Settings
from pygent_shared.testing import in_memory, refusal

pytestmark = pytest.mark.anyio

READ = ("name", "description", "inputSchema")
"""What a model is given of a definition."""
BYTES_PER_TOKEN = 4
QUERIES = {"graph_neighbourhood", "graph_path", "graph_subgraph", "graph_restore"}
CORE = {"memory_add", "memory_search", "memory_get", "memory_forget"}
CORE_TOKENS = 2_000
REFERENCE = json.loads(Path(__file__).with_name("reference_memory.json").read_text(encoding="utf-8"))["tools"]


def tokens(tools: list[dict[str, Any]], fields: tuple[str, ...] = ()) -> int:
    """About how many tokens definitions are: what a model reads of them, or all that is listed."""
    shown = [{name: tool[name] for name in fields or tool if name in tool} for tool in tools]
    return sum(len(json.dumps(tool, ensure_ascii=False).encode()) for tool in shown) // BYTES_PER_TOKEN


async def listed(settings: Settings, profile: Any) -> list[dict[str, Any]]:
    async with in_memory("pygent_memory", replace(settings, memory_tools=profile)) as client:
        tools = (await client.list_tools()).tools
        return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


async def test_the_definitions_of_each_profile_are_within_bounds(settings: Settings) -> None:
    shown = {profile: await listed(settings, profile) for profile in ("core", "graph", "classic", "admin")}
    shown["reference server"] = REFERENCE
    for name, tools in shown.items():
        print(
            f"\n{name:17} {len(tools):3} tools {tokens(tools, READ):6} tokens ({tokens(tools)} listed)",
            end="",
        )
    cost = {name: tokens(tools, READ) for name, tools in shown.items()}
    assert cost["core"] <= CORE_TOKENS
    assert cost["graph"] <= CORE_TOKENS + 2_600
    assert tokens(shown["classic"]) <= 1.25 * tokens(REFERENCE)
    assert cost["admin"] >= cost["graph"]


async def test_each_profile_shows_what_it_says(settings: Settings) -> None:
    names = {
        profile: {tool["name"] for tool in await listed(settings, profile)}
        for profile in ("core", "graph", "classic", "admin")
    }
    assert names["classic"] == set(NINE)
    assert names["core"] >= CORE
    assert not names["core"] & ({*NINE} | QUERIES)
    assert names["graph"] == names["core"] | {*NINE} | QUERIES
    assert names["admin"] >= names["graph"]


async def test_core_is_the_profile_of_who_chooses_none(settings: Settings) -> None:
    assert settings.memory_tools == "core"
    async with in_memory("pygent_memory", settings) as client:
        assert "There is no tool" in await refusal(client, "read_graph")
