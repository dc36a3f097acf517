"""What the demos share: `pygent serve` started and spoken to as any host does it, over stdio."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent_shared.errors import ServerUnavailable

if TYPE_CHECKING:
    from mcp import Client

# The model loads once, in the background; on a slow machine that takes its time.
WAIT_SECONDS = 120


@asynccontextmanager
async def host(
    which: str, config: Mapping[str, Any], folder: Path, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Client]:
    """A process, and its client.

    Args:
        which: as in "a first process".
        config: of the servers.
        folder: where it stores everything.
        settings: variables that hold unless the user's own environment says otherwise.
    """
    from mcp import Client, MCPError

    from pygent_registry.output import Output
    from pygent_registry.process import child
    from pygent_registry.reaper import Reaper

    path = folder / "pygent.json"
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")
    output, reaper = Output(), Reaper()
    command = ("-m", "pygent_registry.cli", "serve", "--config", str(path))
    environment = {**(settings or {}), **_passed_on(), "PYGENT_DATA_DIR": str(folder / "data")}
    began = time.monotonic()
    transport = child(sys.executable, command, env=environment, cwd=None, output=output, reaper=reaper)
    try:
        async with Client(transport, mode="auto", read_timeout_seconds=WAIT_SECONDS) as client:
            tools = await client.list_tools()
            found = (await servers(client)).items()
            names = ", ".join(f"{name} ({_where(server)})" for name, server in found)
            title = f"Started `pygent serve` in {which}: {len(tools.tools)} tools of {names}"
            print(f"\n{title}  [{time.monotonic() - began:.1f} s]", flush=True)
            yield client
    except* MCPError as errors:
        why = output.last_words() or f"failed: {errors.exceptions[0]}"
        raise ServerUnavailable("pygent serve", why) from errors
    finally:
        reaper.close()


async def call(
    client: Client, tool: str, progress: Any = None, **arguments: Any
) -> tuple[float, dict[str, Any]]:
    """A tool's structured result, and the seconds it took.

    Raises:
        ServerUnavailable: the tool failed.
    """
    began = time.monotonic()
    result = await client.call_tool(tool, arguments, progress_callback=progress)
    if result.is_error:
        raise ServerUnavailable(tool, f"failed: {getattr(result.content[0], 'text', '')}")
    structured: dict[str, Any] = result.structured_content or {}
    return time.monotonic() - began, structured


async def servers(client: Client) -> dict[str, dict[str, Any]]:
    """What runs, by name."""
    read = await client.read_resource("pygent://servers")
    found: dict[str, dict[str, Any]] = json.loads(getattr(read.contents[0], "text", "{}"))["servers"]
    return found


def _passed_on() -> dict[str, str]:
    """The settings a user has in the environment hold for the demo too, but for where things are stored."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("PYGENT_")}
    return {name: value for name, value in ours.items() if name not in ("PYGENT_DATA_DIR", "PYGENT_CONFIG")}


def _where(server: dict[str, Any]) -> str:
    return "in-process" if server["kind"] == "in-process" else "a process of its own"
