"""`pygent keys`, and a running `pygent up` that takes over what it does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from pygent_registry.cli import main
from pygent_shared.http.keys import KeyFile
from pygent_shared.settings import Settings

pytestmark = pytest.mark.usefixtures("own_logging")

PROGRAM = str(Path(sys.executable).with_name("pygent"))
ROLES = {"reader": {"old": ["echo"]}, "nobody": {"odl": ["*"]}}


@pytest.fixture
def own(tmp_path: Path, server: Any) -> list[str]:
    """The flags of a config with roles and a data folder."""
    config = tmp_path / "pygent.json"
    servers = {"old": server("well_behaved")}
    config.write_text(json.dumps({"mcpServers": servers, "roles": ROLES}), encoding="utf-8")
    return ["--config", str(config), "--data-dir", str(tmp_path / "data")]


@pytest.fixture
def keys(own: list[str], capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`keys("add", "laptop")`: the exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["keys", *words, *own])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


Keys = Callable[..., tuple[int, str, str]]


def test_a_key_is_printed_once_and_alone_and_then_listed_without_itself(keys: Keys) -> None:
    code, key, said = keys("add", "--role", "reader", "laptop", "--expires", "30d")
    assert code == 0
    assert key.startswith("pgk_")
    assert key.count("\n") == 1
    assert 'This is the key "laptop", bound to reader.' in said
    assert key.strip() not in said

    code, listed, _ = keys("list")
    assert (code, key.strip() in listed) == (0, False)
    heads, row = listed.splitlines()
    assert heads.split() == ["NAME", "ID", "STATE", "ROLES", "CREATED", "EXPIRES", "LAST", "USED"]
    assert [row.split()[0], *row.split()[2:4]] == ["laptop", "active", "reader"]
    assert row.endswith("never")


def test_a_key_is_revoked_and_restored_and_its_record_stays(keys: Keys) -> None:
    keys("add", "laptop")
    assert keys("revoke", "laptop")[0] == 0
    assert "There is no key yet" in keys("list")[2]
    (kept,) = json.loads(keys("list", "--all", "--json")[1])
    assert kept["state"] == "revoked"
    assert f"pygent keys revoke {kept['id']}" in keys("restore", kept["id"])[1]
    (kept,) = json.loads(keys("list", "--json")[1])
    assert kept["state"] == "active"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["add"], "add needs the NAME of a key"),
        (["add", "a", "b"], '"b" is one word too many'),
        (["list", "a"], '"a" is one word too many'),
        (["add", "a", "--role", "raeder"], 'There is no role "raeder". Did you mean "reader"?'),
        (["add", "a b"], "cannot be a key's name"),
        (["add", "a", "--expires", "soon"], '"soon" is no time; write 90m, 12h, 30d or 8w'),
        (["add", "a", "--expires", "0d"], '"0d" is no time'),
        (["revoke", "nobody"], 'There is no active key "nobody".'),
        (["revoke", "a", "--role", "reader"], "--role and --expires belong to add"),
        (["destroy", "a"], 'There is no part of pygent keys "destroy".'),
    ],
)
def test_a_wrong_word_is_named_with_its_cure(keys: Keys, words: list[str], why: str) -> None:
    code, out, said = keys(*words)
    assert (code, out) == (2, "")
    assert why in said


def test_doctor_names_exposed_keys_and_roles_of_servers_that_are_not_there(
    keys: Keys, own: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def found() -> dict[str, Any]:
        main(["doctor", "--json", "--port", "0", "--embedder", "none", *own])
        return {check["subject"]: check for check in json.loads(capsys.readouterr().out)["checks"]}

    assert "keys" not in found()
    keys("add", "laptop")
    checks = found()
    assert checks["keys"]["level"] == "ok"
    assert checks["role nobody"]["cure"] == 'Did you mean "old"?'
    assert "role reader" not in checks
    file = KeyFile(Settings(data_dir=tmp_path / "data")).path
    file.chmod(0o644)
    assert f'chmod 600 "{file}"' in found()["keys"]["cure"]
    assert found()["keys"]["level"] == "warn"
    file.write_text("{", encoding="utf-8")
    assert found()["keys"]["level"] == "fail"


def test_doctor_asks_the_issuer_for_its_keys(
    own: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def found(*flags: str) -> dict[str, Any]:
        main(["doctor", "--json", "--port", "0", "--embedder", "none", *flags, *own])
        return {check["subject"]: check for check in json.loads(capsys.readouterr().out)["checks"]}

    file = tmp_path / "jwks.json"
    key = json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key()))
    file.write_text(json.dumps({"keys": [key]}), encoding="utf-8")
    trusting = ["--oauth-issuer", "https://id.example", "--oauth-jwks", str(file)]
    assert "issuer" not in found()
    assert "Name it: --oauth-audience" in found(*trusting)["issuer"]["cure"]
    trusting += ["--oauth-audience", "https://box.example/mcp"]
    assert "tokens must be for https://box.example/mcp" in found(*trusting)["issuer"]["finding"]
    file.write_text('{"keys": []}', encoding="utf-8")
    assert "no public key for signatures" in found(*trusting)["issuer"]["cure"]
    file.unlink()
    assert "cannot be had" in found(*trusting)["issuer"]["cure"]


@pytest.fixture
def up(own: list[str]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a running `pygent up`, and its process."""
    words = [PROGRAM, "up", "--port", "0", "--embedder", "none", "--log-level", "debug", *own]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = ""
            while not line.startswith("Serving "):
                line = process.stderr.readline()
                assert line
            yield line.split()[1].rpartition("/")[0], process
        finally:
            process.kill()


@pytest.mark.anyio
async def test_a_running_up_takes_keys_over_and_drops_them_without_a_restart(
    keys: Keys, up: tuple[str, subprocess.Popen[str]], tmp_path: Path
) -> None:
    base, process = up
    token = (tmp_path / "data" / "token").read_text(encoding="ascii").strip()
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
        assert (await http.get(f"{base}/nowhere")).status_code == 404
    key = (await anyio.to_thread.run_sync(keys, "add", "ci", "--role", "reader"))[1].strip()
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30) as http:
        with anyio.fail_after(5):
            while (await http.get(f"{base}/nowhere")).status_code == 401:
                await anyio.sleep(0.1)
        async with Client(streamable_http_client(f"{base}/mcp", http_client=http)) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["old__echo"]
        (listed,) = json.loads((await anyio.to_thread.run_sync(keys, "list", "--json"))[1])
        assert listed["last_used"] is not None
        await anyio.to_thread.run_sync(keys, "revoke", "ci")
        with anyio.fail_after(5):
            while (refused := await http.get(f"{base}/nowhere")).status_code != 401:
                await anyio.sleep(0.1)
    assert "was revoked" in refused.json()["error"]
    process.terminate()
    assert process.stderr is not None
    said = await anyio.to_thread.run_sync(process.stderr.read)
    assert "Refused GET '/nowhere' with 401" in said
    assert key not in said
    assert token not in said
