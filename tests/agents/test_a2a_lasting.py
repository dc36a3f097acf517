"""A server killed in the middle of its work, and two that share it: `pygent-a2a`, as users start it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from a2a.client import Client, ClientConfig, create_client
from a2a.client.errors import A2AClientError
from a2a.helpers import new_text_message
from a2a.types import (
    GetTaskRequest,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    TaskState,
)
from mcp import Client as McpClient

from pygent_factory.server import build_server
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

CHUNKS = 8
TOKEN = "lasting-token"
CLOCK = Path(__file__).with_name("clock_server.py")


def script() -> list[Any]:
    """Chunks of one artifact, each followed by some time."""
    replies: list[Any] = []
    for number in range(CHUNKS):
        given = {"name": "table", "text": f"{number} ", "append": number > 0, "last": number == CHUNKS - 1}
        replies.append({"tool_calls": [{"name": "user__give", "arguments": given}]})
        replies.append(
            {"tool_calls": [{"name": "clock__wait", "arguments": {"seconds": 0.4 + number / 1000}}]}
        )
    return [*replies, "Done."]


@dataclass
class Server:
    """A process that serves."""

    url: str
    process: subprocess.Popen[bytes]

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """The SDK's client of the agent."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
            config = ClientConfig(httpx_client=http)
            yield await create_client(f"{self.url}/agents/tides", client_config=config)


@dataclass
class Place:
    """A folder with a deployed agent, and servers over it."""

    folder: Path
    more: dict[str, str]

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @contextmanager
    def served(self, port: int = 0) -> Iterator[Server]:
        environ = {
            **self.more,
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": ":".join(sys.path),
            "PYGENT_TOKEN": TOKEN,
            "PYGENT_CONFIG": str(self.folder / "pygent.json"),
            "PYGENT_DATA_DIR": str(self.folder / "data"),
            "PYGENT_EMBEDDER": "none",
            "PYGENT_PORT": str(port),
        }
        words = [sys.executable, "-m", "pygent_a2a"]
        with self.log.open("a") as log:
            began = log.tell()
            with subprocess.Popen(words, env=environ, stderr=log) as process:
                try:
                    yield Server(url=self._announced(process, began), process=process)
                finally:
                    process.kill()

    def _announced(self, process: subprocess.Popen[bytes], began: int) -> str:
        """Where it says that it serves."""
        while process.poll() is None:
            for line in self.log.read_text()[began:].splitlines(keepends=True):
                if line.startswith("Serving ") and line.endswith("\n"):
                    return line.split()[1].removesuffix("/agents")
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())


@pytest.fixture
async def place(tmp_path: Path) -> Place:
    data = tmp_path / "data"
    (tmp_path / "script.json").write_text(json.dumps(script()))
    clock = {"command": sys.executable, "args": [str(CLOCK)]}
    (tmp_path / "pygent.json").write_text(
        json.dumps({"mcpServers": {"factory": {"server": "factory"}, "clock": clock}})
    )
    async with McpClient(build_server(Settings(data_dir=data), None)) as factory:
        made = {
            "name": "tides",
            "model": f"scripted:{tmp_path}/script.json",
            "tools": ["user__*", "clock__*"],
        }
        await factory.call_tool("create_agent", made)
        await factory.call_tool("deploy_agent", {"name": "tides"})
    return Place(folder=tmp_path, more={})


def said(text: str) -> SendMessageRequest:
    return SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER))


class Seen:
    """What a client has, as it would put it together."""

    def __init__(self) -> None:
        self.task = ""
        self.parts: list[str] = []
        self.answers = 0
        self.state = TaskState.TASK_STATE_UNSPECIFIED

    def take(self, event: StreamResponse) -> None:
        if event.HasField("task"):
            self.task, self.state = event.task.id, event.task.status.state
            self.parts, self.answers = [], 0
            for artifact in event.task.artifacts:
                self._take(artifact.artifact_id, [part.text for part in artifact.parts])
        elif event.HasField("artifact_update"):
            artifact = event.artifact_update.artifact
            self._take(artifact.artifact_id, [part.text for part in artifact.parts])
        elif event.HasField("status_update"):
            self.state = event.status_update.status.state

    def _take(self, name: str, texts: list[str]) -> None:
        if name == "table":
            self.parts += texts
        else:
            self.answers += 1


async def begin(client: Client, seen: Seen, enough: Callable[[], Awaitable[bool]]) -> None:
    """Send a message and follow its task, until that is enough or the server breaks it off."""
    with suppress(A2AClientError, httpx.HTTPError):
        async for event in client.send_message(said("When?")):
            seen.take(event)
            if await enough():
                return


async def follow(client: Client, seen: Seen) -> None:
    """Subscribe to a task until it has ended."""
    async for event in client.subscribe(SubscribeToTaskRequest(id=seen.task)):
        seen.take(event)


EVERYTHING = [f"{number} " for number in range(CHUNKS)]


async def test_a_killed_servers_stream_goes_on_where_it_was(place: Place) -> None:
    seen = Seen()
    with place.served() as first:

        async def enough() -> bool:
            if len(seen.parts) == 3:
                first.process.kill()
            return False

        async with first.client() as client:
            await begin(client, seen, enough)
        port = int(first.url.rpartition(":")[2])
    assert 3 <= len(seen.parts) < CHUNKS
    with place.served(port) as second:
        async with second.client() as again:
            with anyio.fail_after(60):
                await follow(again, seen)
            kept = await again.get_task(GetTaskRequest(id=seen.task))
    assert (seen.parts, seen.answers, seen.state) == (EVERYTHING, 1, TaskState.TASK_STATE_COMPLETED)
    by_name = {artifact.artifact_id: [part.text for part in artifact.parts] for artifact in kept.artifacts}
    assert by_name == {"table": EVERYTHING, "answer": ["Done."]}


async def test_a_task_begun_at_one_replica_streams_from_another_and_outlives_the_first(
    place: Place, postgres: str
) -> None:
    place.more["PYGENT_A2A_DATABASE"] = postgres
    seen, other = Seen(), Seen()
    with place.served() as first, place.served() as second:
        async with first.client() as here, second.client() as there, anyio.create_task_group() as tasks:

            async def enough() -> bool:
                if not other.task:
                    other.task = seen.task
                    tasks.start_soon(follow, there, other)
                return len(seen.parts) >= 3 and len(other.parts) >= 3

            with anyio.fail_after(90):
                await begin(here, seen, enough)
                assert len(other.parts) in range(3, CHUNKS)
                first.process.kill()
                while other.state != TaskState.TASK_STATE_COMPLETED:
                    await anyio.sleep(0.05)
    assert (other.parts, other.answers) == (EVERYTHING, 1)
