"""How an entry of the config is reached: what the SDK's `Client` is given to talk through."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client

from pygent_registry.config import Entry
from pygent_registry.link import UNREACHABLE
from pygent_registry.process import Output, Reaper, child
from pygent_shared import traces
from pygent_shared.errors import UnknownName
from pygent_shared.peers import Peers
from pygent_shared.serve import lowlevel
from pygent_shared.server import ENTRY_POINTS
from pygent_shared.settings import Settings

# Below a server's own keep-alive (uvicorn: 5 s), or both ends close at once and a request is lost.
KEEP_ALIVE_SECONDS = 2.0
ANSWER_SECONDS = 300.0


def transport(entry: Entry, settings: Settings, peers: Peers, output: Output, reaper: Reaper) -> Any:
    """The server object itself (in-process), or a transport to it."""
    match entry.kind:
        case "in-process":
            return lowlevel(suite_server(entry.server).load()(settings, peers))
        case "stdio":
            return _stdio(entry, settings, output, reaper)
        case "http":
            return _http(entry)
        case "sse":
            from mcp.client.sse import sse_client

            return sse_client(entry.url, headers=dict(entry.headers))


def suite_servers() -> dict[str, EntryPoint]:
    """Every installed server of the suite, ours and third parties', by name."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def suite_server(name: str) -> EntryPoint:
    """One of them.

    Raises:
        UnknownName: no installed package offers it.
    """
    known = suite_servers()
    if name not in known:
        raise UnknownName("server of the suite", name, known)
    return known[name]


def _stdio(
    entry: Entry, settings: Settings, output: Output, reaper: Reaper
) -> AbstractAsyncContextManager[Any]:
    command, args, env = entry.command, entry.args, dict(entry.env)
    if entry.server:
        package = suite_server(entry.server).module.partition(".")[0]
        command, args, env = sys.executable, ("-m", package), settings.environ() | traces.environ() | env
    return child(command, args, env=env, cwd=entry.cwd, output=output, reaper=reaper)


class OneRequestFails(httpx2.AsyncHTTPTransport):
    """A broken connection fails its own request, as a 502, instead of ending the SDK's whole client."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await super().handle_async_request(request)
        except httpx2.TransportError as error:
            why = f"cannot be reached at {request.url} ({str(error) or type(error).__name__})"
            body = {"jsonrpc": "2.0", "id": None, "error": {"code": UNREACHABLE, "message": why}}
            return httpx2.Response(502, request=request, json=body)


@asynccontextmanager
async def _http(entry: Entry) -> AsyncIterator[Any]:
    limits = httpx2.Limits(max_connections=100, keepalive_expiry=KEEP_ALIVE_SECONDS)
    async with httpx2.AsyncClient(
        headers=dict(entry.headers),
        timeout=httpx2.Timeout(30, read=ANSWER_SECONDS),
        transport=OneRequestFails(limits=limits),
    ) as http:
        async with streamable_http_client(entry.url, http_client=http) as streams:
            yield streams
