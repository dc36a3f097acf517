"""A registry in this process over small real servers."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from pygent_registry.config import parse
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_shared.settings import Settings

HERE = Path(__file__).parent
EVERYTHING = HERE.parent / "interop" / "everything.py"

Fronted = Callable[..., AbstractAsyncContextManager[Client]]


Server = Callable[..., dict[str, Any]]


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Commands configure the process's logging; what was there comes back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with warnings.catch_warnings():
        yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def server() -> Server:
    """`server("well_behaved", argument, **keys)`: a config entry for a behaviour of `stdio_servers.py`."""

    def entry(behaviour: str, argument: str | Path = "", **more: Any) -> dict[str, Any]:
        script = str(HERE / "stdio_servers.py")
        return {"command": sys.executable, "args": [script, behaviour, str(argument)], **more}

    return entry


@pytest.fixture
def everything() -> dict[str, Any]:
    """A config entry for the fixture server of the conformance suite, which speaks both eras."""
    return {"command": sys.executable, "args": [str(EVERYTHING), "stdio"]}


@pytest.fixture
def fronted(settings: Settings) -> Fronted:
    """`async with fronted({"name": entry, …}, mode="auto") as client:`, a host in front of these servers."""

    @asynccontextmanager
    async def connected(
        servers: dict[str, Any], *, settings: Settings = settings, **options: Any
    ) -> AsyncIterator[Client]:
        registry = Registry(parse({"mcpServers": servers}), settings)
        async with Client(Gateway(registry), **options) as client:
            yield client

    return connected
