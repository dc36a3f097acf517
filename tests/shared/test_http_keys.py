"""API keys: kept as hashes, changed by several processes, taken over while a server runs."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server.mcpserver import MCPServer
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pygent_shared.errors import FileRefused, InvalidArgument, UnknownName
from pygent_shared.http import guard, keys
from pygent_shared.http.app import build_app
from pygent_shared.http.identity import principal_of
from pygent_shared.http.keys import ApiKeys, KeyFile
from pygent_shared.http.run import address, listen, running
from pygent_shared.serve import lowlevel
from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN

pytestmark = pytest.mark.anyio


async def who(request: Request) -> JSONResponse:
    principal = principal_of(request.scope)
    assert principal is not None
    return JSONResponse({"name": principal.name, "roles": principal.roles, "kind": principal.kind})


class Roles(MCPServer):
    """An MCP server whose low-level server says who is bound to roles."""

    def __init__(self) -> None:
        super().__init__("roles")
        lowlevel(self).binds = lambda principal: principal.limited  # type: ignore[attr-defined]


@asynccontextmanager
async def served(
    settings: Settings, server: MCPServer | None = None, token: str = TOKEN
) -> AsyncIterator[Callable[..., Awaitable[httpx2.Response]]]:
    """`await ask(key, path="/who", **options)`."""
    listener = listen(settings)
    servers = {"/mcp": lowlevel(server or Roles())}
    app = build_app(servers, settings, token, more=[Route("/who", who), Route("/who/mcp", who)])
    async with running(app, listener), httpx2.AsyncClient(base_url=address(listener), timeout=20) as http:

        async def ask(key: str, path: str = "/who", **options: Any) -> httpx2.Response:
            return await http.get(path, headers={"Authorization": f"Bearer {key}"}, **options)

        yield ask


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A running endpoint looks at the file at every call."""
    monkeypatch.setattr(keys, "LOOK_SECONDS", 0.0)


# The file


def test_only_the_hash_of_a_key_is_kept_for_its_owner_alone(settings: Settings) -> None:
    file = KeyFile(settings)
    key, whole = file.add("laptop", ["reader"], timedelta(days=1))

    assert whole.startswith("pgk_")
    assert len(whole) == 4 + 43  # 256 bits in base64
    assert whole not in file.path.read_text(encoding="utf-8")
    assert key.hash == hashlib.sha256(whole.encode()).hexdigest()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert file.read() == (key,)
    assert sorted(entry.name for entry in settings.data_dir.iterdir()) == ["keys.json", "keys.lock"]


