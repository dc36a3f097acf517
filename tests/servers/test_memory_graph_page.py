"""The page that draws the graph: served as MCP Apps asks, closed in itself, and its script at work."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from mcp.types import TextResourceContents

from pygent_memory.graph import page
from pygent_shared.settings import Settings
from pygent_shared.testing import in_memory

DRAWN = ("graph_neighbourhood", "graph_path", "graph_subgraph")
ANSWER: dict[str, Any] = {
    "entities": [
        {
            "name": "Ann <b>",
            "entityType": "person",
            "observations": ["likes <i>tea</i>"],
            "observationCount": 3,
            "distance": 0,
        },
        {"name": "Acme", "entityType": "company", "observations": []},
    ],
    "relations": [
        {"from": "Ann <b>", "to": "Acme", "relationType": "works at"},
        {"from": "Acme", "to": "Nowhere", "relationType": "lies in"},
        {"from": "Acme", "to": "Acme", "relationType": "owns"},
    ],
}


@pytest.mark.anyio
async def test_hosts_are_given_the_page_with_the_tools_that_it_draws(settings: Settings) -> None:
    async with in_memory("pygent_memory", replace(settings, memory_tools="graph")) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        for name in DRAWN:
            assert (tools[name].meta or {})["ui"] == {"resourceUri": page.PAGE}
        assert not any(tools[name].meta for name in tools if name not in DRAWN)
        (served,) = (await client.read_resource(page.PAGE)).contents
        assert isinstance(served, TextResourceContents)
        assert (served.mime_type, served.text) == ("text/html;profile=mcp-app", page.html())


@pytest.mark.anyio
@pytest.mark.parametrize("profile", ["core", "classic"])
async def test_who_has_no_graph_queries_has_no_page(settings: Settings, profile: Any) -> None:
    async with in_memory("pygent_memory", replace(settings, memory_tools=profile)) as client:
        uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
        assert page.PAGE not in uris


class _Parts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    text = page.html()
    parts = _Parts()
    parts.feed(text)
    for tag, attributes in parts.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form"), tag
        assert not {"src", "href", "srcset", "action"} & attributes.keys(), tag
        assert not any(name.startswith("on") for name in attributes), tag
    addresses = set(re.findall(r"\w+://[^\s\"')]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, never fetched
    for word in (
        "fetch(",
        "XMLHttpRequest",
        "import ",
        "eval(",
        "innerHTML",
        "@import",
        "url(h",
        "WebSocket",
    ):
        assert word not in text, word


def test_the_page_is_made_for_light_and_dark_and_for_the_keyboard() -> None:
    text = page.html()
    assert "prefers-color-scheme: dark" in text
    assert ':root[data-theme="dark"]' in text
    assert "tabindex: 0" in text
    assert "focus circle" in text


@pytest.fixture(scope="module")
def came(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of the page's script in the stand-in for a browser of `graph_page.mjs`."""
    if not (node := shutil.which("node")):
        pytest.skip("node is not installed")
    folder = tmp_path_factory.mktemp("page")
    (folder / "page.html").write_text(page.html(), encoding="utf-8")
    (folder / "answer.json").write_text(json.dumps(ANSWER), encoding="utf-8")
    words = [node, str(Path(__file__).with_name("graph_page.mjs"))]
    done = subprocess.run(
        [*words, str(folder / "page.html"), str(folder / "answer.json")],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def test_the_page_greets_its_host_as_mcp_apps_asks(came: dict[str, Any]) -> None:
    assert came["hello"]["method"] == "ui/initialize"
    assert came["hello"]["params"].keys() == {"protocolVersion", "appCapabilities", "appInfo"}
    assert came["initialized"] == "ui/notifications/initialized"
    assert came["theme"] == "dark"
    assert came["resized"]
    assert came["farewell"] == {"jsonrpc": "2.0", "id": 77, "result": {}}


def test_the_page_draws_every_entity_apart_and_tells_it_as_text(came: dict[str, Any]) -> None:
    assert [(item["label"], item["kind"], item["tabindex"]) for item in came["drawn"]] == [
        ("Ann <b>, person", "node", "0"),
        ("Acme, company", "node", "0"),
        ("Nowhere", "node unknown", "0"),
    ]
    places = [(item["x"], item["y"]) for item in came["drawn"]]
    for place, (x, y) in enumerate(places):
        assert 0 < x < 900
        assert 0 < y < 420
        assert all((x - a) ** 2 + (y - b) ** 2 > 40**2 for a, b in places[:place])
    assert came["lines"] == 3
    assert came["said"] == "3 entities, 3 relations."
    assert came["list"][0] == "Ann <b> (person); likes <i>tea</i>"
    assert "Acme → lies in → Nowhere" in came["list"]


def test_the_page_tells_about_an_entity_and_asks_for_more(came: dict[str, Any]) -> None:
    assert came["about"][:3] == ["Ann <b> (person)", "likes <i>tea</i>", "1 of 3 observations"]
    assert came["asked"]["params"] == {
        "name": "memory__graph_neighbourhood",
        "arguments": {"entity": "Ann <b>", "space": "mine"},
    }
    assert came["grown"] == 4
    assert came["zoomed"]


def test_the_page_hears_its_host_only_and_shows_a_refusal(came: dict[str, Any]) -> None:
    assert came["strangers"] == 0
    assert came["refused"] == "No."
