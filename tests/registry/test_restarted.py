"""What becomes of calls when a server behind HTTP is restarted, and who answers for one that is down."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client

from pygent_registry.config import parse
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

from .soak_watch import free_port

pytestmark = pytest.mark.anyio

WEB = Path(__file__).with_name("soak_web.py")
START_SECONDS = 30.0


@contextmanager
def web(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """An HTTP server that forgets its sessions when it ends."""
    with subprocess.Popen([sys.executable, str(WEB), str(port)], stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


async def answers(client: Client) -> None:
    with anyio.fail_after(START_SECONDS):
        while True:
            result: Any = await client.call_tool("web__say", {"payload": "here"})
            if not result.is_error:
                assert result.content[0].text == "here"
                return
            assert '"web"' in result.content[0].text
            await anyio.sleep(0.1)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_restarted_http_server_is_connected_to_anew(fronted: Any, mode: str) -> None:
    port = free_port()
    servers = {"web": {"url": f"http://127.0.0.1:{port}/mcp"}}
    with web(port) as first:
        await listening(port)
        async with fronted(servers, mode=mode) as client:
            await answers(client)
            first.kill()
            first.wait()
            with web(port):
                await listening(port)
                await answers(client)


async def listening(port: int) -> None:
    with anyio.fail_after(START_SECONDS):
        async with httpx.AsyncClient() as http:
            while True:
                try:
                    await http.get(f"http://127.0.0.1:{port}/")
                except httpx.HTTPError:
                    await anyio.sleep(0.05)
                else:
                    return


async def test_a_server_alone_on_its_path_is_not_answered_for_by_another_that_is_down(
    settings: Settings, server: Any
) -> None:
    registry = Registry(parse({"mcpServers": {"b": server("exits"), "a": server("well_behaved")}}), settings)
    async with Client(Gateway(registry, only="a")) as client:
        await client.list_tools()
        assert 'There is no tool "ehco". Did you mean "echo"?' in await refusal(client, "ehco")
