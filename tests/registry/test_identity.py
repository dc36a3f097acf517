"""Who calls over HTTP, and what follows from it: roles, sessions, records, and what reaches no server."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from mcp import Client, MCPError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthToken
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pygent_registry import roles
from pygent_registry.catalogue import Listing, compose
from pygent_registry.config import parse
from pygent_registry.journal import NAME
from pygent_registry.roles import Role, role_of
from pygent_shared.caller import META
from pygent_shared.errors import ConfigInvalid
from pygent_shared.http.identity import Principal
from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN, refusal

from .serving import HELLO, serving

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])
READER = {
    "a": ["read", "echo"],
    "all": ["test_simple_text", "test_simple_prompt", "test://static-text", "test://template/*"],
}


@pytest.fixture
def servers(everything: dict[str, Any]) -> dict[str, Any]:
    policies = {"command": sys.executable, "args": [str(HERE / "policy_servers.py"), "legacy"]}
    return {"a": policies, "hidden": policies, "all": everything}


async def names(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


# Roles


@MODES
async def test_a_caller_sees_and_calls_what_its_roles_allow_and_nothing_else(
    settings: Settings, servers: dict[str, Any], mode: str
) -> None:
    async with serving(settings, servers, {"reader": READER}) as up:
        async with up.host(TOKEN, mode) as owner:
            assert {"a__write", "hidden__read", "all__test_error_handling"} <= await names(owner)
        async with up.host(up.key("ci", "reader"), mode) as client:
            listed = await client.list_tools()
            assert {tool.name for tool in listed.tools} == {"a__read", "a__echo", "all__test_simple_text"}
            assert not (await client.call_tool("a__read", {})).is_error
            hidden = await refusal(client, "hidden__read")
            assert hidden.startswith('There is no tool "hidden__read".')
            assert hidden.count("hidden") == 1

            assert [prompt.name for prompt in (await client.list_prompts()).prompts] == [
                "all__test_simple_prompt"
            ]
            await client.get_prompt("all__test_simple_prompt")
            with pytest.raises(MCPError, match='There is no prompt "all__test_prompt_with_image"'):
                await client.get_prompt("all__test_prompt_with_image")

            uris = {str(resource.uri) for resource in (await client.list_resources()).resources}
            assert uris == {"test://static-text", "pygent://servers"}
            templates = (await client.list_resource_templates()).resource_templates
            assert [template.uri_template for template in templates] == ["test://template/{id}/data"]
            await client.read_resource("test://static-text")
            await client.read_resource("test://template/7/data")
            with pytest.raises(MCPError, match='There is no resource "test://static-binary"'):
                await client.read_resource("test://static-binary")


async def test_where_callers_may_see_different_lists_no_cache_may_share_any(
    settings: Settings, servers: dict[str, Any]
) -> None:
    async with serving(settings, servers, {"reader": READER}) as up:
        key = up.key("ci", "reader")
        for sender in (TOKEN, key):
            async with up.host(sender) as client:
                lists = [
                    await client.list_tools(),
                    await client.list_prompts(),
                    await client.list_resources(),
                    await client.list_resource_templates(),
                    await client.read_resource("test://static-text"),
                ]
                assert {found.cache_scope for found in lists} == {"private"}


@MODES
async def test_roles_hold_at_the_address_of_one_server_too(
    settings: Settings, servers: dict[str, Any], mode: str
) -> None:
    async with serving(settings, servers, {"reader": READER}) as up:
        key = up.key("ci", "reader")
        async with up.host(key, mode, "/servers/a/mcp") as client:
            assert await names(client) == {"read", "echo"}
            assert (await refusal(client, "write")).startswith('There is no tool "write".')
        async with up.host(key, mode, "/servers/hidden/mcp") as client:
            assert await names(client) == set()
            assert (await refusal(client, "read")).startswith('There is no tool "read".')


async def test_search_finds_describes_and_calls_only_what_the_roles_allow(
    settings: Settings, servers: dict[str, Any]
) -> None:
    searching = replace(settings, tools="search", tools_pinned=("*__write",))
    async with serving(searching, servers, {"reader": READER}) as up:
        async with up.host(TOKEN) as owner:
            assert "hidden__write" in await names(owner)
            found = await owner.call_tool("search_tools", {"query": "change something"})
            assert "a__write" in str(found.content)
        async with up.host(up.key("ci", "reader")) as client:
            listed = (await client.list_tools()).tools
            assert {tool.name for tool in listed} == {"search_tools", "describe_tool", "call_tool"}
            assert "hidden" not in json.dumps([tool.input_schema for tool in listed])
            for query in ("change something", "write", "hidden"):
                found = await client.call_tool("search_tools", {"query": query, "limit": 20})
                assert "write" not in str(found.content).replace(query, "")
                assert "hidden" not in str(found.content).replace(query, "")
            for tool in ("describe_tool", "call_tool"):
                why = await refusal(
                    client, tool, name="hidden__read", **({"arguments": {}} if "call" in tool else {})
                )
                assert why.startswith('There is no tool "hidden__read".')
            called = await client.call_tool("call_tool", {"name": "a__read", "arguments": {}})
            assert not called.is_error


async def test_a_server_that_is_down_is_not_told_to_who_may_not_see_it(
    settings: Settings, server: Any, servers: dict[str, Any]
) -> None:
    async with serving(settings, {**servers, "down": server("exits")}, {"reader": READER}) as up:
        async with up.host(TOKEN) as owner:
            assert "no database here" in await refusal(owner, "down__anything")
        async with up.host(up.key("ci", "reader")) as client:
            assert (await refusal(client, "down__anything")).startswith('There is no tool "down__anything".')
            status = await client.read_resource("pygent://servers")
            assert set(json.loads(status.contents[0].text)["servers"]) == {"a", "all"}  # type: ignore[union-attr]


async def test_logs_are_not_for_callers_bound_to_roles(settings: Settings, servers: dict[str, Any]) -> None:
    async with serving(settings, servers, {"reader": READER}) as up:
        async with up.http(up.key("ci", "reader")) as http:
            refused = [await http.get(f"/servers/{name}/logs") for name in ("a", "hidden", "nowhere")]
        async with up.http(TOKEN) as http:
            assert (await http.get("/servers/a/logs")).status_code == 200

    assert {answer.status_code for answer in refused} == {403}
    assert len({answer.text for answer in refused}) == 1


async def test_a_role_that_is_edited_holds_at_once_and_one_that_is_removed_allows_nothing(
    settings: Settings, servers: dict[str, Any]
) -> None:
    async with serving(settings, servers, {"reader": READER}) as up:
        async with up.host(up.key("ci", "reader")) as client:
            assert "a__read" in await names(client)
            wider = {"reader": {"a": ["write"]}}
            up.registry.apply(parse({"mcpServers": servers, "roles": wider}))
            assert await names(client) == {"a__write"}
            up.registry.apply(parse({"mcpServers": servers}))
            assert await names(client) == set()


@pytest.mark.parametrize(
    ("principal", "allowed"),
    [
        (None, True),
        (Principal(name="token", kind="token", credential="token"), True),
        (Principal(name="key:a", kind="key", credential="1"), True),
        (Principal(name="key:b", kind="key", credential="2", roles=("gone",), limited=True), False),
        (Principal(name="oauth:ada", kind="jwt", credential="c"), False),
        (Principal(name="oauth:ada", kind="jwt", credential="c", roles=("gone",)), False),
        (Principal(name="oauth:ada", kind="jwt", credential="c", roles=("gone", "all")), True),
    ],
)
def test_who_is_bound_to_roles(principal: Principal | None, allowed: bool) -> None:
    known = roles.parse({"all": {"*": ["*"]}})
    role = role_of(principal, known)
    assert (role is None or role.permits("a", "read")) is allowed


def test_an_issuers_callers_are_bound_to_nothing_where_no_roles_are_written_down() -> None:
    ada = Principal(name="oauth:ada", kind="jwt", credential="c", roles=("whatever",))
    assert role_of(ada, {}) is None


def test_a_pattern_of_one_server_reaches_no_other_whatever_they_are_called() -> None:
    role = roles.parse({"r": {"a": ["*"]}})["r"]
    tool = {"name": "c", "inputSchema": {"type": "object"}}
    odd = {"name": "a__c", "inputSchema": {"type": "object"}}
    whole = compose(
        [
            Listing(server="a__b", prefix="a__b", tools=(tool,)),
            Listing(server="b", prefix="", tools=(odd,)),
            Listing(server="a", prefix="other", tools=(tool,)),
        ]
    )
    assert list(roles.permitted(whole, role).tools) == ["other__c"]
    assert roles.permitted(whole, Role()).tools == {}
    assert roles.permitted(whole, None) is whole


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ([], 'has "roles" that are no object'),
        ({"r": ["memory__*"]}, 'has a role "r" that is no object of servers'),
        ({"r": {"memory": "*"}}, 'has a role "r" whose "memory" is no list of names'),
        ({"r": {"memory": [1]}}, 'has a role "r" whose "memory" is no list of names'),
    ],
)
def test_roles_that_cannot_be_understood_refuse_the_whole_file(written: Any, why: str) -> None:
    with pytest.raises(ConfigInvalid, match=why):
        parse({"roles": written})


# An issuer


@asynccontextmanager
async def issuing(settings: Settings) -> AsyncIterator[tuple[str, list[str]]]:
    """The URL of an authorization server that gives out tokens, and the scopes it was asked for. The roles
    of a token are its client's id.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    asked: list[str] = []

    async def metadata(request: Request) -> JSONResponse:
        endpoints = {"token_endpoint": f"{url}/token", "jwks_uri": f"{url}/keys"}
        return JSONResponse({"issuer": url, "authorization_endpoint": f"{url}/authorize", **endpoints})

    async def keys(request: Request) -> JSONResponse:
        return JSONResponse({"keys": [{**json.loads(ECAlgorithm.to_jwk(key.public_key())), "kid": "1"}]})

    async def token(request: Request) -> JSONResponse:
        form = dict(parse_qsl((await request.body()).decode()))
        asked.append(form.get("scope", ""))
        claims = {
            "iss": url,
            "aud": form["resource"],
            "sub": "ada",
            "exp": int(time.time()) + 60,
            "scope": form.get("scope", ""),
            "roles": form["client_id"],
        }
        whole = jwt.encode(claims, key, algorithm="ES256", headers={"kid": "1"})
        return JSONResponse({"access_token": whole, "token_type": "Bearer", "expires_in": 60})

    listener = listen(settings)
    url = address(listener)
    paths = [
        Route("/.well-known/oauth-authorization-server", metadata),
        Route("/keys", keys),
        Route("/token", token, methods=["POST"]),
    ]
    async with running(Starlette(routes=paths), listener):
        yield url, asked


