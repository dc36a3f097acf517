"""`pygent add`, `remove`, `enable`, `disable`: the config file, changed as a person would."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from pygent_registry.cli import main
from pygent_registry.config import parse
from pygent_registry.presets import PRESETS, entry
from pygent_shared.errors import InvalidArgument

pytestmark = pytest.mark.usefixtures("own_logging")

COMMENTED = """{
  // mine
  "mcpServers": {
    "one": {"command": "one", "args": ["a"]}, /* keep */
    "two": {
      "command": "two", // the second
      "disabled": true
    },
  },
  "settings": {"log_level": "error"},
  "theirs": {"x": 1}
}
"""

Pygent = Callable[..., int]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "pygent.json"
    path.write_text(COMMENTED, encoding="utf-8")
    return path


@pytest.fixture
def pygent(path: Path, tmp_path: Path) -> Pygent:
    """Run a command on the config file."""

    def run(command: str, *words: str) -> int:
        own = ["--config", str(path), "--data-dir", str(tmp_path / "data"), "--embedder", "none"]
        return main([command, *own, *words])

    return run


def servers(path: Path) -> dict[str, Any]:
    from pygent_shared.settings import read_config

    found: dict[str, Any] = read_config(path)["mcpServers"]
    return found


def test_a_command_is_added_with_its_own_options_and_all_else_stays(
    pygent: Pygent, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = pygent("add", "--no-check", "three", "--env", "K=${K:-v}", "npx", "-y", "x", "--url", "its own")
    assert code == 0
    assert servers(path)["three"] == {
        "command": "npx",
        "args": ["-y", "x", "--url", "its own"],
        "env": {"K": "${K:-v}"},
    }
    text = path.read_text(encoding="utf-8")
    for remark in ("// mine", "/* keep */", "// the second", '"theirs": {"x": 1}'):
        assert remark in text
    out = capsys.readouterr().out
    assert '+    "three": {' in out
    (backup,) = path.parent.glob("*.pygent-backup")
    assert str(backup) in out
    assert backup.read_text(encoding="utf-8") == COMMENTED


def test_a_url_is_added_with_headers_and_what_they_need_is_named(
    pygent: Pygent, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEB_TOKEN", raising=False)
    words = ["web", "--url", "https://x.example/mcp", "--header", "Authorization=Bearer ${WEB_TOKEN}"]
    assert pygent("add", *words) == 0
    assert servers(path)["web"] == {
        "url": "https://x.example/mcp",
        "headers": {"Authorization": "Bearer ${WEB_TOKEN}"},
    }
    assert "needs the environment variable WEB_TOKEN" in capsys.readouterr().err


def test_adding_the_same_again_changes_nothing_and_something_else_asks_first(
    pygent: Pygent, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pygent("add", "--no-check", "three", "x") == 0
    before = path.read_bytes()
    assert pygent("add", "--no-check", "three", "x") == 0
    assert 'The server "three" is in the config already' in capsys.readouterr().err
    assert pygent("add", "--no-check", "three", "y") == 2
    assert "Replace it: --replace" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert pygent("add", "--no-check", "--replace", "three", "y") == 0
    assert servers(path)["three"] == {"command": "y", "args": []}


def test_an_added_server_is_started_once_to_prove_it(
    pygent: Pygent, server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    works, ends = server("well_behaved"), server("exits")
    assert pygent("add", "works", works["command"], *works["args"]) == 0
    assert "up in" in (said := capsys.readouterr().out)
    assert "9 tools" in said
    assert pygent("add", "ends", ends["command"], *ends["args"]) == 1
    captured = capsys.readouterr()
    assert '"no database here"' in captured.out
    assert "Take it out again: pygent remove ends" in captured.err


def test_what_a_person_replaces_is_trusted_anew_and_what_the_file_says_otherwise_is_not(
    pygent: Pygent, path: Path, server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = server("well_behaved"), server("chatty")
    assert pygent("add", "it", first["command"], *first["args"]) == 0
    assert pygent("call", "it__echo") == 0  # it is met, and pinned
    assert pygent("add", "--replace", "it", second["command"], *second["args"]) == 0
    assert pygent("call", "it__echo") == 0
    path.write_text(path.read_text(encoding="utf-8").replace("chatty", "well_behaved"), encoding="utf-8")
    capsys.readouterr()
    assert pygent("call", "it__echo") == 1
    assert "pygent approve it" in capsys.readouterr().err


def test_the_json_report_is_one_document(
    pygent: Pygent, server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    works = server("well_behaved")
    assert pygent("add", "--json", "works", works["command"], *works["args"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["changed"], report["name"], report["check"]["level"]) == (True, "works", "ok")


def test_print_shows_the_change_and_writes_nothing(
    pygent: Pygent, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pygent("add", "--print", "three", "x") == 0
    assert '+    "three": {' in capsys.readouterr().out
    assert path.read_text(encoding="utf-8") == COMMENTED


def test_a_server_is_disabled_enabled_and_removed(pygent: Pygent, path: Path) -> None:
    assert pygent("disable", "one") == 0
    assert servers(path)["one"]["disabled"] is True
    assert pygent("enable", "one") == 0
    assert servers(path)["one"] == {"command": "one", "args": ["a"]}
    assert pygent("remove", "one") == 0
    assert list(servers(path)) == ["two"]
    assert "// mine" in path.read_text(encoding="utf-8")


def test_what_is_so_already_is_said_and_left(
    pygent: Pygent, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pygent("disable", "two") == 0
    assert pygent("enable", "one") == 0
    said = capsys.readouterr().err
    assert 'The server "two" is disabled already' in said
    assert 'The server "one" is enabled already' in said
    assert path.read_text(encoding="utf-8") == COMMENTED


@pytest.mark.parametrize("command", ["remove", "enable", "disable"])
def test_a_wrong_name_is_answered_with_the_nearest(
    pygent: Pygent, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pygent(command, "tow") == 2
    assert 'There is no server "tow". Did you mean "two"?' in capsys.readouterr().err


def test_a_comment_is_never_lost(pygent: Pygent, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pygent("remove", "two") == 2
    assert 'has comments within "two", which this change would lose' in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == COMMENTED


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a b", "x"], 'may hold letters, digits, "-" and "_" only. Such as: a-b'),
        (["gti"], 'Did you mean "git"?'),
        (["x", "--url", "ftp://x"], "must begin with http:// or https://"),
        (["x", "--env", "K", "y"], '"K" is no KEY=VALUE'),
        (["x", "--url", "http://x", "y"], "exclude each other"),
        (["filesystem"], "FOLDER is missing. Type: pygent add filesystem FOLDER…"),
        (["fetch", "x"], '"x" is one word too many'),
        (["x", "--no-chek", "y"], 'Did you mean "--no-check"?'),
        (["me", sys.executable, "-m", "pygent_registry"], "starts this registry itself"),
    ],
)
def test_what_cannot_be_added_is_said_in_a_sentence(
    pygent: Pygent, path: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pygent("add", *words) == 2
    assert says in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == COMMENTED


def test_without_a_config_file_the_users_own_begins_as_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda *args, **options: str(tmp_path / "own"))
    monkeypatch.delenv("PYGENT_CONFIG", raising=False)
    assert main(["add", "--no-check", "three", "x"]) == 0
    own = tmp_path / "own" / "pygent.json"
    assert list(servers(own)) == ["memory", "rag", "factory", "orchestration", "three"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_an_entry_that_holds_no_secret(name: str) -> None:
    preset = PRESETS[name]
    made = entry(name, ["word"] * preset.least)
    environ = dict.fromkeys(("DATABASE_URI", "BRAVE_API_KEY", "GITHUB_PERSONAL_ACCESS_TOKEN"), "s")
    assert not parse({"mcpServers": {name: made}}, environ=environ).bad
    for value in (made.get("env") or {}).values():
        assert value.startswith("${")
    for value in (made.get("headers") or {}).values():
        assert "${" in value


def test_presets_take_their_words_as_arguments_and_paths_in_full(
    pygent: Pygent, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert pygent("add", "filesystem", "~/notes", "--no-check") == 0
    package = "@modelcontextprotocol/server-filesystem"
    assert servers(path)["filesystem"] == {"command": "npx", "args": ["-y", package, f"{tmp_path}/notes"]}
    assert pygent("add", "memory", "--as", "graph", "--no-check", "/m.json") == 0
    assert servers(path)["graph"]["env"] == {"MEMORY_FILE_PATH": "/m.json"}
    assert pygent("add", "playwright", "--no-check", "--", "--headless") == 0
    assert servers(path)["playwright"]["args"] == ["-y", "@playwright/mcp@latest", "--headless"]
    assert entry("time", ["Europe/Berlin"])["args"] == [
        "mcp-server-time",
        "--local-timezone",
        "Europe/Berlin",
    ]
    with pytest.raises(InvalidArgument):
        entry("sqlite", ["a", "b"])
