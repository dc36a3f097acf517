"""Our nine tools answer as the reference memory server did, but for its faults.

Its answers are recorded in `reference_memory.json` (see `tests/interop/reference_memory.py`). The rule: an
answer may differ only by what `mended` does to it, or as `DIFFERENCES` says.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import TextContent, TextResourceContents

from pygent_memory.graph.entity import same
from pygent_shared.settings import Settings
from pygent_shared.testing import Connect

pytestmark = pytest.mark.anyio

RECORDED = json.loads(Path(__file__).with_name("reference_memory.json").read_text(encoding="utf-8"))
MEMORY = "pygent_memory"

DIFFERENCES = {
    "an empty name": (
        "An entity without a name can be neither related nor spoken of.",
        "entities[0].name: is empty. Name the entity.",
    ),
    "to a nearly known entity": (
        "The nearest name is said.",
        'Entity with name Annn not found. Did you mean "Ann"?',
    ),
    "a tool that is not there": (
        "The nearest tool is said.",
        'There is no tool "merge_entities". Did you mean "delete_entities"?',
    ),
}
"""Errors of another wording, or where it has none: why, and ours."""

REPEATED = {"blanks apart the same": {"results": [{"entityName": "Bo", "addedObservations": []}]}}
"""What it takes for new though only blanks differ: ours."""

ANSWERED = {"a question": ["Bo"]}
"""What it found nothing for, because it compares whole queries: the entities that answer it."""

INVALID = "MCP error -32602: Input validation error"
"""Where it begins so, ours is a sentence that says the same and what to do."""


def mended(found: Any) -> Any:
    """An answer without the doubles that it makes of what one call says twice, without empty observations,
    and with observations that differ only in blanks told once."""
    if isinstance(found, dict):
        return {key: mended(value) for key, value in found.items()}
    if not isinstance(found, list) or not found:
        return found
    if isinstance(found[0], str):
        told: dict[str, str] = {}
        for text in found:
            if text.strip():
                told.setdefault(same(text), text)
        return list(told.values())
    if "name" in found[0]:
        entities: dict[str, Any] = {}
        for item in found:
            first = entities.setdefault(item["name"], {**item, "observations": []})
            first["observations"] += item["observations"]
        return [mended(item) for item in entities.values()]
    if "from" in found[0]:
        return list({tuple(item.items()): item for item in found}.values())
    return [mended(item) for item in found]


def as_text(tool: str, data: dict[str, Any]) -> str:
    """The text that belongs to the data."""
    if "message" in data:
        return str(data["message"])
    shown = next(iter(data.values())) if tool.startswith(("create", "add")) else data
    return json.dumps(shown, indent=2, ensure_ascii=False)


def classic(settings: Settings) -> Settings:
    return Settings(
        data_dir=settings.data_dir, embedder="none", memory_tools="classic", token=settings.token, port=0
    )


async def test_the_recorded_calls_are_answered_as_the_reference_server_did(
    connect: Connect, settings: Settings
) -> None:
    async with connect(MEMORY, settings=classic(settings)) as client:
        for call in RECORDED["calls"]:
            await _same(client, call)
        graph = (await client.read_resource("memory://knowledge-graph")).contents[0]
        assert isinstance(graph, TextResourceContents)
        assert (graph.text, graph.mime_type) == (RECORDED["read"]["text"], RECORDED["read"]["mimeType"])


async def _same(client: Client, call: dict[str, Any]) -> None:
    name = call["name"]
    result = await client.call_tool(call["tool"], call["arguments"])
    (block,) = result.content
    assert isinstance(block, TextContent)
    if name in DIFFERENCES:
        assert (result.is_error, block.text) == (True, DIFFERENCES[name][1]), name
    elif name in REPEATED:
        assert result.structured_content == REPEATED[name]
    elif name in ANSWERED:
        assert call["data"]["entities"] == []
        entities = [item["name"] for item in (result.structured_content or {})["entities"]]
        assert entities == ANSWERED[name]
    elif call["text"].startswith(INVALID):
        assert result.is_error, name
        assert block.text.startswith(f"{call['tool']} cannot use these arguments: "), name
    elif call["is_error"]:
        assert (result.is_error, block.text) == (True, call["text"]), name
    else:
        expected = mended(call["data"])
        assert not result.is_error, (name, block.text)
        assert result.structured_content == expected, name
        assert block.text == as_text(call["tool"], expected), name


def test_what_is_mended_is_what_it_says() -> None:
    changed = [
        call["name"] for call in RECORDED["calls"] if call["data"] and mended(call["data"]) != call["data"]
    ]
    assert changed == [
        "one name twice in a call",
        "an observation twice",
        "an empty observation",
        "one relation twice in a call",
        "one twice in a call",
        "what that left",
        "other case",
        "a name",
        "several words in order",
        "several nodes",
    ]


async def test_the_nine_are_listed_as_the_reference_server_lists_them(
    connect: Connect, settings: Settings
) -> None:
    async with connect(MEMORY, settings=classic(settings)) as client:
        ours = [
            tool.model_dump(mode="json", by_alias=True, exclude_none=True)
            for tool in (await client.list_tools()).tools
        ]
        (resource,) = (await client.list_resources()).resources
    assert [tool["name"] for tool in ours] == [tool["name"] for tool in RECORDED["tools"]]
    for mine, theirs in zip(ours, RECORDED["tools"], strict=True):
        assert mine["title"] == theirs["title"]
        assert mine["annotations"] == theirs["annotations"]
        assert mine["inputSchema"].get("required") == theirs["inputSchema"].get("required")
        assert _shape(mine["inputSchema"]) >= _shape(theirs["inputSchema"]), mine["name"]
    shown = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert {key: shown[key] for key in ("name", "title", "uri", "mimeType")} == {
        key: RECORDED["resource"][key] for key in ("name", "title", "uri", "mimeType")
    }


def _shape(schema: dict[str, Any], part: Any = None, place: str = "") -> set[tuple[str, str]]:
    """The types of all arguments and of what is in them, by place."""
    part = schema if part is None else part
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    found = {(place, part["type"])}
    for name, inner in part.get("properties", {}).items():
        found |= _shape(schema, inner, f"{place}.{name}")
    return found | (_shape(schema, part["items"], f"{place}[]") if "items" in part else set())
