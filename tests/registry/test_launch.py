"""What a registry starts, and on whose word: the config of its owner, word for word, and nothing that comes
over HTTP.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from pygent_registry.catalogue import Listing
from pygent_registry.cli import main
from pygent_registry.config import load, parse
from pygent_registry.endpoint import gateways, routes
from pygent_registry.entry import Entry
from pygent_registry.registry import Registry
from pygent_registry.trust.programs import executable, unpinned
from pygent_registry.trust.store import PinFile
from pygent_registry.trust.trust import Trust
from pygent_registry.watch import ConfigFile
from pygent_shared.errors import FileRefused
from pygent_shared.http.app import build_app
from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN

from .programs import SECONDS_TO_DIE, greeted, pids_in, until
from .soak_watch import running_with

posix = pytest.mark.skipif(os.name != "posix", reason="modes and owners are POSIX's")


def entry(command: str, *args: str, **more: Any) -> Entry:
    return parse({"mcpServers": {"a": {"command": command, "args": list(args), **more}}}).entries[0]


# Words stay words.


@pytest.mark.anyio
async def test_arguments_reach_the_child_word_for_word(fronted: Any, tmp_path: Path) -> None:
    mark, told = tmp_path / "mark", tmp_path / "told"
    words = [
        f"; touch {mark}",
        f"$(touch {mark})",
        f"`touch {mark}`",
        f"| touch {mark} &",
        "&&",
        "*",
        "$HOME",
    ]
    words += ["a b", "", '"', "'", "\\", "\n", "--", "é", "%PATH%"]
    code = "import json, sys; json.dump(sys.argv[2:], open(sys.argv[1], 'w'))"
    spoken = {"command": sys.executable, "args": ["-c", code, str(told), *words]}
    async with fronted({"a": spoken}) as client:
        await client.list_tools()
    assert json.loads(told.read_text()) == words
    assert not mark.exists()


@pytest.mark.anyio
@pytest.mark.parametrize("place", ["nowhere", "file"])
async def test_a_folder_that_is_none_is_named_with_its_cure(
    fronted: Any, server: Any, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("")
    where = tmp_path / place
    async with fronted({"a": server("well_behaved", cwd=str(where))}) as client:
        await client.list_tools()
        refused = await client.call_tool("a__echo", {})
    assert f'its "cwd", "{where}", is no folder' in str(refused.content)
    assert f'mkdir -p "{where}"' in str(refused.content)


# Whose word counts.


@posix
@pytest.mark.parametrize(
    ("mode", "who"),
    [(0o666, "everyone"), (0o602, "everyone"), (0o660, "its group"), (0o644, ""), (0o600, "")],
)
def test_a_config_that_others_may_write_starts_nothing(tmp_path: Path, mode: int, who: str) -> None:
    path = tmp_path / "pygent.json"
    path.write_text('{"mcpServers": {"a": {"command": "x"}}}')
    if os.geteuid() == 0:
        os.chown(path, 0, 12345)  # a group that is nobody's own
    elif who == "its group":
        pytest.skip("only root can give a file to another group")
    path.chmod(mode)
    if not who:
        assert [found.name for found in load(path).entries] == ["a"]
        return
    for read in (lambda: load(path), ConfigFile(locate=lambda: path).load):
        with pytest.raises(FileRefused, match=f"may be written by {who}") as refused:
            read()
        assert f'chmod go-w "{path}"' in str(refused.value)


@posix
def test_a_config_in_a_folder_where_others_may_replace_it_starts_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    (folder / "pygent.json").write_text("{}")
    (tmp_path / "link.json").symlink_to(folder / "pygent.json")
    folder.chmod(0o777)
    for path in (folder / "pygent.json", tmp_path / "link.json"):
        with pytest.raises(FileRefused, match="may be written by everyone"):
            load(path)
    folder.chmod(0o1777)  # as /tmp is: only owners replace files
    load(folder / "pygent.json")


@posix
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_config_of_another_user_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pygent.json"
    path.write_text("{}")
    os.chown(path, 12345, 12345)
    load(path)  # root may: containers do
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(FileRefused, match="belongs to another user"):
        load(path)


@posix
@pytest.mark.usefixtures("own_logging")
def test_the_command_says_so_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pygent.json"
    path.write_text("{}")
    path.chmod(0o666)
    assert main(["list", "--config", str(path), "--data-dir", str(tmp_path / "data")]) == 2
    said = capsys.readouterr().err
    assert f'"{path}" may be written by everyone (mode 0666)' in said
    assert "Traceback" not in said


# No word over HTTP counts.


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every command that is started."""
    started: list[Any] = []

    async def open_process(command: Any, **more: Any) -> Any:
        started.append(command)
        raise FileNotFoundError(2, "not started in this test", command[0])

    monkeypatch.setattr(anyio, "open_process", open_process)
    return started


