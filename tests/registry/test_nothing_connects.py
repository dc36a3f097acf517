"""Real processes of the suite, used in earnest, under a guard: nothing connects outward, by default."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import apsw
import pytest
from mcp import Client, StdioServerParameters

from pygent_shared.sandbox.run import missing
from pygent_shared.shipped import shipped

from .test_features import RIGHT, SHAPES, TEST, made, repository, scripted
from .test_orchestration import PATIENCE, call

pytestmark = pytest.mark.anyio

GUARD = Path(__file__).with_name("guard")
SERVERS = ("memory", "rag", "factory", "orchestration")

TEXT = """
[inputs.id]
[steps.found]
tool = "rag__search"
with = { question = "Who repairs the stations?" }
[steps.answered]
agent = "scripted"
task = "When does the tide turn?"
[steps.kept]
tool = "memory__memory_add"
with = { text = "{{ inputs.id }}: {{ steps.answered }}" }
"""


def environ(folder: Path) -> dict[str, str]:
    """Of a process under guard, with nothing of this machine's user but what is in a folder."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LD_LIBRARY_PATH")}
    return kept | {
        "HOME": str(folder),
        "PYGENT_DATA_DIR": str(folder / "data"),
        "PYTHONPATH": os.pathsep.join([str(GUARD), *filter(None, sys.path)]),
        "GUARD_LOG": str(folder / "guard.log"),
    }


@asynccontextmanager
async def served(folder: Path, *command: str) -> AsyncIterator[Client]:
    """A host of a process under guard, over stdio."""
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", *command], env=environ(folder), cwd=folder
    )
    with anyio.fail_after(3 * PATIENCE):
        async with Client(parameters) as client:
            yield client


def tries(folder: Path) -> list[str]:
    """What processes under guard tried, of which there was at least one."""
    lines = [line.partition(" ")[2] for line in (folder / "guard.log").read_text().splitlines()]
    assert "watched ''" in lines
    return [line for line in lines if line != "watched ''"]


async def test_the_whole_suite_behind_pygent_serve_is_used_and_nothing_connects(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps(["At six."]))
    async with served(tmp_path, "pygent_registry.cli", "serve") as client:
        await call(client, "rag__ingest", path=str(shipped("demo")))
        more = {"name": "scripted", "model": f"scripted:{script}", "tools": ["rag__search"]}
        await call(client, "factory__create_agent", **more)
        await call(client, "factory__deploy_agent", name="scripted")
        await call(client, "orchestration__define_workflow", name="w", definition=TEXT)
        asked = {"name": "w", "inputs": {"id": "it"}, "wait_s": PATIENCE}
        done = await call(client, "orchestration__start_workflow", **asked)
        assert done["state"] == "done", done
        assert (await call(client, "memory__memory_search", query="six"))["results"]
        await call(client, "orchestration__send_message", sender="a", to="b", payload={})
        assert (await call(client, "orchestration__receive_messages", reader="b"))["messages"]
        await call(client, "orchestration__queue_status")
    assert tries(tmp_path) == []


@pytest.mark.skipif(bool(missing()), reason=str(missing()))
async def test_a_feature_is_planned_coded_and_merged_and_nothing_connects(tmp_path: Path) -> None:
    place = repository(tmp_path / "repository", {"shapes.py": SHAPES})
    tests = made(tmp_path / "trusted", {"test_shapes.py": TEST})
    kinds = {"planner": "planning", "coder": "coding", "reviewer": "review"}
    async with served(tmp_path, "pygent_registry.cli", "serve") as client:
        for name, type in kinds.items():
            more = {"name": name, "type": type, "model": scripted(tmp_path, name)}
            await call(client, "factory__create_agent", **more)
            await call(client, "factory__deploy_agent", name=name)
        asked = {
            "request": "area(width, height) gives the area of a rectangle.",
            "repository": str(place),
            "policy": {"tests": str(tests)},
            "coder": "",
            "approvals": [],
            "wait_s": 2 * PATIENCE,
        }
        done = await call(client, "orchestration__submit_feature", **asked)
        assert done["state"] == "COMPLETED", done["error"]
        reader = f"feature/{done['feature']}"
        told = await call(client, "orchestration__receive_messages", reader=reader)
        assert [(row["type"], row["sender"]) for row in told["messages"]] == [("TASK_RESULT", "agent/coder")]
    assert (place / "shapes.py").read_text() == SHAPES + RIGHT
    assert tries(tmp_path) == []