class Memory:
    """Where the SDK's client keeps its tokens."""

    tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> None:
        return None

    async def set_client_info(self, client_info: Any) -> None:
        raise AssertionError("it is registered already")


@MODES
async def test_a_host_that_knows_only_the_address_finds_the_issuer_and_sees_what_its_roles_allow(
    settings: Settings, servers: dict[str, Any], mode: Any
) -> None:
    asking = replace(settings, oauth_scopes=("tools",))
    async with issuing(settings) as (issuer, asked):
        async with serving(asking, {"a": servers["a"]}, {"reader": READER}, issuer=issuer) as up:
            for roles_of, seen in (("reader", {"a__read", "a__echo"}), ("nobody", set())):
                auth = ClientCredentialsOAuthProvider(
                    server_url=f"{up.base}/mcp",
                    storage=Memory(),
                    client_id=roles_of,
                    client_secret="not checked here",
                    token_endpoint_auth_method="client_secret_post",
                    issuer=issuer,
                )
                async with httpx2.AsyncClient(auth=auth, timeout=30) as http:
                    transport = streamable_http_client(f"{up.base}/mcp", http_client=http)
                    async with Client(transport, mode=mode) as client:
                        assert await names(client) == seen
    assert asked == ["tools", "tools"]


# Names and sessions


