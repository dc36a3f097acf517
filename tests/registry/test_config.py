"""The config formats people have, and what happens to what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_registry.config import Config, parse
from pygent_registry.entry import Entry
from pygent_shared.sandbox import Sandbox


def only(raw: dict[str, Any], **environ: str) -> Entry:
    config = parse({"mcpServers": {"a": raw}}, environ=environ)
    assert not config.bad, config.bad
    return config.entries[0]


def refused(raw: Any, **environ: str) -> str:
    config = parse({"mcpServers": {"a": raw}}, environ=environ)
    assert not config.entries
    return config.bad[0].why


def test_claude_desktop_and_cursor_entries_are_read() -> None:
    entry = only({"command": "npx", "args": ["-y", "x"], "env": {"KEY": "1"}, "cwd": "/tmp"})
    assert (entry.kind, entry.command, entry.args, entry.cwd) == ("stdio", "npx", ("-y", "x"), "/tmp")
    assert entry.env == {"KEY": "1"}


def test_a_program_in_this_folder_is_not_looked_for_elsewhere() -> None:
    assert only({"command": "./server"}).command == "./server"


def test_a_sandbox_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/h")
    asked = {"network": False, "write": ["~/notes", "/x"], "memory_mb": 512, "cpu_seconds": 600}
    sandbox = Sandbox(network=False, write=(Path("/h/notes"), Path("/x")), memory_mb=512, cpu_seconds=600)
    assert only({"command": "x", "sandbox": asked}).sandbox == sandbox
    assert only({"command": "x", "sandbox": {"write": []}}).sandbox == Sandbox(write=())
    assert only({"command": "x"}).sandbox is None


def test_vs_code_entries_are_read() -> None:
    config = parse(
        {"servers": {"a": {"type": "http", "url": "https://x.example/mcp", "headers": {"K": "v"}}}}
    )
    assert config.entries[0].kind == "http"
    assert config.entries[0].headers == {"K": "v"}


def test_both_sections_may_stand_in_one_file() -> None:
    config = parse({"mcpServers": {"a": {"command": "x"}}, "servers": {"b": {"command": "y"}}})
    assert [entry.name for entry in config.entries] == ["a", "b"]


def test_a_server_of_the_suite_runs_in_process_unless_isolated() -> None:
    assert only({"server": "memory"}).kind == "in-process"
    assert only({"server": "memory", "isolated": True}).kind == "stdio"


def test_the_old_sse_transport_is_told_apart() -> None:
    assert only({"url": "http://x/sse", "type": "sse"}).kind == "sse"


def test_disabled_entries_are_left_out_and_named() -> None:
    config = parse({"mcpServers": {"a": {"command": "x", "disabled": True}}})
    assert config == Config(disabled=("a",))


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${HOME}/x", "/h/x"),
        ("${NONE:-d}", "d"),
        ("${NONE:-}", ""),
        ("${env:HOME}", "/h"),
        ("$HOME", "$HOME"),
    ],
)
def test_variables_are_filled_in(text: str, filled: str) -> None:
    assert only({"command": "x", "env": {"K": text}}, HOME="/h").env["K"] == filled


def test_a_missing_variable_is_named_with_two_cures() -> None:
    why = refused({"command": "x", "env": {"K": "${TOKEN}"}})
    assert "needs the environment variable TOKEN, which is not set" in why
    assert "${TOKEN:-…}" in why


def test_a_variable_only_vs_code_knows_is_refused() -> None:
    assert "only VS Code can fill in" in refused({"command": "x", "args": ["${workspaceFolder}/x"]})


@pytest.mark.parametrize(("given_", "seconds"), [(30, 30.0), (60_000, 60.0), (0.5, 0.5)])
def test_timeouts_in_milliseconds_are_recognised(given_: float, seconds: float) -> None:
    assert only({"command": "x", "timeout": given_}).timeout == seconds


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("npx", "it is no object"),
        ({}, "neither command, url nor server"),
        ({"command": "x", "url": "http://x"}, "command and url at once"),
        ({"url": "ftp://x"}, "must begin with http"),
        ({"command": "x", "args": "y"}, "must be a list of texts"),
        ({"command": "x", "env": ["y"]}, "must be an object of texts"),
        ({"command": "x", "timeout": -1}, "a number of seconds above 0"),
        ({"command": 7}, "it must be text"),
        ({"command": "x", "prefix": 7}, "it must be text"),
        ({"command": "x", "aliases": {"a": "b c"}}, "a tool's name is 1 to 64 of"),
        ({"command": "x", "aliases": {"a": "x" * 65}}, "a tool's name is 1 to 64 of"),
        ({"command": "x", "aliases": {"a": "s\u0435nd"}}, "a tool's name is 1 to 64 of"),
        ({"command": "x", "aliases": {"a": "c", "b": "c"}}, 'calls two tools "c"'),
        ({"command": "x", "aliases": ["a"]}, "must be an object of texts"),
        ({"command": "x", "sandbox": {"memory": 5}}, 'Did you mean "memory_mb"?'),
        ({"command": "x", "sandbox": {"memory_mb": 0}}, "must be a whole number above 0"),
        ({"command": "x", "sandbox": {"network": "no"}}, "must be true or false"),
        ({"command": "x", "sandbox": {"write": ["notes"]}}, "write the whole path"),
        ({"command": "x", "sandbox": {"write": "~/notes"}}, "must be a list of texts"),
        ({"url": "http://x", "sandbox": {"network": False}}, "starts no program of its own; take it out"),
        ({"server": "memory", "sandbox": {}}, 'add "isolated": true'),
        ({"comand": "x"}, 'Did you mean "command"?'),
        ({"command": "pygent", "args": ["serve"]}, "starts this registry itself"),
        ({"command": "/x/bin/pygent-registry"}, "starts this registry itself"),
        (
            {"command": "python", "args": ["-m", "pygent_registry.cli", "serve"]},
            "starts this registry itself",
        ),
        ({"command": "pygent", "args": ["serve", "--config", "x"]}, "starts this registry itself"),
    ],
)
def test_a_bad_entry_is_named_with_its_reason(raw: Any, words: str) -> None:
    assert words in refused(raw)


def test_one_of_our_servers_may_be_started_by_our_own_command() -> None:
    assert only({"command": "pygent", "args": ["serve", "memory"]}).command == "pygent"


def test_names_are_made_fit_for_tools_and_stay_different() -> None:
    config = parse({"mcpServers": {"My Server!": {"command": "x"}, "My-Server": {"command": "y"}}})
    assert [entry.name for entry in config.entries] == ["My-Server"]
    assert "already called" in config.bad[0].why


def test_secrets_stay_out_of_what_is_printed() -> None:
    entry = only({"url": "http://x", "headers": {"Authorization": "Bearer s3cret"}})
    assert "s3cret" not in repr(entry)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
entry_keys = st.sampled_from(
    ["command", "args", "env", "cwd", "url", "headers", "timeout", "server", "prefix"]
)


@given(st.dictionaries(st.text(), st.dictionaries(entry_keys, json_values) | json_values, max_size=4))
def test_no_config_whatsoever_raises(servers: dict[str, Any]) -> None:
    config = parse({"mcpServers": servers}, environ={})
    assert len(config.entries) + len(config.bad) + len(config.disabled) == len(servers)
