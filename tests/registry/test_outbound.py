"""Servers at addresses: where an entry may lead, and that a server leads nowhere else."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

KINDS = pytest.mark.parametrize("kind", ["http", "sse"])
Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[tuple[int, list[str]]]:
    """An HTTP server on this machine: its port, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer(self)

        do_GET = do_POST = do_DELETE = handle_any

        def log_message(self, *words: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port, asked
        server.shutdown()
        thread.join()


def gone(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(404)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


async def refusal(fronted: Any, entry: dict[str, Any]) -> str:
    async with fronted({"a": entry}) as client:
        await client.list_tools()
        return str((await client.call_tool("a__x", {})).content)


@KINDS
async def test_an_entry_does_not_lead_to_where_clouds_keep_their_keys(fronted: Any, kind: str) -> None:
    why = await refusal(fronted, {"url": "http://2852039166/mcp", "type": kind})
    assert "169.254.169.254 is link-local" in why
    assert '"allow_private": true' in why


@KINDS
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_server_that_sends_us_elsewhere_is_not_followed(fronted: Any, kind: str, status: int) -> None:
    with answering(gone) as (other, asked_of_other):

        def elsewhere(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            handler.send_header("Location", f"http://127.0.0.1:{other}/secret")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with answering(elsewhere) as (port, asked):
            await refusal(fronted, {"url": f"http://127.0.0.1:{port}/mcp", "type": kind})
            assert asked
    assert not asked_of_other


async def test_an_sse_server_that_names_an_endpoint_elsewhere_is_not_followed(fronted: Any) -> None:
    with answering(gone) as (other, asked_of_other):

        def endpoint(handler: BaseHTTPRequestHandler) -> None:
            said = f"event: endpoint\ndata: http://127.0.0.1:{other}/secret\n\n".encode()
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream")
            handler.send_header("Content-Length", str(len(said)))
            handler.end_headers()
            handler.wfile.write(said)

        with answering(endpoint) as (port, asked):
            await refusal(fronted, {"url": f"http://127.0.0.1:{port}/sse", "type": "sse", "startTimeout": 1})
            assert asked
    assert not asked_of_other


async def test_no_metadata_that_a_refusal_names_is_fetched(fronted: Any) -> None:
    with answering(gone) as (other, asked_of_other):

        def refuses(handler: BaseHTTPRequestHandler) -> None:
            where = f"http://127.0.0.1:{other}/.well-known/oauth-protected-resource"
            handler.send_response(401)
            handler.send_header("WWW-Authenticate", f'Bearer resource_metadata="{where}"')
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with answering(refuses) as (port, asked):
            await refusal(fronted, {"url": f"http://127.0.0.1:{port}/mcp"})
            assert asked
    assert not asked_of_other


async def test_an_icon_is_passed_on_and_never_fetched(fronted: Any, server: Any, tmp_path: Any) -> None:
    with answering(gone) as (port, asked):
        icon = {"src": f"http://127.0.0.1:{port}/icon.png"}
        tool = {"name": "t", "inputSchema": {"type": "object"}, "icons": [icon]}
        (tmp_path / "offered").write_text(json.dumps({"tools": [tool]}))
        async with fronted({"a": server("offering", tmp_path / "offered")}) as client:
            (shown,) = (await client.list_tools()).tools
            assert shown.icons is not None
            assert str(shown.icons[0].src) == icon["src"]
    assert not asked


@KINDS
async def test_a_url_that_is_none_is_named_as_that(fronted: Any, kind: str) -> None:
    why = await refusal(fronted, {"url": "http://999.1.1.1/mcp", "type": kind})
    assert "its url is not one (Invalid IPv4 address" in why
    assert 'Mend "url" in its entry' in why