async def test_the_record_of_a_call_names_its_caller(settings: Settings, servers: dict[str, Any]) -> None:
    async with serving(settings, {"a": servers["a"]}) as up:
        callers = ((TOKEN, "auto"), (up.key("ci"), "legacy"), (up.key("desk"), "auto"))
        for key, mode in callers:
            async with up.host(key, mode) as client:
                await client.call_tool("a__read", {})

    lines = (settings.data_dir / NAME).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["who"] for line in lines] == ["token", "key:ci", "key:desk"]


async def test_a_session_is_refused_to_everyone_but_who_opened_it(
    settings: Settings, servers: dict[str, Any]
) -> None:
    lists = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    async with serving(settings, {"a": servers["a"]}) as up:
        a, b = up.key("a"), up.key("b")
        async with up.http(a) as ours, up.http(b) as theirs, up.http(TOKEN) as owner:
            session = {"Mcp-Session-Id": (await ours.post("/mcp", json=HELLO)).headers["mcp-session-id"]}
            for other in (theirs, owner):
                assert (await other.post("/mcp", json=lists, headers=session)).status_code == 404
                assert (await other.get("/mcp", headers=session)).status_code == 404
                assert (await other.delete("/mcp", headers=session)).status_code == 404
            assert (await ours.post("/mcp", json=lists, headers=session)).status_code == 200


async def test_a_key_that_replaces_another_of_its_name_does_not_take_over_its_sessions(
    settings: Settings, servers: dict[str, Any]
) -> None:
    lists = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    async with serving(settings, {"a": servers["a"]}) as up:
        async with up.http(up.key("ci")) as before:
            session = {"Mcp-Session-Id": (await before.post("/mcp", json=HELLO)).headers["mcp-session-id"]}
        up.keys.revoke("ci")
        async with up.http(up.key("ci")) as after:
            refused = await after.post("/mcp", json=lists, headers=session)
            while refused.status_code == 401:  # until the new key is taken over
                refused = await after.post("/mcp", json=lists, headers=session)
    assert refused.status_code == 404