def bodies(mark: Path) -> Iterator[Any]:
    """What might be taken for a server to start."""
    spawn = {"command": "touch", "args": [str(mark)]}
    yield {"mcpServers": {"evil": spawn}}
    yield {"name": "evil", **spawn}
    yield [spawn]
    for method in ("tools/call", "initialize", "server/discover", "servers/add", "resources/subscribe"):
        params = {"name": "add", "arguments": spawn, **spawn, "uri": f"file://{mark}"}
        yield {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def test_no_route_starts_a_command_that_the_config_does_not_hold(
    settings: Settings, tmp_path: Path, opened: list[Any]
) -> None:
    path, mark = tmp_path / "pygent.json", tmp_path / "mark"
    path.write_text('{"mcpServers": {"known": {"command": "known-program"}}}')
    before = path.read_bytes()
    file = ConfigFile(locate=lambda: path, poll=0.05)
    registry = Registry(file.load(), settings, file=file)
    more, fronts = routes(registry), gateways(registry)
    app = build_app(fronts, settings, TOKEN, around=registry.running, more=more)
    paths = [*fronts, "/health/live", "/health/ready"]
    paths += [str(route.path) for route in more if isinstance(route, Route)]
    assert len(paths) >= 8
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
    with TestClient(app, base_url="http://127.0.0.1:8700", headers=headers) as http:
        for place in paths:
            for name in ("known", "evil", "../../bin/touch"):
                where = (
                    place.replace("{name}", name).replace("{name:path}", name).replace("{version}", "latest")
                )
                for method in ("POST", "PUT", "PATCH", "DELETE"):
                    for body in bodies(mark):
                        http.request(method, where, json=body, params={"command": "touch", "args": str(mark)})
    assert {words[0] for words in opened} <= {"known-program"}
    assert [found.name for found in registry.config.entries] == ["known"]
    assert path.read_bytes() == before
    assert not mark.exists()


# What is in the program.


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """`program(comment)` writes a program of its own that serves; its entry."""
    script = Path(__file__).parent / "stdio_servers.py"

    def written(comment: str) -> dict[str, Any]:
        path = tmp_path / "my-server"
        path.write_text(f'#!/bin/sh\n# {comment}\nexec "{sys.executable}" "{script}" well_behaved\n')
        path.chmod(0o755)
        return {"command": str(path)}

    return written


@pytest.mark.anyio
async def test_another_program_in_its_place_is_not_started_until_it_is_approved(
    fronted: Any, program: Any, settings: Settings
) -> None:
    async with fronted({"a": program("first")}) as client:
        assert (await client.list_tools()).tools
    async with fronted({"a": program("second")}) as client:
        await client.list_tools()
        refused = await client.call_tool("a__echo", {})
        assert "otherwise than approved (its program changed)" in str(refused.content)
        assert "pygent approve a" in str(refused.content)
    async with fronted({"a": program("first")}) as client:
        assert not (await client.call_tool("a__echo", {})).is_error


@pytest.mark.anyio
async def test_a_pin_from_before_programs_were_hashed_takes_the_hash_in(
    fronted: Any, program: Any, settings: Settings
) -> None:
    async with fronted({"a": program("first")}) as client:
        await client.list_tools()
    kept = settings.data_dir / "pins.json"
    old = json.loads(kept.read_text())
    del old["servers"]["a"]["launch"]["program"]
    kept.write_text(json.dumps(old))
    async with fronted({"a": program("first")}) as client:
        assert not (await client.call_tool("a__echo", {})).is_error
    assert len(json.loads(kept.read_text())["servers"]["a"]["launch"]["program"]) == 64


def test_launchers_and_interpreters_are_not_hashed_as_the_system_updates_them(tmp_path: Path) -> None:
    for name in ("npx", "uvx", "node22", "python3.12", "/usr/bin/python3", "docker", "sh", "npx.cmd", "env"):
        assert executable(entry(name)) is None, name
    assert executable(entry("no-such-program")) is None
    own = tmp_path / "python-server"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert executable(entry(str(own))) == own
    assert executable(entry("./python-server", cwd=str(tmp_path))) == own
    assert executable(entry("python-server", env={"PATH": str(tmp_path)})) == own


@pytest.mark.parametrize(
    ("words", "package"),
    [
        ("npx -y @scope/server", "@scope/server"),
        ("npx -y @scope/server@latest", "@scope/server@latest"),
        ("npx -y server@^1.2.3", "server@^1.2.3"),
        ("npx --package=server@1 run", "server@1"),
        ("npx -y @scope/server@1.2.3 --option", None),
        ("npx -p server@1.2.3 run", None),
        ("npm exec server", "server"),
        ("npm start", None),
        ("uvx mcp-server-git --repository x", "mcp-server-git"),
        ("uvx --with other==1.0 mcp-server-git", "mcp-server-git"),
        ("uvx mcp-server-git@2025.1.14", None),
        ("uvx --from mcp-server-git==2025.1.14 run", None),
        ("uvx --from git+https://h/x@v1.2.3 run", None),
        ("uvx --from git+https://h/x run", "git+https://h/x"),
        ("uv tool run ruff", "ruff"),
        ("uv run server.py", None),
        ("pipx run black", "black"),
        ("docker run -i --rm -e KEY mcp/git", "mcp/git"),
        ("docker run -i --rm -p8080:80 --env=A=b mcp/git:latest", "mcp/git:latest"),
        ("docker run -i --rm mcp/git:1.0.2 --x", None),
        ("docker run -i mcp/git@sha256:00ff", None),
        ("/usr/local/bin/npx server", "server"),
        ("npx ./here", None),
        ("python -m server", None),
        ("npx", None),
    ],
)
def test_what_is_started_without_a_version_is_found(words: str, package: str | None) -> None:
    assert unpinned(entry(*words.split())) == package


# Pins that two processes write.


WRITER = """
import sys
from pathlib import Path
from pygent_registry.trust.pins import Pin
from pygent_registry.trust.store import PinFile
from pygent_registry.trust.trust import Trust
file = PinFile(Path(sys.argv[1]))
for number in range(25):
    file.change(lambda pins: pins.update({f"{sys.argv[2]}-{number}": Pin()}))
"""


def test_no_pin_is_lost_where_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "data" / "pins.json"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for name in "abc"
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert len(PinFile(path).read()) == 75


def test_what_another_process_approves_meanwhile_holds(settings: Settings) -> None:
    other, known = Trust(settings), entry("npx", "server")
    approved = Listing(server="a", prefix="a", tools=({"name": "t", "description": "as approved"},))

    class Interrupted(Trust):
        """Another process approves the server between the look at its pin and the change of it."""

        def launch(self, entry: Entry) -> dict[str, Any]:
            other.approve(entry, [approved])
            return super().launch(entry)

    met = replace(approved, tools=({"name": "t", "description": "otherwise"}, {"name": "u"}))
    cleared = Interrupted(settings).cleared(known, met)
    assert [tool["name"] for tool in cleared.tools] == ["u"]
    pin = PinFile(settings.data_dir / "pins.json").read()["a"]
    assert {name for _, name in pin.definitions} == {"t", "u"}
    assert len(pin.approved) == 1


# Sandboxes.

no_bwrap = pytest.mark.skipif(
    shutil.which("bwrap") is None
    or subprocess.run(
        ["bwrap", "--ro-bind", "/", "/", "--unshare-net", "true"], capture_output=True
    ).returncode,
    reason="needs bubblewrap, and namespaces",
)


@no_bwrap
@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_server_works_in_its_sandbox(fronted: Any, server: Any, tmp_path: Path, mode: str) -> None:
    limits = {"network": False, "write": [str(tmp_path)], "memory_mb": 512, "cpu_seconds": 60, "file_mb": 10}
    here = str(Path(__file__).parent)
    async with fronted({"a": server("well_behaved", cwd=here, sandbox=limits)}, mode=mode) as client:
        inside = await client.call_tool("a__pid", {})
        assert int(inside.content[0].text) < 10  # of a namespace of its own
        await client.call_tool("a__die", {})
        with anyio.fail_after(10):
            while (await client.call_tool("a__pid", {})).is_error:
                await anyio.sleep(0.05)


@pytest.mark.anyio
async def test_without_what_its_sandbox_needs_a_server_is_not_started(
    fronted: Any, server: Any, tmp_path: Path, opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **more: None)
    async with fronted({"a": server("well_behaved", sandbox={"network": False})}) as client:
        await client.list_tools()
        refused = str((await client.call_tool("a__echo", {})).content)
    assert "its sandbox needs bubblewrap, which is not installed" in refused
    assert "apt install bubblewrap" in refused
    assert not opened


@no_bwrap
def test_nothing_in_a_sandbox_outlives_the_registry(server: Any, tmp_path: Path) -> None:
    word = f"pygent-test-{os.getpid()}-{tmp_path.name}"
    noted = tmp_path / word
    stubborn = server("stubborn", noted, sandbox={"network": False})
    with greeted(config=tmp_path / "c.json", server=stubborn):
        assert until(lambda: len(pids_in(noted)) == 2, 20)
        assert running_with(word)
    assert until(lambda: not running_with(word), SECONDS_TO_DIE)
