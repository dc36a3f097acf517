"""How an entry of the config is reached: what the SDK's `Client` is given to talk through."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.types import METHOD_NOT_FOUND

from pygent_registry.entry import Entry
from pygent_registry.output import Output
from pygent_registry.process import child
from pygent_registry.reaper import Reaper
from pygent_registry.redaction import Redactor
from pygent_shared import traces
from pygent_shared.errors import UnknownName
from pygent_shared.http.credentials import REFUSES
from pygent_shared.http.outbound import Blocked, Outbound
from pygent_shared.http.tokens import Authorised, Tokens, unavailable
from pygent_shared.peers import Peers
from pygent_shared.serve import lowlevel
from pygent_shared.server import ENTRY_POINTS
from pygent_shared.settings import Settings

# Below a server's own keep-alive (uvicorn: 5 s), or both ends close at once and a request is lost.
KEEP_ALIVE_SECONDS = 2.0
ANSWER_SECONDS = 300.0
SESSION = "Mcp-Session-Id"
ASKER = "a2a"
"""The server of the suite that speaks to agents elsewhere."""


def transport(
    entry: Entry,
    settings: Settings,
    peers: Peers,
    output: Output,
    reaper: Reaper,
    redactor: Callable[[], Redactor],
    learn: Callable[[str], None],
) -> Any:
    """The server object itself (in-process), or a transport to it. `learn` is told each access token got."""
    output.hide = lambda text: redactor().text(text)
    match entry.kind:
        case "in-process":
            return lowlevel(suite_server(entry.server).load()(settings, peers))
        case "agent":
            asks = replace(settings, remote_agents=json.dumps({entry.name: _agent(entry)}))
            asker = suite_server(ASKER).load()(asks, peers)
            asker.learn = learn
            return lowlevel(asker)
        case "stdio":
            return _stdio(entry, settings, output, reaper)
        case "http" | "sse":
            try:
                httpx2.URL(entry.url)
            except httpx2.InvalidURL as error:
                why = output.hide(f"is not reached: its url is not one ({error})")
                raise output.refused(why, 'Mend "url" in its entry of the config file.') from error
            way = _http if entry.kind == "http" else _sse
            return way(entry, output, learn)


def _agent(entry: Entry) -> dict[str, Any]:
    """An agent as the setting `remote_agents` has it."""
    return {
        "card": entry.url,
        "headers": dict(entry.headers),
        "auth": entry.auth and asdict(entry.auth),
        "pin": entry.pin,
        "keys": entry.keys,
        "allow_private": entry.allow_private,
    }


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
    return child(command, args, env=env, cwd=entry.cwd, output=output, reaper=reaper, sandbox=entry.sandbox)


class OneRequestFails(Outbound):
    """A broken connection fails its own request, as a 502, instead of ending the SDK's whole client; so does
    a server that does not let us in. A session that the server has forgotten, as by a restart, does end it.
    """

    def __init__(self, output: Output, **options: Any) -> None:
        super().__init__(**options)
        self._output = output

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await super().handle_async_request(request)
            in_session = response.status_code == 404 and SESSION in request.headers
            if in_session and str(METHOD_NOT_FOUND).encode() not in await response.aread():
                # The SDK notices a forgotten session only where the server does not say so in JSON.
                return httpx2.Response(404, request=request)
        except httpx2.TransportError as error:
            _note_cure(error, self._output)
            where = self._output.hide(str(request.url))
            why = f"cannot be reached at {where} ({str(error) or type(error).__name__})"
            return unavailable(request, 502, why)
        if response.status_code != 401:
            return response
        await response.aclose()
        return unavailable(request, 401, f"{REFUSES}: it answered 401 Unauthorized")


@asynccontextmanager
async def _http(entry: Entry, output: Output, learn: Callable[[str], None]) -> AsyncIterator[Any]:
    limits = httpx2.Limits(max_connections=100, keepalive_expiry=KEEP_ALIVE_SECONDS)
    sends = OneRequestFails(output, anywhere=entry.allow_private, limits=limits)
    async with (
        _authorised(sends, entry, learn) as authorised,
        httpx2.AsyncClient(
            headers=dict(entry.headers),
            timeout=httpx2.Timeout(30, read=ANSWER_SECONDS),
            transport=authorised,
        ) as http,
        streamable_http_client(entry.url, http_client=http) as streams,
    ):
        yield streams


@asynccontextmanager
async def _sse(entry: Entry, output: Output, learn: Callable[[str], None]) -> AsyncIterator[Any]:
    from mcp.client.sse import sse_client

    async with _authorised(Outbound(anywhere=entry.allow_private), entry, learn) as sends:

        def client(headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx2.AsyncClient:
            return httpx2.AsyncClient(headers=headers, timeout=timeout, auth=auth, transport=sends)

        try:
            async with sse_client(
                entry.url, headers=dict(entry.headers), httpx_client_factory=client
            ) as streams:
                yield streams
        except* httpx2.HTTPError as errors:  # its text holds the URL, and that may hold a key
            _note_cure(errors.exceptions[0], output)
            raise ConnectionError(output.hide(str(errors.exceptions[0]))) from None


@asynccontextmanager
async def _authorised(
    sends: httpx2.AsyncBaseTransport, entry: Entry, learn: Callable[[str], None]
) -> AsyncIterator[httpx2.AsyncBaseTransport]:
    """What sends the requests, with an access token on each where the entry has `auth`."""
    if entry.auth is None:
        yield sends
        return
    async with httpx2.AsyncClient(transport=Outbound(anywhere=entry.allow_private)) as http:
        yield Authorised(sends, Tokens(entry.auth, http, learn), entry.url)


def _note_cure(error: BaseException, output: Output) -> None:
    if isinstance(error.__cause__, Blocked):
        output.cure = 'If it is meant, allow it: "allow_private": true in its entry'