async def test_a_caller_has_so_many_sessions_and_takes_nobody_elses(
    settings: Settings, servers: dict[str, Any]
) -> None:
    async with serving(replace(settings, caller_sessions=2), {"a": servers["a"]}) as up:
        greedy, modest = up.key("greedy"), up.key("modest")
        async with up.http(greedy) as http, up.http(modest) as other:
            opened = [await http.post("/mcp", json=HELLO) for _ in range(3)]
            assert [answer.status_code for answer in opened] == [200, 200, 503]
            assert (await other.post("/mcp", json=HELLO)).status_code == 200
            ended = {"Mcp-Session-Id": opened[0].headers["mcp-session-id"]}
            assert (await http.delete("/mcp", headers=ended)).status_code == 200
            assert (await http.post("/mcp", json=HELLO)).status_code == 200


async def test_a_large_result_is_kept_for_its_caller_alone(
    settings: Settings, servers: dict[str, Any]
) -> None:
    small = replace(settings, max_result_bytes=1000)
    async with serving(small, {"a": servers["a"]}) as up:
        a, b = up.key("a"), up.key("b")
        async with up.host(a) as ours, up.host(b) as theirs:
            cut = await ours.call_tool("a__big", {"bytes": 5000})
            (uri,) = {str(block.uri) for block in cut.content if block.type == "resource_link"}
            assert (await ours.read_resource(uri)).contents
            with pytest.raises(MCPError, match="is the address of no result"):
                await theirs.read_resource(uri)


# What reaches a server


@asynccontextmanager
async def recording(settings: Settings) -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """A server of the 2025 era over HTTP, and the headers and bodies of what it was sent."""
    seen: list[dict[str, str]] = []

    async def answer(request: Request) -> JSONResponse:
        body = await request.body()
        seen.append({**dict(request.headers), "body": body.decode(), "url": str(request.url)})
        asked = json.loads(body) if body else {}
        results: dict[str, Any] = {
            "initialize": {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "recorder", "version": "0"},
            },
            "tools/list": {"tools": [{"name": "say", "inputSchema": {"type": "object"}}]},
            "tools/call": {"content": [{"type": "text", "text": "said"}]},
        }
        if asked.get("method") not in results:
            code = 202 if "id" not in asked else 200
            error = {"code": -32601, "message": "no such method"}
            return JSONResponse({"jsonrpc": "2.0", "id": asked.get("id"), "error": error}, status_code=code)
        return JSONResponse({"jsonrpc": "2.0", "id": asked["id"], "result": results[asked["method"]]})

    listener = listen(settings)
    app = Starlette(routes=[Route("/mcp", answer, methods=["POST"])])
    async with running(app, listener):
        yield f"{address(listener)}/mcp", seen


@MODES
async def test_what_a_caller_sent_to_be_let_in_reaches_no_server(settings: Settings, mode: str) -> None:
    async with recording(settings) as (url, seen):
        entry = {"url": url, "headers": {"X-Own": "for-the-server"}}
        async with serving(settings, {"r": entry}) as up:
            key = up.key("ci")
            async with up.host(key, mode) as client:
                assert not (await client.call_tool("r__say", {})).is_error
        assert any("tools/call" in request["body"] for request in seen)
        assert {request["x-own"] for request in seen} == {"for-the-server"}
        assert not any("authorization" in request for request in seen)
        assert key not in json.dumps(seen)


# What is kept for a caller


def echoes(result: Any) -> Any:
    assert not result.is_error, result.content
    return result.structured_content


@pytest.mark.parametrize("isolated", [False, True])
async def test_our_own_servers_keep_apart_what_different_callers_have_there(
    settings: Settings, isolated: bool
) -> None:
    servers = {"memory": {"server": "memory", "isolated": isolated}}
    async with serving(settings, servers) as up:
        keys = up.key("ann"), up.key("bo"), TOKEN
        async with up.host(keys[0]) as ann, up.host(keys[1]) as bo, up.host(keys[2]) as owner:
            await ann.call_tool("memory__memory_add", {"text": "The tide is high."})
            forged = {"query": "tide", "space": "ann/default"}
            for other in (bo, owner):
                found = await other.call_tool("memory__memory_search", {"query": "tide"}, meta={META: "ann"})
                assert echoes(found)["results"] == []
            assert "not a space of yours" in await refusal(bo, "memory__memory_search", **forged)
            found = await ann.call_tool("memory__memory_search", {"query": "tide"})
            assert [item["text"] for item in echoes(found)["results"]] == ["The tide is high."]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_no_other_server_learns_who_calls(settings: Settings, era: str) -> None:
    telling = {"command": sys.executable, "args": [str(HERE / "meta_servers.py"), era]}
    async with serving(settings, {"m": telling}) as up, up.host(up.key("ann")) as ann:
        result = await ann.call_tool("m__meta", {}, meta={META: "somebody", "mine": 1})
        assert not result.is_error
        assert "mine" in str(result.content)
        assert META not in str(result.content)
