"""`pygent import`: other programs' servers, without their secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pygent_registry.cli import main
from pygent_registry.config import parse
from pygent_registry.imported import Imported, Refused, described, servers

pytestmark = pytest.mark.usefixtures("own_logging")


def only(document: dict[str, Any], **options: Any) -> Imported:
    (found,) = servers(document, **options)
    assert isinstance(found, Imported), found
    return found


def test_secrets_become_variables_and_the_rest_is_copied() -> None:
    raw = {
        "command": "npx",
        "args": ["-y", "x"],
        "env": {"GITHUB_TOKEN": "ghp_secret", "LOG_LEVEL": "debug", "KEPT": "${KEPT}", "X": "sk-abc"},
    }
    found = only({"mcpServers": {"a": raw}})
    assert found.entry["env"] == {
        "GITHUB_TOKEN": "${GITHUB_TOKEN}",
        "LOG_LEVEL": "debug",
        "KEPT": "${KEPT}",
        "X": "${X}",
    }
    assert found.variables == ("GITHUB_TOKEN", "X")
    assert only({"mcpServers": {"a": raw}}, values=True).entry["env"]["GITHUB_TOKEN"] == "ghp_secret"


def test_a_header_keeps_its_scheme_and_is_named_after_its_server() -> None:
    raw = {"type": "http", "url": "https://x/mcp", "headers": {"Authorization": "Bearer abc", "X-Team": "t"}}
    found = only({"servers": {"my-web": raw}})
    assert found.entry == {
        "url": "https://x/mcp",
        "headers": {"Authorization": "Bearer ${MY_WEB_AUTHORIZATION}", "X-Team": "t"},
    }


def test_what_vs_code_asks_for_becomes_a_variable() -> None:
    found = only({"servers": {"a": {"command": "x", "env": {"T": "${input:api-key}"}}}})
    assert found.entry["env"] == {"T": "${API_KEY}"}
    assert found.variables == ("API_KEY",)


def test_a_host_is_imported_without_our_own_entry_and_with_what_is_bad_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    host = tmp_path / ".cursor" / "mcp.json"
    host.parent.mkdir()
    listed = {
        "pygent": {"command": "/x/pygent", "args": ["serve"]},
        "good": {"command": "x", "env": {"API_KEY": "s3cret"}},
        "odd": {"comand": "x"},
    }
    host.write_text(json.dumps({"mcpServers": listed}), encoding="utf-8")
    own = tmp_path / "pygent.json"
    own.write_text('{"mcpServers": {}}', encoding="utf-8")
    words = ["import", "cursor", "--config", str(own)]
    assert main(words) == 0
    captured = capsys.readouterr()
    assert json.loads(own.read_text(encoding="utf-8")) == {
        "mcpServers": {"good": {"command": "x", "env": {"API_KEY": "${API_KEY}"}}}
    }
    assert "s3cret" not in captured.out + captured.err
    assert '"good" needs the environment variable API_KEY' in captured.err
    assert '"pygent"' in captured.err
    assert "starts this registry itself" in captured.err
    assert 'unknown key "comand"' in captured.err
    assert main(words) == 0
    assert "There is nothing new" in capsys.readouterr().err


def test_a_server_of_the_same_name_is_kept_unless_it_is_to_be_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs, own = tmp_path / "theirs.json", tmp_path / "pygent.json"
    theirs.write_text('{"mcpServers": {"a": {"command": "new"}}}', encoding="utf-8")
    own.write_text('{"mcpServers": {"a": {"command": "old"}}}', encoding="utf-8")
    words = ["import", str(theirs), "--config", str(own), "--json"]
    assert main(words) == 0
    assert "--replace" in json.loads(capsys.readouterr().out)["left_out"]["a"]
    assert main([*words, "--replace"]) == 0
    assert json.loads(own.read_text(encoding="utf-8"))["mcpServers"]["a"] == {"command": "new"}


def test_a_wrong_host_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "cursr"]) == 2
    assert 'Did you mean "cursor"?' in capsys.readouterr().err


def server_json(**more: Any) -> dict[str, Any]:
    return {"name": "io.github.someone/weather", "description": "d", "version": "1.0.0", **more}


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ({"registryType": "npm", "identifier": "@a/b", "version": "1.2.0"}, ["npx", "-y", "@a/b@1.2.0"]),
        ({"registryType": "pypi", "identifier": "b", "version": "2"}, ["uvx", "b@2"]),
        (
            {"registryType": "oci", "identifier": "ghcr.io/a/b:3"},
            ["docker", "run", "-i", "--rm", "ghcr.io/a/b:3"],
        ),
        (
            {
                "registryType": "npm",
                "identifier": "b",
                "packageArguments": [
                    {"type": "named", "name": "--mode", "value": "fast"},
                    {"type": "named", "name": "--quiet"},
                    {"type": "positional", "valueHint": "folder", "isRequired": True},
                ],
            },
            ["npx", "-y", "b", "--mode", "fast", "--quiet", "${FOLDER}"],
        ),
    ],
)
def test_a_package_of_server_json_becomes_a_command(package: dict[str, Any], words: list[str]) -> None:
    found = described(server_json(packages=[package]))
    assert isinstance(found, Imported)
    assert found.name == "weather"
    assert [found.entry["command"], *found.entry["args"]] == words


def test_variables_of_server_json_are_named_when_required_and_filled_when_they_have_a_default() -> None:
    variables = [
        {"name": "API_KEY", "isRequired": True, "isSecret": True},
        {"name": "REGION", "default": "eu"},
        {"name": "EXTRA"},
    ]
    package = {"registryType": "oci", "identifier": "a/b", "version": "1", "environmentVariables": variables}
    found = described(server_json(packages=[package]))
    assert isinstance(found, Imported)
    assert found.entry == {
        "command": "docker",
        "args": ["run", "-i", "--rm", "-e", "API_KEY", "-e", "REGION", "a/b:1"],
        "env": {"API_KEY": "${API_KEY}", "REGION": "eu"},
    }
    assert found.variables == ("API_KEY",)


def test_a_remote_of_server_json_becomes_a_url() -> None:
    remote = {
        "type": "streamable-http",
        "url": "https://{tenant}.example/mcp",
        "variables": {"tenant": {"default": "acme"}},
        "headers": [{"name": "X-Key", "isRequired": True, "isSecret": True}],
    }
    found = described(server_json(remotes=[remote]))
    assert isinstance(found, Imported)
    assert found.entry == {
        "url": "https://acme.example/mcp",
        "headers": {"X-Key": "${WEATHER_X_KEY}"},
    }
    environ = {"WEATHER_X_KEY": "k"}
    assert not parse({"mcpServers": {"weather": found.entry}}, environ=environ).bad


def test_a_server_json_that_cannot_be_run_here_is_refused_with_the_reason() -> None:
    found = described(server_json(packages=[{"registryType": "nuget", "identifier": "x"}]))
    assert isinstance(found, Refused)
    assert "nuget" in found.why
