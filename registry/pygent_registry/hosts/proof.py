"""Proof that a host can use an entry: it is started as the host will start it, and asked for its tools."""

from __future__ import annotations

import math
import shlex
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import anyio

from pygent_registry.hosts.entry import NAME, Entry
from pygent_shared.errors import ServerUnavailable

if TYPE_CHECKING:
    from mcp import Client

Mode = Literal["legacy", "auto"]

_STDERR_LINES = 5


@dataclass(frozen=True, kw_only=True)
class Proof:
    """That it worked: what was negotiated, how many tools it has, and the seconds from start to list."""

    mode: Mode
    protocol: str
    tools: int
    seconds: float


async def prove(entry: Entry, timeout: float, *, home: Path | None = None) -> tuple[Proof, ...]:
    """Start the entry twice, as hosts before and after MCP 2026-07-28 do, and list its tools.

    It gets the few variables a host passes on (`HOME`, `PATH` and the like) and the entry's own, no others,
    and runs in the user's home folder.

    Args:
        entry: what the host's config says: `plan.entry`.
        timeout: seconds for each of the two starts.
        home: the folder to run in, if not the user's home.

    Raises:
        ServerUnavailable: it did not start, ended, or did not answer in time; with its last stderr lines.
    """
    folder = home or Path.home()
    return (await _started(entry, "legacy", timeout, folder), await _started(entry, "auto", timeout, folder))


async def _started(entry: Entry, mode: Mode, timeout: float, folder: Path) -> Proof:
    from mcp import MCPError
    from pydantic import ValidationError

    failure: BaseException
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as stderr:
        try:
            return await _listed(entry, mode, timeout, folder, stderr)
        except* (OSError, MCPError, ValidationError, RuntimeError) as group:
            failure = _first(group)
        why = _why(failure, mode, timeout) + _last_lines(stderr)
    cure = f"Run it yourself: {shlex.join([entry.command, *entry.args])}"
    raise ServerUnavailable(NAME, why, cure) from failure


async def _listed(entry: Entry, mode: Mode, timeout: float, folder: Path, stderr: TextIO) -> Proof:
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    server = StdioServerParameters(
        command=entry.command, args=list(entry.args), env=dict(entry.env), cwd=folder
    )
    begun = time.perf_counter()
    with anyio.fail_after(timeout) as scope:
        async with Client(stdio_client(server, stderr), mode=mode) as client:
            tools = await _count_tools(client)
            seconds = time.perf_counter() - begun
            scope.deadline = math.inf  # what is left is the shutdown, which the SDK bounds itself
            return Proof(mode=mode, protocol=client.protocol_version, tools=tools, seconds=seconds)
    raise AssertionError("unreachable")  # fail_after raises; mypy takes it for a scope that swallows


async def _count_tools(client: Client) -> int:
    page = await client.list_tools()
    number = len(page.tools)
    while page.next_cursor:
        page = await client.list_tools(cursor=page.next_cursor)
        number += len(page.tools)
    return number


def _first(error: BaseException) -> BaseException:
    """The first of the errors in a group, however deep."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _why(failure: BaseException, mode: Mode, timeout: float) -> str:
    if isinstance(failure, TimeoutError):
        return f"did not list its tools within {timeout:g} s (mode {mode})"
    if isinstance(failure, OSError):
        return f"cannot be started: {failure.strerror}"
    return f"did not list its tools (mode {mode}): {_one_line(failure)}"


def _one_line(failure: Any) -> str:
    return " ".join(str(failure).split())


def _last_lines(stderr: TextIO) -> str:
    stderr.seek(0)
    lines = [line.strip() for line in stderr if line.strip()][-_STDERR_LINES:]
    return f'; its last lines on stderr were "{" / ".join(lines)}"' if lines else ""
