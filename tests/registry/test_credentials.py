"""Access tokens for servers: got once for all calls, renewed in time, sent to nobody else, never shown."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import anyio
import httpx2
import pytest
from mcp.server.mcpserver import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pygent_registry.config import parse
from pygent_registry.redaction import secrets_of
from pygent_registry.registry import Registry
from pygent_registry.trust.pins import launch
from pygent_shared.errors import ServerUnavailable
from pygent_shared.http import credentials, tokens
from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

pytestmark = pytest.mark.anyio

SECRET = "s3cret:of-the-client"


@dataclass
class Guarded:
    """An MCP server over HTTP that wants a token, and the authorization server that gives them."""

    url: str = ""
    lifetime: float | None = 3600
    token_status: int = 200
    token_delay: float = 0.0
    wants_post: bool = False
    says_token: bool = False
    accepted: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        basic = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
        user, _, password = basic.partition(":")
        self.asked.append({**form, "user": unquote(user), "password": unquote(password)})
        await anyio.sleep(self.token_delay)
        secret = form.get("client_secret") if self.wants_post else unquote(password)
        if self.token_status != 200 or secret != SECRET:
            body = {"error": "invalid_client", "error_description": f"not {secret}\n!"}
            return JSONResponse(body, status_code=self.token_status if self.token_status != 200 else 401)
        token = f"opaque-{len(self.asked)}"
        self.accepted.add(token)
        given: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
        return JSONResponse(given if self.lifetime is None else {**given, "expires_in": self.lifetime})

    async def mcp(self, request: Request) -> Response:
        self.seen.append(dict(request.headers))
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.accepted:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            return Response("who are you?", status_code=401, headers=challenge)
        asked = json.loads(await request.body())
        results: dict[str, Any] = {
            "initialize": {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "guarded", "version": "0"},
            },
            "tools/list": {"tools": [{"name": "say", "inputSchema": {"type": "object"}}]},
            "tools/call": {"content": [{"type": "text", "text": self.said(request)}]},
        }
        if asked.get("method") not in results:
            error = {"code": -32601, "message": "no such method"}
            whole = {"jsonrpc": "2.0", "id": asked.get("id"), "error": error}
            return JSONResponse(whole, status_code=200 if "id" in asked else 202)
        return JSONResponse({"jsonrpc": "2.0", "id": asked["id"], "result": results[asked["method"]]})

    def said(self, request: Request) -> str:
        token = request.headers["authorization"].removeprefix("Bearer ")
        return f"you sent {token}" if self.says_token else "said"

    def entry(self, **more: Any) -> dict[str, Any]:
        auth = {
            "type": "client_credentials",
            "token_url": f"{self.url}/token",
            "client_id": "pygent",
            "client_secret": SECRET,
            **more,
        }
        return {"url": f"{self.url}/mcp", "auth": auth}


@asynccontextmanager
async def guarding(settings: Settings) -> AsyncIterator[Guarded]:
    guarded = Guarded()
    listener = listen(settings)
    guarded.url = address(listener)
    paths = [
        Route("/mcp", guarded.mcp, methods=["POST"]),
        Route("/token", guarded.token, methods=["POST"]),
    ]
    async with running(Starlette(routes=paths), listener):
        yield guarded


@pytest.fixture
async def guarded(settings: Settings) -> AsyncIterator[Guarded]:
    async with guarding(settings) as found:
        yield found


async def test_a_token_is_got_once_and_sent_with_every_request(fronted: Any, guarded: Guarded) -> None:
    entry = guarded.entry(scope="tools:call tools:list")
    async with fronted({"g": entry}) as client:
        for _ in range(3):
            assert not (await client.call_tool("g__say", {})).is_error

    (asked,) = guarded.asked
    assert asked == {
        "grant_type": "client_credentials",
        "scope": "tools:call tools:list",
        "resource": f"{guarded.url}/mcp",
        "user": "pygent",
        "password": SECRET,
    }
    assert {headers["authorization"] for headers in guarded.seen} == {"Bearer opaque-1"}


async def test_a_token_that_a_server_says_back_is_hidden(fronted: Any, guarded: Guarded) -> None:
    guarded.says_token = True
    async with fronted({"g": guarded.entry()}) as client:
        said = await client.call_tool("g__say", {})

    assert said.content[0].text == "you sent [secret]"


async def test_id_and_secret_may_go_in_the_body(fronted: Any, guarded: Guarded) -> None:
    guarded.wants_post = True
    entry = guarded.entry(token_endpoint_auth_method="client_secret_post", audience="api://g")
    async with fronted({"g": entry}) as client:
        assert not (await client.call_tool("g__say", {})).is_error

    (asked,) = guarded.asked
    assert (asked["client_id"], asked["client_secret"], asked["audience"]) == ("pygent", SECRET, "api://g")
    assert asked["password"] == ""


async def test_a_token_is_replaced_before_it_ends(
    fronted: Any, guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fronted({"g": guarded.entry()}) as client:
        await client.call_tool("g__say", {})
        monkeypatch.setattr(tokens, "EARLY_SECONDS", 0.0)
        guarded.lifetime = 0.5
        guarded.accepted.clear()  # so that the next call brings a short-lived one
        await client.call_tool("g__say", {})
        await anyio.sleep(0.5)
        refused = sum(headers["authorization"] == "Bearer opaque-2" for headers in guarded.seen)
        assert not (await client.call_tool("g__say", {})).is_error

    assert len(guarded.asked) == 3
    assert sum(headers["authorization"] == "Bearer opaque-2" for headers in guarded.seen) == refused


async def test_a_token_that_is_refused_is_replaced_once_for_all_calls_that_wait(
    fronted: Any, guarded: Guarded
) -> None:
    outcomes: list[bool] = []

    async def call(client: Any) -> None:
        outcomes.append((await client.call_tool("g__say", {})).is_error)

    async with fronted({"g": guarded.entry()}) as client:
        await client.call_tool("g__say", {})
        guarded.accepted.clear()
        guarded.token_delay = 0.1
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(call, client)

    assert outcomes == [False] * 10
    assert len(guarded.asked) == 2


async def test_a_server_that_refuses_every_token_is_asked_twice_and_no_more(
    fronted: Any, guarded: Guarded
) -> None:
    async with fronted({"g": guarded.entry()}) as client:
        await client.call_tool("g__say", {})
        before = len(guarded.seen)
        guarded.accepted = _Nothing()
        why = await refusal(client, "g__say")
        assert len(guarded.seen) == before + 2

    assert 'Server "g" refuses what it was sent: it answered 401 Unauthorized' in why


class _Nothing(set[str]):
    """Accepts no token, whatever is added."""

    def __contains__(self, token: object) -> bool:
        return False


async def test_without_a_token_the_state_says_why_and_what_to_mend(
    guarded: Guarded, settings: Settings
) -> None:
    registry = Registry(parse({"mcpServers": {"g": guarded.entry(client_secret="wrong-secret-1")}}), settings)
    async with registry.running():
        registry.start()
        await registry.settled()
        link = registry.downstreams["g"].primary
        report = registry.report()["servers"]["g"]
        with pytest.raises(ServerUnavailable) as caught:
            await registry.link("g", modern=True)

    assert report["why"] == (
        f"cannot be given an access token: {guarded.url}/token answered 401 (invalid_client: not [secret]!)"
    )
    assert link.cure == 'Mend "auth" in its entry: token_url, client_id, client_secret and scope'
    assert link.cure in str(caught.value)
    assert "wrong-secret-1" not in str(caught.value)


async def test_a_server_that_wants_a_token_and_has_no_auth_says_so(
    guarded: Guarded, settings: Settings
) -> None:
    registry = Registry(parse({"mcpServers": {"g": {"url": f"{guarded.url}/mcp"}}}), settings)
    async with registry.running():
        registry.start()
        await registry.settled()
        link = registry.downstreams["g"].primary
        assert link.why == "refuses what it was sent: it answered 401 Unauthorized"
        assert link.cure == 'It wants a token: give it "auth", or a header Authorization, in its entry'


async def test_a_client_that_is_locked_out_while_it_runs_shows_in_the_servers_state(
    guarded: Guarded, settings: Settings
) -> None:
    registry = Registry(parse({"mcpServers": {"g": guarded.entry()}}), settings)
    async with registry.running():
        link = await registry.link("g", modern=False)
        guarded.accepted.clear()
        guarded.token_status = 400
        with pytest.raises(ServerUnavailable, match="cannot be given an access token"):
            await link.request("tools/call", {"name": "say", "arguments": {}})
        with anyio.fail_after(10):
            while "cannot be given an access token" not in registry.report()["servers"]["g"].get("why", ""):
                await anyio.sleep(0.05)
        guarded.token_status = 200
        with anyio.fail_after(20):
            while registry.report()["servers"]["g"]["state"] != "ready":
                await anyio.sleep(0.05)


async def test_a_server_over_sse_is_sent_the_token_too(
    fronted: Any, guarded: Guarded, settings: Settings
) -> None:
    old = MCPServer("old")
    old.tool(name="say")(lambda: "said")
    inside = old.sse_app()
    seen: list[str] = []

    async def outside(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            given = Request(scope).headers.get("authorization", "")
            seen.append(given)
            if given.removeprefix("Bearer ") not in guarded.accepted:
                await Response("who are you?", status_code=401)(scope, receive, send)
                return
        await inside(scope, receive, send)

    listener = listen(settings)
    async with running(outside, listener):
        entry = {**guarded.entry(), "url": f"{address(listener)}/sse", "type": "sse"}
        async with fronted({"g": entry}) as client:
            assert not (await client.call_tool("g__say", {})).is_error

    assert set(seen) == {"Bearer opaque-1"}


async def test_a_token_goes_to_the_servers_own_origin_alone(guarded: Guarded) -> None:
    sent: list[httpx2.Request] = []
    learnt: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(200)

    entry = parse({"mcpServers": {"g": guarded.entry()}}).entries[0]
    assert entry.auth is not None
    async with httpx2.AsyncClient() as http:
        way = tokens.Authorised(
            httpx2.MockTransport(answer), tokens.Tokens(entry.auth, http, learnt.append), entry.url
        )
        async with httpx2.AsyncClient(transport=way) as client:
            await client.get(f"{guarded.url}/other/path")
            await client.get("http://127.0.0.2:9/mcp")
            await client.get(f"{guarded.url.replace('http', 'https')}/mcp")

    assert ["authorization" in request.headers for request in sent] == [True, False, False]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"type": "authorization_code"}, '"type": "client_credentials"'),
        ({"token_url": ""}, 'lacks "token_url"'),
        ({"client_secret": ""}, 'lacks "client_secret"'),
        ({"client_secret": "${NO_SUCH_SECRET}"}, "NO_SUCH_SECRET, which is not set"),
        ({"token_url": "http://id.example/token"}, "must begin with https://"),
        ({"client_secert": "x"}, 'unknown key "client_secert". Did you mean "client_secret"'),
        ({"scope": ["a"]}, 'its "auth.scope" must be text'),
        ({"token_endpoint_auth_method": "none"}, "must be client_secret_basic or client_secret_post"),
    ],
)
def test_auth_that_cannot_be_used_costs_its_entry_alone(changed: dict[str, Any], why: str) -> None:
    entry = Guarded(url="https://g.example").entry(**changed)
    config = parse({"mcpServers": {"g": entry, "other": {"command": "x"}}}, environ={})

    assert [found.name for found in config.entries] == ["other"]
    assert why in config.bad[0].why
    assert SECRET not in config.bad[0].why


def test_auth_is_for_servers_at_a_url_and_instead_of_a_header() -> None:
    auth = Guarded(url="https://g.example").entry()["auth"]
    header = {"url": "https://g.example/mcp", "headers": {"authorization": "Bearer x"}, "auth": auth}
    config = parse({"mcpServers": {"local": {"command": "x", "auth": auth}, "both": header}})

    assert [bad.why for bad in config.bad] == [
        'it has "auth", which only a server at a "url" asks for',
        'it has both "auth" and a header Authorization; give one of them',
    ]


def test_the_secret_may_be_a_variable_is_hidden_in_answers_and_is_not_pinned() -> None:
    raw = Guarded(url="https://g.example").entry(client_secret="${ID_SECRET}")
    (entry,) = parse({"mcpServers": {"g": raw}}, environ={"ID_SECRET": SECRET}).entries

    assert entry.auth is not None
    assert entry.auth.client_secret == SECRET
    assert SECRET in secrets_of(entry)
    assert SECRET not in repr(entry)
    pinned = launch(entry)["auth"]
    assert pinned["token_url"] == "https://g.example/token"
    assert "client_secret" not in pinned


def test_a_client_id_and_secret_are_encoded_before_they_are_joined() -> None:
    given = credentials.ClientCredentials(token_url="https://x/t", client_id="a:b", client_secret="ü %")
    assert given.basic() == ("a%3Ab", "%C3%BC%20%25")
