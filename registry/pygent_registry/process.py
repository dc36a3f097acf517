"""Server processes: started in a group of their own, ended as a group, and never left behind.

A child may ignore the end of its stdin and SIGTERM, may hide behind `sh -c` or `npx`, and this process may
be killed without warning. So each child leads its own process group, which is killed whole, and the reaper
(`reaper.py`) kills what is left when this process is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from pygent_registry.output import Output
from pygent_registry.pipes import LONGEST_KEPT, LineTooLong, drain, keep_tail, lines
from pygent_registry.reaper import Reaper
from pygent_registry.wire import Wire
from pygent_shared.errors import SandboxMissing
from pygent_shared.sandbox import Sandbox, confined

log = logging.getLogger(__name__)

EOF_GRACE_SECONDS = 1.0
TERM_GRACE_SECONDS = 1.0
# Nobody survives SIGKILL, but a busy machine takes its time.
KILL_GRACE_SECONDS = 10.0
# What a dead child wrote last is still read.
LAST_WORDS_SECONDS = 0.1
# Where the system tells nobody of a death, it is looked for so often.
LOOK_SECONDS = 0.25

Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]


@asynccontextmanager
async def child(
    command: str,
    args: tuple[str, ...],
    *,
    env: Mapping[str, str],
    cwd: str | None,
    output: Output,
    reaper: Reaper,
    sandbox: Sandbox | None = None,
) -> AsyncIterator[Streams]:
    """Run a stdio server and yield the message streams of an MCP transport.

    The child sees the few variables a host passes on (`PATH`, `HOME`, …) and `env`, nothing else of ours.

    Raises:
        OSError: the command cannot be run.
        LaunchRefused: its folder is not there, or its sandbox cannot be made.
    """
    if cwd is not None and not Path(cwd).is_dir():
        why = f'is not started: its "cwd", "{cwd}", is no folder'
        raise output.refused(why, f'Make it (mkdir -p "{cwd}"), or mend "cwd" in its entry.')
    name, _, word = reaper.family.partition("=")
    environ = {**get_default_environment(), **env, name: word}
    argv = [command, *args]
    if sandbox is not None:
        try:
            argv = confined(argv, sandbox, cwd=cwd, environ=environ)
        except SandboxMissing as error:
            raise output.refused(f"is not started: {error.why}", error.cure) from error
    reaper.start()
    process = await anyio.open_process(
        argv,
        env=environ,
        cwd=cwd,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    output.pid = process.pid
    reaper.watch(process.pid)
    to_session, from_child = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_child, from_session = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with anyio.create_task_group() as pumps:
            assert process.stdin is not None
            output.wire = wire = Wire(process.stdin.send, pumps)
            pumps.start_soon(_read_messages, process, to_session, output, wire)
            pumps.start_soon(_write_messages, process, from_session)
            pumps.start_soon(_notice_end, process, output, wire)
            assert process.stderr is not None
            pumps.start_soon(keep_tail, process.stderr, output.stderr, output.hide)
            yield from_child, to_child
            pumps.cancel_scope.cancel()
    finally:
        if output.wire is not None:
            output.wire.close()
        with anyio.CancelScope(shield=True):
            await _end(process)
            output.status = process.returncode
            reaper.forget(process.pid)
            for stream in (to_session, from_child, to_child, from_session):
                stream.close()


async def _read_messages(
    process: Process,
    to_session: MemoryObjectSendStream[SessionMessage | Exception],
    output: Output,
    wire: Wire,
) -> None:
    """Pass on every line that is a message; count the others, which must not harm anybody."""
    assert process.stdout is not None
    async with to_session:
        try:
            async for line in lines(process.stdout, output.most_bytes):
                if not wire.takes(line):
                    await _pass_on(line, to_session, output)
                await wire.pause()
        except LineTooLong as error:
            output.give_up(str(error))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return  # nobody reads it any more
        # The end of its output is the end of the server; its status says how it went.
        with anyio.move_on_after(0.5):
            await _exited(process)
        output.status = process.returncode
        output.ended.set()
        wire.close()


async def _pass_on(
    line: bytes, to_session: MemoryObjectSendStream[SessionMessage | Exception], output: Output
) -> None:
    try:
        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        output.rubbish += 1
        output.last_rubbish = output.hide(line[:LONGEST_KEPT].decode("utf-8", "replace"))[:80].strip()
        return
    await to_session.send(SessionMessage(message))


async def _write_messages(process: Process, from_session: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None
    async with from_session:
        async for outgoing in from_session:
            text = outgoing.message.model_dump_json(by_alias=True, exclude_unset=True)
            try:
                await process.stdin.send(text.encode() + b"\n")
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                return


async def _end(process: Process) -> None:
    """Close its stdin, then SIGTERM, then SIGKILL, each to the whole group and after a bounded wait."""
    with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        if process.stdin is not None:
            await process.stdin.aclose()
    for grace, warrant in ((EOF_GRACE_SECONDS, signal.SIGTERM), (TERM_GRACE_SECONDS, signal.SIGKILL)):
        with anyio.move_on_after(grace):
            await _exited(process)
        # Also when the leader is gone: what it started may live on in its group.
        _signal_group(process.pid, warrant if process.returncode is None else signal.SIGKILL)
    with anyio.move_on_after(KILL_GRACE_SECONDS):
        await _exited(process)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):
                await drain(stream)
                await stream.aclose()


async def _notice_end(process: Process, output: Output, wire: Wire) -> None:
    """The end of the child is the end of the connection, though what it started may hold its pipes open."""
    await _until_dead(process.pid)
    with anyio.move_on_after(0.5):
        await _exited(process)
    output.status = process.returncode
    await anyio.sleep(LAST_WORDS_SECONDS)
    output.ended.set()
    wire.close()


async def _until_dead(pid: int) -> None:
    """Return once a child of ours is dead; at once where it can be waited for, or else with a short delay."""
    if sys.platform == "linux":
        with suppress(OSError):  # an old kernel, or it is dead already
            handle = os.pidfd_open(pid)
            try:
                return await anyio.wait_readable(handle)
            finally:
                os.close(handle)
    while _is_there(pid):
        await anyio.sleep(LOOK_SECONDS)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def _exited(process: Process) -> None:
    """Return once the process is dead. Not `process.wait()`, which waits for its pipes too."""
    while process.returncode is None:
        await anyio.sleep(0.01)


def _signal_group(group: int, number: signal.Signals) -> None:
    if sys.platform == "win32":
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