def test_processes_that_add_keys_at_once_lose_none(tmp_path: Path, environ: dict[str, str]) -> None:
    adds = (
        "import sys; from pathlib import Path\n"
        "from pygent_shared.http.keys import KeyFile; from pygent_shared.settings import Settings\n"
        "file = KeyFile(Settings(data_dir=Path(sys.argv[1])))\n"
        "print(flush=True); sys.stdin.readline()\n"
        "for number in range(5): file.add(f'{sys.argv[2]}-{number}')\n"
    )
    environ = {**environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", adds, str(tmp_path / "data")]
    processes = [
        Popen([*command, f"p{n}"], env=environ, stdin=PIPE, stdout=PIPE, text=True) for n in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        process.communicate("\n", timeout=60)

    assert {process.returncode for process in processes} == {0}
    names = {key.name for key in KeyFile(Settings(data_dir=tmp_path / "data")).read()}
    assert names == {f"p{n}-{number}" for n in range(4) for number in range(5)}


@pytest.mark.parametrize("content", ["", "[]", '{"keys": [{"name": "x"}]}', '{"keys": {"a": 1}}', "\0"])
def test_a_damaged_file_gives_no_access_and_is_not_written(settings: Settings, content: str) -> None:
    file = KeyFile(settings)
    file.path.parent.mkdir()
    file.path.write_text(content, encoding="utf-8")
    file.path.chmod(0o600)

    for refused in (file.read, lambda: file.add("new"), lambda: file.revoke("x")):
        with pytest.raises(FileRefused, match="is damaged, so none of its keys counts"):
            refused()
    assert file.path.read_text(encoding="utf-8") == content


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_file_that_others_may_write_gives_no_access(settings: Settings) -> None:
    file = KeyFile(settings)
    file.add("laptop")
    file.path.chmod(0o620)

    with pytest.raises(FileRefused, match=r"may be written by others, so none of its keys counts.*chmod 600"):
        file.read()


@pytest.mark.parametrize("name", ["", "two words", "-x", "é", "a/b", "x" * 65, "new\nline"])
def test_a_name_that_would_be_misread_is_refused(settings: Settings, name: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot be a key's name"):
        KeyFile(settings).add(name)


def test_a_name_is_free_again_once_its_key_is_revoked_and_the_old_key_stays_out(settings: Settings) -> None:
    file = KeyFile(settings)
    old, _ = file.add("laptop")
    with pytest.raises(InvalidArgument, match=r"exists already.*pygent keys revoke laptop"):
        file.add("laptop")
    file.revoke(old.id)
    new, _ = file.add("laptop")

    with pytest.raises(InvalidArgument, match="exists already"):
        file.restore(old.id)
    assert file.revoke("laptop").id == new.id
    assert file.restore(old.id).id == old.id
    with pytest.raises(UnknownName, match='Did you mean "laptop"'):
        file.revoke("latpop")


# The endpoint


async def test_a_key_tells_who_calls_and_a_revoked_one_is_out_at_once(
    settings: Settings, hasty: None
) -> None:
    file = KeyFile(settings)
    async with served(settings) as ask:
        _, whole = file.add("laptop", ["reader"])
        found = await ask(whole, "/who/mcp")
        assert found.json() == {"name": "key:laptop", "roles": ["reader"], "kind": "key"}
        assert (await ask(TOKEN)).json()["name"] == "token"
        file.revoke("laptop")
        refused = await ask(whole)
        file.restore("laptop")
        again = await ask(whole, "/who/mcp")

    assert refused.status_code == 401
    assert refused.json()["error"].startswith('The key "laptop" was revoked.')
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert whole not in refused.text
    assert again.status_code == 200


async def test_a_key_is_out_when_its_time_is_over(settings: Settings, hasty: None) -> None:
    file = KeyFile(settings)
    _, whole = file.add("short", lifetime=timedelta(seconds=1))
    async with served(settings) as ask:
        assert (await ask(whole)).status_code == 200
        with anyio.fail_after(5):
            while (answer := await ask(whole)).status_code == 200:
                await anyio.sleep(0.1)

    assert answer.status_code == 401
    assert 'The key "short" expired on' in answer.json()["error"]


async def test_a_file_that_is_damaged_while_it_runs_shuts_keys_out_and_leaves_the_token_in(
    settings: Settings, hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    file = KeyFile(settings)
    _, whole = file.add("laptop")
    async with served(settings) as ask:
        assert (await ask(whole)).status_code == 200
        file.path.write_text("{", encoding="utf-8")
        assert (await ask(whole)).status_code == 401
        assert (await ask(TOKEN)).status_code == 200

    assert "is damaged, so none of its keys counts" in caplog.text
    assert whole not in caplog.text


async def test_failed_attempts_lock_nobody_out(settings: Settings) -> None:
    _, whole = KeyFile(settings).add("laptop")
    async with served(settings) as ask:
        for number in range(300):
            assert (await ask(f"pgk_{number:043}")).status_code == 401
        assert (await ask(whole)).status_code == 200


async def test_the_file_is_not_looked_at_more_than_once_a_second(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = KeyFile(settings).add("laptop")
    looks: list[Path] = []
    monkeypatch.setattr(KeyFile, "stamp", lambda self: looks.append(self.path))
    gate = ApiKeys(settings)
    for _ in range(1000):
        assert await gate.authenticate(whole) is not None

    assert len(looks) == 1


async def test_when_a_key_was_last_used_is_known_to_the_minute(settings: Settings, hasty: None) -> None:
    file = KeyFile(settings)
    key, whole = file.add("laptop")
    assert file.last_used(key) is None
    async with served(settings) as ask:
        await ask(whole)

    used = file.last_used(key)
    assert used is not None
    assert abs(datetime.now(UTC) - used) < timedelta(minutes=1)


async def test_a_key_that_is_bound_to_roles_is_refused_by_a_server_that_knows_none(
    settings: Settings,
) -> None:
    file = KeyFile(settings)
    _, bound = file.add("bound", ["reader"])
    _, free = file.add("free")
    async with served(settings, MCPServer("plain")) as ask:
        assert (await ask(free)).status_code == 200
        refused = await ask(bound)

    assert refused.status_code == 403
    assert "bound to roles" in refused.json()["error"]


async def test_a_key_that_is_bound_to_roles_opens_mcp_endpoints_and_nothing_else(settings: Settings) -> None:
    file = KeyFile(settings)
    _, bound = file.add("bound", ["reader"])
    _, free = file.add("free")
    async with served(settings) as ask:
        statuses = {(path, (await ask(bound, path)).status_code) for path in ("/who/mcp", "/who", "/nowhere")}
        assert statuses == {("/who/mcp", 200), ("/who", 403), ("/nowhere", 403)}
        assert [(await ask(free, path)).status_code for path in ("/who/mcp", "/who")] == [200, 200]


@pytest.mark.parametrize("name", ["access_token", "token", "API_KEY", "q"])
async def test_a_token_in_the_url_is_refused_and_not_repeated(settings: Settings, name: str) -> None:
    _, whole = KeyFile(settings).add("laptop")
    async with served(settings) as ask:
        for path in ("/who", "/health/live"):
            refused = await ask(whole, path, params={name: whole})
            assert (refused.status_code, whole in refused.text) == (400, False)
            assert "may not stand in the URL" in refused.json()["error"]
        assert (await ask(whole, params={"page": "2"})).status_code == 200


async def test_two_authorization_headers_are_refused(settings: Settings) -> None:
    async with served(settings) as ask:
        base = str((await ask(TOKEN)).url)
        async with httpx2.AsyncClient() as http:
            twice = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer other")]
            refused = await http.get(base, headers=twice)

    assert refused.status_code == 400


async def test_an_open_event_stream_ends_when_its_key_is_revoked(
    settings: Settings, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "STREAM_SECONDS", 0.05)
    file = KeyFile(settings)
    _, whole = file.add("laptop")
    listener = listen(settings)
    app = build_app({"/mcp": lowlevel(Roles())}, settings, TOKEN)
    headers = {"Authorization": f"Bearer {whole}", "Accept": "application/json, text/event-stream"}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    async with (
        running(app, listener),
        httpx2.AsyncClient(base_url=address(listener), headers=headers) as http,
    ):
        begun = await http.post(
            "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        )
        session = {"Mcp-Session-Id": begun.headers["mcp-session-id"]}
        async with http.stream("GET", "/mcp", headers=session) as stream:
            assert stream.status_code == 200
            file.revoke("laptop")
            with anyio.fail_after(5):
                async for _ in stream.aiter_bytes():
                    pass


async def test_without_authentication_everybody_is_the_same_caller(settings: Settings) -> None:
    async with served(replace(settings, auth="none"), token="") as ask:
        assert (await ask("whatever")).json() == {"name": "anyone", "roles": [], "kind": "anyone"}


def test_the_file_holds_what_it_says(settings: Settings) -> None:
    file = KeyFile(settings)
    file.add("laptop")

    assert json.loads(file.path.read_text(encoding="utf-8"))["version"] == keys.VERSION
