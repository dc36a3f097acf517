"""A third party's server, as a package that only this folder's tests know, and processes that run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pygent_shared.settings import Settings

SERVER = '''
import os, sys, time
from contextlib import asynccontextmanager

print("a library that greets at import")

import anyio
from pygent_shared import stdio
from pygent_shared.errors import HostError, InvalidArgument, UnknownName
from pygent_shared.server import SuiteServer

stdio.LAST_ANSWERS_SECONDS = float(os.environ.get("THIRD_PARTY_PATIENCE", "10"))
NOTES = {"alpha": "first", "beta": "second"}


def build_server(settings, peers):
    @asynccontextmanager
    async def lifespan(server):
        if os.environ.get("THIRD_PARTY_BROKEN"):
            raise HostError("The third party cannot start. Plug it in.")
        settings.data_dir.mkdir(exist_ok=True)
        with open(settings.data_dir / "life", "a") as life:
            life.write("begun ")
            try:
                yield
            finally:
                life.write("ended ")

    server = SuiteServer("third-party", lifespan=lifespan)

    @server.tool()
    def greet(name: str, times: int = 1) -> str:
        """Greet somebody."""
        return " ".join([f"hello {name}"] * times)

    @server.tool()
    def nothing() -> str:
        return "done"

    @server.tool()
    def chatter() -> str:
        print("this must not reach the wire")
        os.write(1, b"nor this\\n")
        return "said"

    @server.tool()
    def pid() -> int:
        return os.getpid()

    @server.tool()
    async def slow(seconds: float) -> str:
        await anyio.sleep(seconds)
        return "slept"

    @server.tool()
    def stuck(seconds: float) -> str:
        time.sleep(seconds)
        return "slept"

    @server.tool()
    def refuse() -> str:
        raise InvalidArgument("path", "it points nowhere", "Name a folder that exists.")

    @server.tool()
    def crash() -> str:
        raise ValueError("the inside of the machine")

    @server.tool()
    def wrong() -> int:
        return "not a number"

    @server.resource("third://notes/{name}")
    def note(name: str) -> str:
        if name == "locked":
            raise InvalidArgument("name", "it is locked", "Ask for another.")
        if name == "broken":
            raise ValueError("the inside of the machine")
        if name not in NOTES:
            raise UnknownName("note", name, NOTES)
        return NOTES[name]

    @server.prompt()
    def ask(about: str) -> str:
        if about == "locked":
            raise InvalidArgument("about", "it is locked", "Ask about another.")
        if about == "broken":
            raise RuntimeError("the inside of the machine")
        return f"Tell me about {about}."

    return server
'''

MAIN = """
import sys
from pygent_shared.serve import serve
sys.exit(serve("third_party.server:build_server"))
"""

EMBEDDER = '''
"""An embedding engine of a third party; what it does depends on the model's name."""
import threading

from pygent_shared.testing import ScriptedEmbedder

loads, may_load = [], threading.Event()


class OutOfMemory(Exception):
    """Of no class that anybody foresaw."""


def load(model):
    loads.append(model)
    if model.startswith("gated"):
        assert may_load.wait(20)
    if model == "broken":
        raise OutOfMemory("no room for the weights")
    if model == "missing":
        raise OSError("no such folder")
    return ScriptedEmbedder({"cat": 0, "kitten": 0, "ship": 1})
'''


@pytest.fixture(scope="session")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that holds the package `third_party`; it is importable here and in processes we start."""
    folder = tmp_path_factory.mktemp("third")
    package = folder / "third_party"
    package.mkdir()
    for name, text in (("__init__", ""), ("server", SERVER), ("__main__", MAIN), ("embedder", EMBEDDER)):
        (package / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


Popen = subprocess.Popen[str]
Start = Callable[..., AbstractContextManager[Popen]]


@pytest.fixture
def environ(third_party: Path, settings: Settings) -> dict[str, str]:
    """What a process of ours is started with: the settings of the test, and the third party's package."""
    own = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**own, **settings.environ(), "PYTHONPATH": str(third_party)}


@pytest.fixture
def start(environ: dict[str, str]) -> Start:
    """`with start(*flags, env=…) as process:` the third party's server; killed at the latest at the end."""

    @contextmanager
    def started(*flags: str, env: dict[str, str] | None = None, **options: Any) -> Iterator[Popen]:
        command = [sys.executable, "-m", "third_party", *flags]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options
        with subprocess.Popen(command, env=environ | (env or {}), text=True, **pipes) as process:
            try:
                yield process
            finally:
                process.kill()

    return started


@pytest.fixture
def script(environ: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a piece of Python in a process of its own."""

    def run(source: str, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-c", source, *args]
        options = {"env": environ, "capture_output": True, "text": True, "timeout": 60} | options
        return subprocess.run(command, **options)

    return run


@pytest.fixture
def listening() -> Callable[[Popen], str]:
    """The address an HTTP server just started says it serves."""

    def address(process: Popen) -> str:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.match(r"Serving (http://\S+)/mcp$", line):
                return found[1]
        raise AssertionError("it ended before it served")

    return address


@pytest.fixture
def parsed() -> Callable[[str], list[dict[str, Any]]]:
    """Every line of a text, which must all be JSON."""
    return lambda text: [json.loads(line) for line in text.splitlines()]
