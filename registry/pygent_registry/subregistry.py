"""The servers behind this endpoint as a read-only registry, for programs that look servers up in one: the MCP
Registry's generic API (modelcontextprotocol/registry, docs/reference/api/openapi.yaml, v0.1).

The one rule: what is published of a server is its path here and its state, never how it is started or what it
is given. Its version is this program's, which answers on that path.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from pygent_registry.registry import Registry
from pygent_shared.errors import InvalidArgument, UnknownName

SERVERS = "/v0.1/servers"
NAMESPACE = "local.pygent"
SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
MANAGED = "io.modelcontextprotocol.registry/official"
STATE = "pygent/state"
LIMIT, MOST = 30, 100

Server = dict[str, Any]


def routes(registry: Registry, path: str) -> list[BaseRoute]:
    """The routes of the API.

    Args:
        path: where a server is served alone, with `{name}` in it.
    """

    async def listed(request: Request) -> JSONResponse:
        try:
            return JSONResponse(page(_servers(registry, request, path), request.query_params))
        except InvalidArgument as error:
            return JSONResponse({"error": str(error)}, status_code=400)

    async def versions(request: Request) -> JSONResponse:
        return _found(request, lambda server: {"servers": [server], "metadata": {"count": 1}})

    async def one(request: Request) -> JSONResponse:
        return _found(request, lambda server: server)

    def _found(request: Request, answer: Any) -> JSONResponse:
        known = {item["server"]["name"]: item for item in _servers(registry, request, path)}
        name, asked = request.path_params["name"], request.path_params.get("version", "latest")
        if name not in known:
            return JSONResponse({"error": str(UnknownName("server", name, known))}, status_code=404)
        if asked not in ("latest", there := known[name]["server"]["version"]):
            error = UnknownName(f'version of "{name}"', asked, [there])
            return JSONResponse({"error": str(error)}, status_code=404)
        return JSONResponse(answer(known[name]))

    # The name holds a slash, which arrives decoded.
    return [
        Route(SERVERS, endpoint=listed, methods=["GET"]),
        Route(SERVERS + "/{name:path}/versions/{version}", endpoint=one, methods=["GET"]),
        Route(SERVERS + "/{name:path}/versions", endpoint=versions, methods=["GET"]),
    ]


def page(servers: list[Server], query: Mapping[str, str]) -> dict[str, Any]:
    """One page of the servers that a query asks for. `updated_since` leaves none out: times are not kept.

    Raises:
        InvalidArgument: the limit or the cursor is none.
    """
    limit, after = _limit(query.get("limit")), _after(query.get("cursor"))
    words, asked = query.get("search", "").casefold(), query.get("version", "latest")
    fitting = [
        item
        for item in sorted(servers, key=_name)
        if words in _name(item).casefold() and asked in ("latest", item["server"]["version"])
    ]
    rest = [item for item in fitting if after is None or _name(item) > after]
    shown = rest[:limit]
    metadata: dict[str, Any] = {"count": len(shown)}
    if len(rest) > limit:
        metadata["nextCursor"] = urlsafe_b64encode(_name(shown[-1]).encode()).decode()
    return {"servers": shown, "metadata": metadata}


def _servers(registry: Registry, request: Request, path: str) -> list[Server]:
    base = str(request.base_url).rstrip("/")
    states = registry.report()["servers"]
    guarded = registry.settings.auth != "none"
    return [
        described(name, base + path.format(name=name), states.get(name, {}), guarded=guarded)
        for name in registry.downstreams
    ]


def described(name: str, url: str, state: Mapping[str, Any], *, guarded: bool) -> Server:
    """A server as the API describes one.

    Args:
        name: its entry's.
        url: where it is served.
        state: as the registry reports it.
        guarded: whether callers need a token.
    """
    remote: dict[str, Any] = {"type": "streamable-http", "url": url}
    if guarded:
        token = "Bearer, a space, and the token from the file that pygent up names."
        remote["headers"] = [
            {"name": "Authorization", "description": token, "isRequired": True, "isSecret": True}
        ]
    server = {
        "$schema": SCHEMA,
        "name": f"{NAMESPACE}/{name}",
        "title": name[:100],
        "description": f"{name[:70]}, behind this gateway",
        "version": version("pygent-factory"),
        "remotes": [remote],
    }
    told = {key: state[key] for key in ("state", "kind", "era", "tools") if key in state}
    return {"server": server, "_meta": {MANAGED: {"status": "active", "isLatest": True}, STATE: told}}


def _name(item: Server) -> str:
    return str(item["server"]["name"])


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or not int(text):
        raise InvalidArgument(
            "limit", f'"{text[:40]}" is not a whole number above 0', f"It is at most {MOST}."
        )
    return min(int(text), MOST)


def _after(cursor: str | None) -> str | None:
    if not cursor:
        return None
    try:
        return b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument("cursor", "is none of ours", "Begin without one.") from error
