"""Values that stand elsewhere than in the config: how they are found, and that nobody else sees them."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pygent_registry import exposure
from pygent_registry.config import parse
from pygent_registry.draft import faults
from pygent_registry.endpoint import routes
from pygent_registry.entry import Entry
from pygent_registry.gateway import Gateway
from pygent_registry.redaction import secrets_of
from pygent_registry.registry import Registry
from pygent_registry.remembered import Remembered
from pygent_registry.status import STATUS_URI
from pygent_shared import logs
from pygent_shared.settings import Settings

SECRET = "correct-horse-battery"


def only(raw: dict[str, Any], path: Path | None = None, **environ: str) -> Entry:
    config = parse({"mcpServers": {"a": raw}}, path=path, environ=environ)
    assert not config.bad, config.bad
    return config.entries[0]


def refused(raw: dict[str, Any], path: Path | None = None, **environ: str) -> str:
    """Why the entry is left out, while its neighbour is not."""
    config = parse({"mcpServers": {"a": raw, "b": {"command": "x"}}}, path=path, environ=environ)
    assert [entry.name for entry in config.entries] == ["b"]
    return config.bad[0].why


@pytest.fixture
def keyring() -> Iterator[dict[tuple[str, str], str]]:
    """A keyring in memory in the place of the system's."""
    library = pytest.importorskip("keyring")
    kept: dict[tuple[str, str], str] = {}

    class InMemory(library.backend.KeyringBackend):  # type: ignore[misc, name-defined]
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            return kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            kept[service, username] = password

    before = library.get_keyring()
    library.set_keyring(InMemory())
    yield kept
    library.set_keyring(before)


# Files.


def test_a_file_is_read_without_the_line_end_that_editors_add(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"correct-horse\r\n")
    text = f"Bearer ${{file:{tmp_path}/key}}"
    assert only({"url": "http://x", "headers": {"K": text}}).headers["K"] == "Bearer correct-horse"


def test_a_relative_path_starts_in_the_folder_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("correct-horse")
    entry = only({"command": "x", "env": {"K": "${file:key}"}}, tmp_path / "pygent.json")
    assert entry.env["K"] == "correct-horse"


