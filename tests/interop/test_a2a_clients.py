"""Agents of ours serve A2A clients that nobody here wrote, each with its own dialect of the protocol, and
agents on earlier SDKs are asked through our registry.

`a2a_clients.py` installs them; where one is missing its test skips and says what to type.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client

from pygent_registry.config import parse
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_shared.settings import Settings

from .a2a_clients import BINDINGS, DEEDS, NAMES, missing, python, run
from .a2a_instance import TOKEN, Instance, furnish, instance
from .serving import free_port, started

START_SECONDS = 30.0


@pytest.fixture(scope="module", params=[(), ("pygent_a2a",)], ids=["pygent up", "pygent-a2a"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    home: Path = tmp_path_factory.mktemp("home")
    anyio.run(furnish, home)
    with instance(home, *request.param) as served:
        yield served


@pytest.mark.parametrize("name", NAMES)
def test_a_client_finds_sends_streams_cancels_and_answers(served: Instance, name: str) -> None:
    if why := missing(name):
        pytest.skip(why)
    deeds = [deed["deed"] for deed in run(name, served.url, TOKEN)]
    assert deeds == list(DEEDS) * BINDINGS[name]


def test_a_client_does_the_same_over_grpc(tmp_path: Path) -> None:
    if why := missing("py13"):
        pytest.skip(why)
    anyio.run(furnish, tmp_path)
    with instance(tmp_path, grpc=True) as served:
        deeds = [deed["deed"] for deed in run("py13", served.url, TOKEN, "GRPC")]
    assert deeds == list(DEEDS)


@contextmanager
def old_agent(name: str, log: Path) -> Iterator[str]:
    """An agent on one of the earlier SDKs while the block runs; its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(python(name)), str(Path(__file__).parent / "a2a_server" / "old.py"), str(port)]
    with started(command, {"PYTHONPATH": ""}, log) as process:
        until = time.monotonic() + START_SECONDS
        while not _is_up(url):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < until, log.read_text()[-2000:]
            time.sleep(0.1)
        yield url


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/.well-known/agent.json", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["py03", "py02"])
async def test_an_agent_on_an_earlier_sdk_is_asked_through_the_registry(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    if why := missing(name):
        pytest.skip(why)

    async def ask(message: str, **more: Any) -> tuple[str, dict[str, Any]]:
        result = await host.call_tool("ask_old", {"message": message, **more})
        assert not result.is_error, result.content
        return result.content[0].text, result.structured_content or {}  # type: ignore[union-attr]

    with old_agent(name, tmp_path / "log") as url:
        async with Client(Gateway(Registry(parse({"agents": {"old": {"card": url}}}), settings))) as host:
            assert (await ask("hello"))[0] == "heard: hello"
            _, asked = await ask("ask which?")
            assert (asked["state"], asked["question"]) == ("input-required", "which?")
            text, answered = await ask("the Elbe", task=asked["task"])
            assert (text, answered["task"]) == ("heard: the Elbe", asked["task"])
            _, long = await ask("slow 300", wait_s=0.5)
            stopped = await host.call_tool("old__cancel_task", {"task": long["task"]})
            assert (stopped.structured_content or {})["state"] == "canceled"
