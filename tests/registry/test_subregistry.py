"""The servers as a registry publishes them: found page by page, and nothing told but where they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pygent_registry.config import parse
from pygent_registry.endpoint import routes
from pygent_registry.imported import Imported, servers
from pygent_registry.registry import Registry
from pygent_registry.subregistry import described, page
from pygent_shared.errors import InvalidArgument
from pygent_shared.http.guard import Guard
from pygent_shared.http.identity import OwnToken
from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN

SECRET = "correct-horse-battery"
NAMES = [f"s{number:03}" for number in range(250)]


def published(*names: str) -> list[dict[str, Any]]:
    return [described(name, f"http://x/servers/{name}/mcp", {}, guarded=True) for name in names]


def names(found: dict[str, Any]) -> list[str]:
    return [item["server"]["name"].removeprefix("local.pygent/") for item in found["servers"]]


@pytest.fixture
def http(settings: Settings) -> Iterator[TestClient]:
    """The guarded routes over three entries that hold secrets wherever they can."""
    entries = {
        "mail": {"command": "x", "args": ["--key", SECRET], "env": {"API_KEY": SECRET}},
        "docs": {"url": f"https://me:{SECRET}@x.example/mcp?key={SECRET}", "headers": {"K": SECRET}},
        "a b": {"server": "memory"},
        "bad": {"comand": "x"},
        "off": {"command": "x", "disabled": True},
    }
    registry = Registry(parse({"mcpServers": entries}), settings)
    app = Guard(Starlette(routes=routes(registry)), settings, [OwnToken(TOKEN)])
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(app, base_url="http://127.0.0.1:8700", headers=headers) as client:
        yield client


def test_each_server_is_published_with_its_path_here_and_nothing_else(http: TestClient) -> None:
    answer = http.get("/v0.1/servers")
    assert names(answer.json()) == ["a-b", "docs", "mail"]
    assert answer.json()["metadata"] == {"count": 3}
    assert SECRET not in answer.text
    mail = answer.json()["servers"][2]
    (remote,) = mail["server"]["remotes"]
    assert (remote["type"], remote["url"]) == ("streamable-http", "http://127.0.0.1:8700/servers/mail/mcp")
    assert set(mail["server"]) == {"$schema", "name", "title", "description", "version", "remotes"}
    assert mail["_meta"]["io.modelcontextprotocol.registry/official"] == {
        "status": "active",
        "isLatest": True,
    }


def test_what_is_required_of_a_server_json_holds(http: TestClient) -> None:
    for item in http.get("/v0.1/servers").json()["servers"]:
        server = item["server"]
        assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", server["name"])
        assert 1 <= len(server["description"]) <= 100
        assert re.fullmatch(r"\d+\.\d+\.\d+", server["version"])
        json.dumps(server)


def test_what_is_published_can_be_imported(http: TestClient) -> None:
    answer = http.get("/v0.1/servers/local.pygent%2Fmail/versions/latest").json()
    (found,) = servers(answer["server"])
    assert isinstance(found, Imported)
    assert found.entry == {
        "url": "http://127.0.0.1:8700/servers/mail/mcp",
        "headers": {"Authorization": "${MAIL_AUTHORIZATION}"},
    }


def test_a_server_is_found_by_its_name_and_version_or_is_not_there(http: TestClient) -> None:
    base = f"/v0.1/servers/{quote('local.pygent/docs', safe='')}"
    listed = http.get(f"{base}/versions").json()
    version = listed["servers"][0]["server"]["version"]
    assert http.get(f"{base}/versions/{version}").json() == listed["servers"][0]
    missing = http.get(f"{base}/versions/9.9.9")
    assert (missing.status_code, "9.9.9" in missing.json()["error"]) == (404, True)
    other = http.get("/v0.1/servers/local.pygent%2Fdcos/versions/latest")
    assert (other.status_code, 'Did you mean "local.pygent/docs"?' in other.json()["error"]) == (404, True)


def test_it_is_guarded_and_only_read(http: TestClient) -> None:
    path = "/v0.1/servers/local.pygent%2Fdocs/versions/latest"
    for url in ("/v0.1/servers", path):
        assert http.get(url, headers={"Authorization": ""}).status_code == 401
        assert http.get(url, headers={"Host": "evil.example"}).status_code == 421
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert http.request(method, url, json={}).status_code == 405


def test_a_wrong_limit_or_cursor_is_refused_with_a_sentence(http: TestClient) -> None:
    for query in ("limit=0", "limit=-1", "limit=x", "limit=99999999999999999999", "cursor=%ff", "cursor=x"):
        answer = http.get(f"/v0.1/servers?{query}")
        assert answer.status_code == 400, query
        assert answer.json()["error"].startswith(query.partition("=")[0])


@pytest.mark.parametrize(("limit", "pages"), [("100", 3), ("1000", 3), ("7", 36), (None, 9)])
def test_pages_hold_every_server_once(limit: str | None, pages: int) -> None:
    every, query = published(*reversed(NAMES)), {"limit": limit} if limit else {}
    found, count = page(every, query), 1
    seen = names(found)
    while cursor := found["metadata"].get("nextCursor"):
        found, count = page(every, {**query, "cursor": cursor}), count + 1
        seen += names(found)
    assert (seen, count) == (NAMES, pages)


def test_search_is_for_a_part_of_the_name_in_any_case() -> None:
    every = published("GitHub", "gitlab", "mail")
    assert names(page(every, {"search": "git"})) == ["GitHub", "gitlab"]
    assert names(page(every, {"search": "git", "version": "0.0.0"})) == []


def test_a_cursor_is_none_of_a_page_number() -> None:
    with pytest.raises(InvalidArgument, match="cursor"):
        page(published("a"), {"cursor": "2"})


def test_no_token_is_asked_for_where_none_is_needed() -> None:
    (server,) = [described("a", "http://x", {}, guarded=False)]
    assert "headers" not in server["server"]["remotes"][0]