def test_a_tilde_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text("correct-horse")
    assert only({"url": "https://x/?key=${file:~/key}"}).url == "https://x/?key=correct-horse"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist; put the value into"),
        (b"", "holds no value; write it into the file"),
        (b"\n", "holds no value"),
        (b"a\0b", "holds no value"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * 70_000, "holds more than 64 KiB"),
    ],
)
def test_a_file_without_a_value_costs_its_own_server_only(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    why = refused({"command": "x", "env": {"K": "${file:key}"}}, tmp_path / "pygent.json")
    assert why.startswith('its "env.K" needs ${file:key}, which ')
    assert words in why


@pytest.mark.parametrize("place", ["", "\0", "a\0b"])
def test_what_is_no_path_is_told_as_that(place: str) -> None:
    why = refused({"command": "x", "env": {"K": f"${{file:{place}}}"}})
    assert "must name a file, as in ${file:PATH}" in why


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_or_a_folder_in_the_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        why = refused({"command": "x", "env": {"K": f"${{file:{place}}}"}})
        assert "is no file" in why or "cannot be read" in why


# The keyring.


def test_the_keyring_is_asked_by_service_and_name(keyring: dict[tuple[str, str], str]) -> None:
    keyring["https://x", "me"] = "correct-horse"
    entry = only({"url": "http://x", "headers": {"K": "${keyring:https://x/me}"}})
    assert entry.headers["K"] == "correct-horse"


def test_what_the_keyring_does_not_hold_is_named_with_the_command_that_stores_it(
    keyring: dict[tuple[str, str], str],
) -> None:
    why = refused({"command": "x", "env": {"K": "${keyring:github/token}"}})
    assert 'its "env.K" needs ${keyring:github/token}, which the keyring does not hold' in why
    assert "keyring set github token" in why


def test_a_keyring_that_is_locked_or_missing_is_told_in_a_clause(
    keyring: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import keyring as library
    from keyring.errors import KeyringLocked

    def locked(service: str, name: str) -> str:
        raise KeyringLocked("Failed to unlock the collection! And more. Much more.")

    monkeypatch.setattr(library.get_keyring(), "get_password", locked)
    why = refused({"command": "x", "env": {"K": "${keyring:github/token}"}})
    assert "does not give (Failed to unlock the collection! And more); unlock the system's keyring" in why


def test_a_reference_to_the_keyring_without_a_name_is_refused() -> None:
    for place in ("github", "github/", "/token", ""):
        why = refused({"command": "x", "env": {"K": f"${{keyring:{place}}}"}})
        assert "${keyring:SERVICE/NAME}" in why


def test_without_the_library_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    why = refused({"command": "x", "env": {"K": "${keyring:github/token}"}})
    assert "pip install 'pygent-factory[keyring]'" in why


def test_adding_an_entry_looks_at_its_shape_and_follows_nothing(tmp_path: Path) -> None:
    references = {"A": "${file:/nowhere}", "B": "${keyring:no/body}", "C": "${NOT_SET}"}
    assert not list(faults({"a": {"command": "x", "env": references}, "b": {"url": "${file:/nowhere}"}}))


# What is a secret, and who can see it.


def test_what_is_filled_in_is_known_as_a_secret_by_where_it_was_kept(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("hush")
    written = {
        "command": "x",
        "args": ["--key=${API_KEY}", "${HOME}/notes"],
        "env": {"PLAIN": "${file:pin}", "WHERE": "${HOME}"},
    }
    entry = only(written, tmp_path / "pygent.json", API_KEY="correct-horse", HOME="/home/somebody")
    assert secrets_of(entry) == {"hush", "correct-horse"}


def test_only_secrets_in_arguments_are_warned_about(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("correct-horse")
    args = ["${HOME}/notes", "--port=${PORT:-8080}", "--key", "${API_KEY}", "${file:key}"]
    written = {"command": "x", "args": args, "env": {"K": "${API_KEY}"}}
    found = list(
        exposure.in_arguments(only(written, tmp_path / "c", HOME="/home/somebody", API_KEY="correct-horse"))
    )
    assert len(found) == 2
    assert found[0].startswith('the secret API_KEY is filled into its "args"')
    assert "correct-horse" not in str(found)


def test_secrets_that_stand_in_the_file_are_found_by_their_place() -> None:
    token = "ghp_" + "a1" * 18
    stdio = only(
        {
            "command": "x",
            "args": [
                "--api-key",
                "correct-horse",
                f"--t={token}",
                "--key=${A:-b}",
                "-y",
                "pkg-2025.1.14-beta",
            ],
            "env": {"API_KEY": "correct-horse", "OTHER": token, "GOOD_KEY": "${A:-b}", "LOG_LEVEL": "debug"},
        }
    )
    assert list(exposure.in_the_file(stdio)) == [
        "env.API_KEY",
        "env.OTHER",
        "args (--api-key)",
        "args (--t)",
    ]
    http = only(
        {"url": "http://x/?api_key=correct-horse", "headers": {"Authorization": "Bearer correct-horse"}}
    )
    assert list(exposure.in_the_file(http)) == ["headers.Authorization", "url"]
    auth = {"type": "client_credentials", "token_url": "http://127.0.0.1/t", "client_id": "me"}
    for secret, places in (("correct-horse", ["auth.client_secret"]), ("${A:-b}", [])):
        entry = only({"url": "http://x/mcp", "auth": {**auth, "client_secret": secret}})
        assert list(exposure.in_the_file(entry)) == places
    assert not list(exposure.in_the_file(only({"command": "npx", "args": ["-y", "@scope/server-x@1.2.3"]})))


def test_a_warning_about_an_argument_is_logged_once_for_each_entry(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    raw = {"mcpServers": {"a": {"command": "x", "args": ["${API_KEY}"]}}}
    registry = Registry(parse(raw, environ={"API_KEY": SECRET}), settings)
    registry.apply(parse({**raw, "more": 1}, environ={"API_KEY": SECRET}))
    (said,) = [line for line in caplog.messages if "ps" in line]
    assert SECRET not in said


# No sink holds it.


@pytest.fixture(params=["variable", "file", "keyring"])
def reference(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A reference of each kind to SECRET."""
    match request.param:
        case "variable":
            monkeypatch.setenv("ELSEWHERE", SECRET)
            return "${ELSEWHERE}"
        case "file":
            (tmp_path / "key").write_text(SECRET)
            return f"${{file:{tmp_path}/key}}"
        case _:
            kept = request.getfixturevalue("keyring")
            kept["a", "b"] = SECRET
            return "${keyring:a/b}"


@pytest.fixture
def logged(own_logging: None) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(Settings(log_level="debug", log_format="json"), stream)
    yield stream
    logging.getLogger().handlers.clear()


def written_in(folder: Path) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file())


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_server_that_tells_its_secret_everywhere_is_heard_nowhere(
    server: Any, settings: Settings, reference: str, logged: io.StringIO, mode: Any
) -> None:
    servers = {
        "a": server("leaking", env={"API_KEY": reference}),
        "b": server("leaking_at_its_end", env={"API_KEY": reference}),
    }
    heard: list[Any] = []

    async def message(message: Any) -> None:
        heard.append(message)

    remembered = Remembered(settings.data_dir / "catalogue.json")
    registry = Registry(
        parse({"mcpServers": servers}),
        Settings(**{**vars(settings), "audit": "arguments"}),
        remembered=remembered,
    )
    async with Client(Gateway(registry), mode=mode, cache=None, message_handler=message) as client:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == ["a__echo"]
        assert "Say it back, with [secret]." in str(listed)
        called = await client.call_tool("a__echo", {"key": SECRET})
        assert "the key is [secret]" in str(called)
        with anyio.fail_after(10):
            # A host of the 2026 era has not asked for log messages.
            while not registry.downstreams["b"].primary.why or (mode == "legacy" and not heard):
                await anyio.sleep(0.01)
        status = await client.read_resource(STATUS_URI)
        assert "cannot log in with [secret]" in str(status)
        with TestClient(Starlette(routes=routes(registry)), base_url="http://127.0.0.1") as http:
            log = http.get("/servers/a/logs").text
        assert "starting with [secret]" in log
        logging.getLogger("anyone").warning("a library says %s", SECRET)
        told = [listed, called, status, log, heard, client.instructions, registry.report()]
    assert ("called with [secret]" in str(heard)) == (mode == "legacy")
    for part in (*map(str, told), logged.getvalue(), written_in(settings.data_dir)):
        assert SECRET not in part
    assert "a library says [secret]" in logged.getvalue()
    assert "Say it back, with [secret]" in written_in(settings.data_dir)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_secret_in_a_url_is_not_told_by_its_failure(
    settings: Settings, kind: str, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", SECRET)
    entry = {"url": "http://127.0.0.1:9/mcp?key=${API_KEY}", "type": kind}
    registry = Registry(parse({"mcpServers": {"a": entry}}), settings)
    async with Client(Gateway(registry), cache=None) as client:
        await client.list_tools()
        with anyio.fail_after(10):
            while not registry.downstreams["a"].primary.cure:
                await anyio.sleep(0.01)
        link = registry.downstreams["a"].primary
        assert "key=[secret]" in link.cure
        refused = await client.call_tool("a__x", {})
    for part in (link.why, link.cure, json.dumps(registry.report()), str(refused), logged.getvalue()):
        assert SECRET not in part
