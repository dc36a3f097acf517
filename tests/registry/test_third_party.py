"""A third party's server enters by the same door as ours: an entry point. It may call the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pygent_registry.journal import NAME
from pygent_shared.testing import TOKEN

from .serving import serving

pytestmark = pytest.mark.anyio

MODULE = """
from mcp.server.mcpserver import MCPServer
from pygent_shared.errors import UnknownName

def build_server(settings, peers):
    server = MCPServer("third")

    @server.tool()
    async def ask_neighbour(name: str) -> str:
        try:
            result = await peers.call_tool(name, {"x": 1})
        except UnknownName as error:
            return str(error)
        return result["content"][0]["text"]

    @server.tool()
    def where() -> str:
        return str(settings.data_dir)

    return server
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as pip would have installed it."""
    (tmp_path / "third_party_server.py").write_text(MODULE)
    metadata = tmp_path / "third_party-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[pygent.servers]\nthird = third_party_server:build_server\n")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_third_partys_server_is_hosted_and_reaches_the_others(
    fronted: Any, server: Any, settings: Any, mode: str
) -> None:
    servers = {"third": {"server": "third"}, "neighbour": server("well_behaved")}
    async with fronted(servers, mode=mode) as client:
        result = await client.call_tool("third__ask_neighbour", {"name": "neighbour__echo"})
        assert result.content[0].text == '{"x": 1}'
        where = await client.call_tool("third__where", {})
        assert where.content[0].text == str(settings.data_dir)


async def test_a_server_nobody_installed_is_named_with_those_there_are(fronted: Any) -> None:
    async with fronted({"a": {"server": "memroy"}}, mode="auto") as client:
        result = await client.call_tool("a__x", {})
        assert 'There is no server of the suite "memroy". Did you mean "memory"?' in result.content[0].text


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_server_that_works_for_a_caller_reaches_no_more_for_it_than_its_roles_allow(
    server: Any, settings: Any, mode: str
) -> None:
    servers = {"third": {"server": "third"}, "neighbour": server("well_behaved")}
    roles = {"asker": {"third": ["ask_neighbour"]}, "both": {"third": ["*"], "neighbour": ["echo"]}}
    async with serving(settings, servers, roles) as up:
        few, more = up.key("few", "asker"), up.key("more", "both")
        async with up.host(few, mode) as client:
            refused = await client.call_tool("third__ask_neighbour", {"name": "neighbour__echo"})
        for key in (more, TOKEN):
            async with up.host(key, mode) as client:
                said = await client.call_tool("third__ask_neighbour", {"name": "neighbour__echo"})
                assert said.content[0].text == '{"x": 1}'
    assert refused.content[0].text.startswith('There is no tool "neighbour__echo".')
    lines = (settings.data_dir / NAME).read_text(encoding="utf-8").splitlines()
    peers = [(one["server"], one["outcome"]) for one in map(json.loads, lines) if one["who"] == "peers"]
    assert peers == [("", "refused by UnknownName"), ("neighbour", "ok"), ("neighbour", "ok")]
