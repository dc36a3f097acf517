"""`pygent doctor`: each thing that can be wrong is named, with what to type."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pygent_registry.cli import checks, main, trial
from pygent_registry.cli.check import Check
from pygent_registry.config import parse
from pygent_registry.registry import Registry
from pygent_shared.database import Database
from pygent_shared.embeddings import engine_for
from pygent_shared.embeddings.background import engines
from pygent_shared.settings import Settings

Doctor = Callable[..., tuple[int, dict[str, dict[str, Any]]]]

pytestmark = pytest.mark.usefixtures("own_logging")


@pytest.fixture
def doctor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """`doctor(servers, *words)` runs it: the exit code, and the checks by subject."""

    def run(servers: dict[str, Any], *words: str) -> tuple[int, dict[str, dict[str, Any]]]:
        path = tmp_path / "pygent.json"
        path.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
        own = ["--config", str(path), "--data-dir", str(tmp_path / "data"), "--port", "0"]
        code = main(["doctor", "--json", *own, *words])
        document = json.loads(capsys.readouterr().out)
        assert document["ok"] == (code == 0)
        return code, {check["subject"]: check for check in document["checks"]}

    return run


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken by nobody who listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_of_ten_servers_each_fault_is_named_with_its_cure(
    doctor: Doctor, server: Any, closed_port: int
) -> None:
    code, found = doctor(
        {
            "memory": {"server": "memory"},
            "one": server("well_behaved"),
            "two": server("modern"),
            "chatty": server("chatty"),
            "hangs": server("hangs"),
            "exits": server("exits"),
            "missing": {"command": "no-such-program"},
            "rubbish": server("rubbish"),
            "remote": {"url": f"http://127.0.0.1:{closed_port}/mcp"},
            "misnamed": {"server": "memroy"},
            "bad": {"comand": "x"},
        },
        "--timeout",
        "4",
    )
    assert code == 1
    servers = {subject.removeprefix("server "): check for subject, check in found.items()}
    levels = {name: servers[name]["level"] for name in ("memory", "one", "two", "chatty")}
    assert levels == {"memory": "ok", "one": "ok", "two": "ok", "chatty": "warn"}
    memory = servers["memory"]["facts"]
    assert (memory["era"], memory["tools"]) == ("2026", 6)
    assert memory["tokens"] > 100
    assert 0 <= memory["seconds"] < 4
    assert servers["one"]["facts"]["era"] == "2025"
    assert 'it wrote rubbish to stdout, such as "*** welcome ***"' in servers["chatty"]["finding"]
    assert "make it log to stderr" in servers["chatty"]["cure"]

    faults = {
        "hangs": ("did not answer initialize within 4 s", '"startTimeout": 120'),
        "exits": (
            'exited with status 3; its last line on stderr was "no database here"',
            "by hand to see more",
        ),
        "missing": ('there is no program "no-such-program" here', 'Install "no-such-program"'),
        "rubbish": ('no MCP, such as "starting up, please wait..."', "make it log to stderr"),
        "remote": ("", f"curl -i http://127.0.0.1:{closed_port}/mcp"),
        "misnamed": (
            'There is no server of the suite "memroy". Did you mean "memory"?',
            "Mend it in its entry",
        ),
        "entry bad": ('unknown key "comand". Did you mean "command"?', "Mend it in "),
    }
    for name, (finding, cure) in faults.items():
        assert servers[name]["level"] == "fail", name
        assert finding in servers[name]["finding"], name
        assert cure in servers[name]["cure"], name


def test_it_says_what_hosts_are_shown_of_the_tools(
    doctor: Doctor, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, checks = doctor({"one": server("well_behaved")})
    assert checks["tools"]["finding"].endswith("of definitions; listed: all")
    monkeypatch.setenv("PYGENT_TOOLS", "search")
    _, checks = doctor({"one": server("well_behaved")})
    assert "listed: 3, to search the others by" in checks["tools"]["finding"]
    assert checks["tools"]["facts"]["shown"] == 3


def test_when_all_is_well_it_says_so_line_by_line(
    tmp_path: Path, server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pygent.json"
    path.write_text(json.dumps({"mcpServers": {"one": server("well_behaved")}}), encoding="utf-8")
    data = tmp_path / "data"
    own = ["--config", str(path), "--data-dir", str(data), "--embedder", "none", "--port", "0"]
    assert main(["doctor", *own]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    *lines, blank, last = out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "ok    Python",
        "ok    config",
        "ok    data",
        "ok    embedder",
        "ok    token",
        "ok    front a2a",
        "ok    port",
        "ok    server one",
        "ok    tools",
    ]
    assert (blank, last) == ("", "9 checks: 0 failed, 0 to know about.")
    assert not data.exists()


def test_a_config_that_cannot_be_read_stops_only_what_needs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.json"
    path.write_text("{", encoding="utf-8")
    assert main(["doctor", "--config", str(path), "--data-dir", str(tmp_path), "--port", "0"]) == 1
    out = capsys.readouterr().out
    assert "fail  config: cannot be used" in out
    assert "is not valid JSON: line 1" in out
    assert "ok    data: " in out


def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pygent.json"
    path.write_text('{"settings": {"prot": 1}}', encoding="utf-8")
    assert main(["doctor", "--config", str(path)]) == 1
    assert 'There is no setting "prot". Did you mean "port"?' in capsys.readouterr().out


# The data folder and its databases.


def settings_in(folder: Path, **more: Any) -> Settings:
    return Settings(data_dir=folder, **more)


def test_a_data_folder_that_is_a_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    found = checks.data_folder(settings_in(tmp_path / "data"))
    assert (found.level, found.cure) == (
        "fail",
        "Choose another folder: export PYGENT_DATA_DIR=~/pygent-data",
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert checks.data_folder(settings_in(tmp_path / "data")).level == "fail"
    tmp_path.chmod(0o700)


def database(folder: Path) -> Path:
    path = folder / "some.db"
    opened = Database(path, ["CREATE TABLE t (x TEXT); CREATE INDEX i ON t (x);"])
    with opened.write() as connection:
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 500 + str(n),) for n in range(100)])
    opened.close()
    return path


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_a_sound_database_is_left_exactly_as_it_is(tmp_path: Path) -> None:
    database(tmp_path)
    before = snapshot(tmp_path)
    (found,) = checks.databases(settings_in(tmp_path))
    assert (found.level, found.subject) == ("ok", "some.db")
    assert snapshot(tmp_path) == before


def test_a_database_that_is_being_written_is_sound(tmp_path: Path) -> None:
    opened = Database(tmp_path / "some.db", ["CREATE TABLE t (x TEXT)"])
    with opened.write() as connection:
        connection.execute("INSERT INTO t VALUES ('not yet committed')")
        (found,) = checks.databases(settings_in(tmp_path))
    opened.close()
    assert found.level == "ok"


def test_a_database_copied_with_its_log_alone_is_checked_without_being_opened_in_place(
    tmp_path: Path,
) -> None:
    (tmp_path / "copy").mkdir()
    opened = Database(tmp_path / "some.db", ["CREATE TABLE t (x TEXT)"])
    for name in ("some.db", "some.db-wal"):
        (tmp_path / "copy" / name).write_bytes((tmp_path / name).read_bytes())
    before = snapshot(tmp_path / "copy")
    (found,) = checks.databases(settings_in(tmp_path / "copy"))
    opened.close()
    assert found.level == "ok"
    assert snapshot(tmp_path / "copy") == before


@pytest.mark.parametrize("damage", ["header", "page"])
def test_a_damaged_database_is_named_and_left_untouched(tmp_path: Path, damage: str) -> None:
    path = database(tmp_path)
    content = bytearray(path.read_bytes())
    start = 0 if damage == "header" else 4096 * 4
    content[start : start + 2000] = b"x" * 2000
    path.write_bytes(content)
    before = snapshot(tmp_path)
    (found,) = checks.databases(settings_in(tmp_path))
    assert found.level == "fail"
    assert found.finding.startswith("is damaged: ")
    assert found.cure == f'Set it aside, and what it holds with it: mv "{path}" "{path}.damaged"'
    assert snapshot(tmp_path) == before


# The embedder, the token, the port.


def test_the_embedder_is_looked_for_and_not_loaded(tmp_path: Path) -> None:
    assert checks.embedder(settings_in(tmp_path, embedder="none")) == Check(
        level="ok", subject="embedder", finding="none, as set: search is lexical"
    )
    named = settings_in(tmp_path, embedder="sentence_transformers", embedding_model="no/such-model")
    found = checks.embedder(named)
    assert (found.level, "search is lexical" in found.finding or "not on this machine" in found.finding) == (
        "warn",
        True,
    )
    assert found.cure


@pytest.mark.skipif(engine_for(Settings()) != "numpy", reason="the embeddings extra is not installed")
def test_the_embedder_of_questions_and_that_of_many_texts_are_told(tmp_path: Path) -> None:
    found = checks.embedder(settings_in(tmp_path, embedder="auto"))
    assert found.level == "ok"
    assert found.finding.startswith("numpy with all-MiniLM-L6-v2, in ")
    assert found.finding.endswith(f"; many texts by {engines(settings_in(tmp_path, embedder='auto'))[1]}")


def test_a_token_that_others_can_read_is_a_fault(tmp_path: Path) -> None:
    token = tmp_path / "token"
    assert checks.token(settings_in(tmp_path)).finding == f"{token}, made by the first pygent up"
    token.write_text("secret")
    token.chmod(0o644)
    found = checks.token(settings_in(tmp_path))
    assert (found.level, found.cure) == ("fail", f'Make it yours: chmod 600 "{token}"')
    token.chmod(0o600)
    assert checks.token(settings_in(tmp_path)).level == "ok"
    assert checks.token(settings_in(tmp_path, token="given")).level == "ok"
    assert checks.token(settings_in(tmp_path, auth="none")).level == "ok"


def test_a_taken_port_is_told_with_another_one(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        found = checks.port(settings_in(tmp_path, port=port))
    assert (found.level, found.subject) == ("warn", f"port {port}")
    assert f"Port {port} on 127.0.0.1 is taken by another program." in found.cure
    assert "--port" in found.cure
    assert checks.port(settings_in(tmp_path, port=0)).level == "ok"


# --settings


def test_every_setting_is_shown_with_where_it_comes_from_and_secrets_are_masked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pygent.json"
    path.write_text('{"settings": {"space": "work", "token": "hush"}}', encoding="utf-8")
    words = ["doctor", "--settings", "--config", str(path), "--port", "9000"]
    assert main([*words, "--json"]) == 0
    table = {row["name"]: row for row in json.loads(capsys.readouterr().out)["settings"]}
    assert (table["space"]["value"], table["space"]["from"]) == ("work", "config file")
    assert (table["port"]["value"], table["port"]["from"]) == ("9000", "--port")
    assert (table["auth"]["value"], table["auth"]["from"]) == ("token", "default")
    assert table["config"]["value"] == str(path)
    assert table["port"]["variable"] == "PYGENT_PORT"
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "hush" not in out
    assert "token = ••••  (config file)" in out
    assert "PYGENT_PORT, default 8700. Port the HTTP endpoint listens on" in out


# Secrets.


def test_secrets_that_others_can_see_are_named_by_their_place(
    doctor: Doctor, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "correct-horse")
    (tmp_path / "key").write_text("correct-horse")
    (tmp_path / "key").chmod(0o644)
    code, checks = doctor(
        {
            "literal": server("well_behaved", env={"API_KEY": "correct-horse"}),
            "shown": server("well_behaved", "${API_KEY}"),
            "open": server("well_behaved", env={"API_KEY": "${file:key}"}),
            "well": server("well_behaved", env={"API_KEY": "${API_KEY}"}),
        }
    )
    assert code == 0
    assert checks["secrets literal"]["finding"].endswith("holds what looks like one: env.API_KEY")
    assert "${keyring:SERVICE/NAME}" in checks["secrets literal"]["cure"]
    assert 'API_KEY is filled into its "args"' in checks["secrets shown"]["finding"]
    assert f'chmod 600 "{tmp_path / "key"}"' in checks["secrets open"]["cure"]
    assert "secrets well" not in checks
    assert "correct-horse" not in json.dumps(checks)


def test_what_is_started_without_a_version_is_named(doctor: Doctor, server: Any) -> None:
    code, checks = doctor({"a": {"command": "npx", "args": ["-y", "./nothing-here", "x"], "disabled": True}})
    assert (code, "version a" in checks) == (0, False)
    _, checks = doctor({"a": {"command": "no/such/npx", "args": ["-y", "@scope/server"]}})
    assert "whatever version of @scope/server is the newest" in checks["version a"]["finding"]
    assert "name@1.2.3" in checks["version a"]["cure"]


# Variables.


def test_a_variable_that_is_misspelled_is_named_with_the_nearest_there_is() -> None:
    environ = {
        "PYGENT_PROT": "9000",
        "PYGENT_DATADIR": "/x",
        "PYGENT_PORT": "9000",
        "PYGENT_FAMILY": "x",
        "PYGENTS": "x",
        "OTHER": "x",
    }
    found = {check.subject: check for check in checks.variables(environ)}
    assert list(found) == ["variable PYGENT_DATADIR", "variable PYGENT_PROT"]
    assert {check.level for check in found.values()} == {"warn"}
    assert 'Did you mean "PYGENT_DATA_DIR"?' in found["variable PYGENT_DATADIR"].cure
    assert 'Did you mean "PYGENT_PORT"?' in found["variable PYGENT_PROT"].cure


def test_the_command_looks_at_this_environment(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYGENT_EMBEDER", "none")
    code, found = doctor({})
    assert code == 0
    assert 'Did you mean "PYGENT_EMBEDDER"?' in found["variable PYGENT_EMBEDER"]["cure"]


@pytest.mark.anyio
async def test_a_server_that_is_up_but_in_doubt_is_named_with_since_when(
    settings: Settings, server: Any
) -> None:
    registry = Registry(parse({"mcpServers": {"a": server("well_behaved")}}), settings)
    async with registry.running():
        registry.start()
        await registry.settled()
        registry.downstreams["a"].primary.doubted("lists", "could not list again what it offers")
        doubted, *_ = await trial.servers(registry)
        registry.downstreams["a"].primary.recovered("lists")
        well, *_ = await trial.servers(registry)
    assert (doubted.level, well.level) == ("warn", "ok")
    assert doubted.finding.startswith("is up, but in doubt since ")
    assert doubted.finding.endswith(": could not list again what it offers")
    assert doubted.cure == "See its log: pygent logs a"


def test_of_a_server_that_is_down_it_is_known_since_when_and_how_often_it_ended(
    doctor: Doctor, server: Any
) -> None:
    _, found = doctor({"exits": server("exits")})
    facts = found["server exits"]["facts"]
    assert facts["state"] in ("backoff", "failed", "connecting")
    assert facts["ended_lately"] >= 1
    assert facts["since"]
