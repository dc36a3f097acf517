"""For tests, ours and those of anyone who writes a server for the suite.

Load it in a `conftest.py`: `pytest_plugins = ["pygent_shared.testing"]`. The `connect` fixture then runs a
test six times: in memory, over stdio and over streamable HTTP, each in both protocol eras.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import sqrt
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent

from pygent_shared.http.app import build_app
from pygent_shared.http.run import address, listen, running
from pygent_shared.serve import lowlevel
from pygent_shared.settings import Settings

TRANSPORTS = ("memory", "stdio", "http")
ERAS = {"2025": "legacy", "2026": "auto"}
TOKEN = "a-token-for-tests"

Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose data lies in `tmp_path`; lexical, so that no test loads a model by accident."""
    return Settings(data_dir=tmp_path / "data", embedder="none", token=TOKEN, port=0)


@pytest.fixture(params=[f"{transport}-{era}" for transport in TRANSPORTS for era in ERAS])
def connect(request: pytest.FixtureRequest, settings: Settings) -> Connect:
    """`async with connect("pygent_memory", settings=…, **client_options) as client:` over each way."""
    transport, _, era = request.param.partition("-")
    ways = {"memory": in_memory, "stdio": over_stdio, "http": over_http}

    def connected(package: str, *, settings: Settings = settings, **options: Any) -> Any:
        return ways[transport](package, settings, mode=ERAS[era], **options)

    return connected


def built(package: str, settings: Settings) -> Any:
    """What the package's `build_server` gives."""
    return pkgutil.resolve_name(f"{package}.server:build_server")(settings, None)


@asynccontextmanager
async def in_memory(package: str, settings: Settings, **options: Any) -> AsyncIterator[Client]:
    """A client of the server in this process."""
    async with Client(lowlevel(built(package, settings)), **options) as client:
        yield client


@asynccontextmanager
async def over_stdio(package: str, settings: Settings, **options: Any) -> AsyncIterator[Client]:
    """A client of the server as a child process, which can import what this one can."""
    environ = {**settings.environ(), "PYTHONPATH": os.pathsep.join(sys.path)}
    parameters = StdioServerParameters(command=sys.executable, args=["-m", package], env=environ)
    async with Client(parameters, **options) as client:
        yield client


@asynccontextmanager
async def over_http(package: str, settings: Settings, **options: Any) -> AsyncIterator[Client]:
    """A client of the server on a free loopback port, guarded as in earnest."""
    listener = listen(settings)
    app = build_app({"/mcp": lowlevel(built(package, settings))}, settings, settings.token)
    async with running(app, listener):
        headers = {"Authorization": f"Bearer {settings.token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
            transport = streamable_http_client(f"{address(listener)}/mcp", http_client=http)
            async with Client(transport, **options) as client:
                yield client


async def call(client: Client, tool: str, **arguments: Any) -> tuple[dict[str, Any], str]:
    """The data and the text of a call that succeeds."""
    result = await client.call_tool(tool, arguments)
    assert isinstance(result.content[0], TextContent)
    assert not result.is_error, result.content[0].text
    return result.structured_content or {}, result.content[0].text


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """The one sentence of a call that is refused."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


class ScriptedEmbedder:
    """An embedder for tests: the vector of a text points where `directions` says for the words it holds.

    Real in all but knowledge: unit vectors, deterministic, and two texts are near when their words are
    declared to mean the same.
    """

    def __init__(self, directions: dict[str, int], dimensions: int = 8) -> None:
        self._directions = directions
        self.dimensions = dimensions
        self.model = "scripted"

    def embed(self, texts: Any) -> list[bytes]:
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> bytes:
        found = [0.0] * self.dimensions
        for word in text.lower().split():
            if (direction := self._directions.get(word.strip(".,;:!?"))) is not None:
                found[direction] += 1.0
        length = sqrt(sum(part * part for part in found))
        return array("f", [part / length for part in found] if length else [1.0, *found[1:]]).tobytes()