@pytest.mark.parametrize("server", SERVERS)
async def test_a_server_that_stands_alone_connects_to_nothing(tmp_path: Path, server: str) -> None:
    async with served(tmp_path, f"pygent_{server}") as client:
        assert (await client.list_tools()).tools
        match server:
            case "memory":
                await call(client, "memory_add", text="The tide turns at six.")
                assert (await call(client, "memory_search", query="tide"))["results"]
            case "rag":
                await call(client, "ingest", path=str(shipped("demo")))
                assert (await call(client, "search", question="Who repairs the stations?"))["passages"]
            case "factory":
                await call(client, "create_agent", name="a", type="coding")
            case _:
                await call(client, "define_workflow", name="w", definition='[steps.a]\ncondition = "1"\n')
                done = await call(client, "start_workflow", name="w", wait_s=PATIENCE)
                assert done["state"] == "done"
    assert tries(tmp_path) == []


def test_the_guard_stops_and_notes_what_leaves_this_machine(tmp_path: Path) -> None:
    code = """
import socket, urllib.request
for act in (
    lambda: socket.create_connection(("192.0.2.1", 80), 1),
    lambda: socket.socket().connect(("192.0.2.1", 80)),
    lambda: urllib.request.urlopen("http://host.invalid/"),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
):
    try:
        act()
    except OSError:
        continue
    raise SystemExit("it got out")
"""
    subprocess.run([sys.executable, "-c", code], env=environ(tmp_path), check=True, timeout=PATIENCE)
    assert [line.split()[0] for line in tries(tmp_path)] == [
        "socket.getaddrinfo",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.sendto",
    ]


async def test_two_hosts_processes_on_one_store_do_all_of_both_once(tmp_path: Path) -> None:
    """Two hosts start a `pygent serve` each, as hosts do, with nothing set: they share all that is stored."""
    count = 6
    text = "[inputs.id]\n" + "".join(
        f'[steps.s{number}]\ntool = "memory__memory_add"\n'
        f'with = {{ text = "{{{{ inputs.id }}}} noted at step number {number} of three" }}\n'
        f"needs = {[f's{number - 1}'] if number else []}\n"
        for number in range(3)
    )

    async def work(client: Client, name: str, ids: list[str]) -> None:
        await call(client, "orchestration__define_workflow", name="w", definition=text)
        for number in range(count):
            more = {"name": "w", "inputs": {"id": f"{name}{number}"}}
            begun = await call(client, "orchestration__start_workflow", **more)
            ids.append(begun["workflow"])

    ids: list[str] = []
    async with (
        served(tmp_path, "pygent_registry.cli", "serve") as one,
        served(tmp_path, "pygent_registry.cli", "serve") as two,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, one, "one", ids)
            tasks.start_soon(work, two, "two", ids)
        for id in ids:
            for client in (one, two):
                asked = {"workflow": id, "wait_s": PATIENCE}
                ended = await call(client, "orchestration__wait_for_workflow", **asked)
                assert (ended["state"], {row["attempts"] for row in ended["steps"]}) == ("done", {1}), ended
                assert "duplicate" not in json.dumps(ended["steps"])  # as a memory that is added twice is
    wanted = {
        f"{name}{number} noted at step number {step} of three"
        for name in ("one", "two")
        for number in range(count)
        for step in range(3)
    }
    with closing(apsw.Connection(str(tmp_path / "data" / "memory.db"))) as database:
        kept = [text for (text,) in database.execute("SELECT text FROM memory")]
    assert sorted(kept) == sorted(wanted)
    assert tries(tmp_path) == []
