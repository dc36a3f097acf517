"""What a step does in the world, once: an agent's run, a tool's call, a command in the sandbox.

An agent's run is begun in one step of the workflow and waited for in another: after a crash it is waited for
again, and not begun a second time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import anyio
from anyio.to_thread import run_sync
from mcp.shared.exceptions import MCPError

from pygent_orchestration.expressions import as_text
from pygent_shared.errors import FileRefused
from pygent_shared.peers import Peers
from pygent_shared.sandbox import Sandbox
from pygent_shared.sandbox.run import Bounds, run
from pygent_shared.sandbox.view import NOBODY

FACTORY = "factory__"
"""How the factory's tools are called."""
WAIT_SECONDS = 50.0
"""That one call waits for a run: less than a minute, after which many a host gives up."""
GATE_SECONDS = 600.0
GATE_OUTPUT = 16_000
COPY_MB = 512
"""Of a gate's folder, at most."""

Tell = Callable[[str], None]
"""Is told what a step waits for."""


class Red(Exception):
    """A step that did not do what it should; `str(error)` says why, and is all there is to say."""


class Actions:
    """Does them.

    Args:
        peers: where the tools are, the factory's among them; None where this server stands alone.
    """

    def __init__(self, peers: Peers | None) -> None:
        self._peers = peers

    @property
    def is_alone(self) -> bool:
        """Whether there are no other servers."""
        return self._peers is None

    async def tool(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """What a tool gives: its data, or its text where it has none.

        Raises:
            Red: it gave an error.
            PygentError: there is no such tool, or its server cannot be reached.
        """
        if self._peers is None:
            raise Red(
                "It uses other servers, and this one stands alone. Run it behind pygent serve or pygent up."
            )
        try:
            result = await self._peers.call_tool(name, dict(arguments))
        except MCPError as error:  # the server's own
            raise Red(str(error)) from error
        text = "\n".join(
            block["text"] for block in result.get("content") or () if block.get("type") == "text"
        )
        if result.get("isError"):
            raise Red(text or f"{name} failed and did not say why.")
        data = result.get("structuredContent")
        return text if data is None else data

    async def begin(self, name: str, task: str, workspace: str, branch: str, *, id: str = "") -> str:
        """Begin a run of an agent; returns its id. Under an `id` of the caller's it is begun once."""
        asked = {"name": name, "task": task, "workspace": workspace, "branch": branch, "wait_s": 0}
        run = await self.tool(f"{FACTORY}run_agent", asked | ({"id": id} if id else {}))
        return str(run["run"])

    async def ended(self, run: str, tell: Tell) -> dict[str, Any]:
        """A run once it has ended: its `answer`, and what it `used`.

        Raises:
            Red: it did not end well.
        """
        found = await self.waited(run, tell)
        if found["state"] != "done":
            raise Red(found.get("error") or f"Run {run} was cancelled.")
        return {"answer": found.get("answer"), "usage": found.get("usage") or {}}

    async def waited(self, run: str, tell: Tell) -> dict[str, Any]:
        """A run once it has ended, well or not, as the factory tells it."""
        while True:
            found = await self.tool(f"{FACTORY}get_run", {"run": run, "wait_s": WAIT_SECONDS})
            state = found["state"]
            if state in ("done", "failed", "cancelled"):
                return dict(found)
            if state == "needs_completion":
                cure = f'factory__get_run(run="{run}"), then factory__continue_run(…)'
                tell(f"Its agent needs your model: {cure}.")
                await anyio.sleep(1)
            elif state == "needs_input":
                tell(f'Its agent asks: {found["question"]} Answer it: factory__continue_run(run="{run}", …).')
                await anyio.sleep(1)

    async def stop(self, run: str) -> None:
        """Have a run go no further."""
        await self.tool(f"{FACTORY}cancel_run", {"run": run})

    async def gate(self, command: str | list[str], folder: str, seconds: float) -> str:
        """The output of a command that exits with 0, run in a copy of a folder: nothing it writes stays.

        Raises:
            Red: it exits with something else, or is ended.
            FileRefused: the folder cannot be copied.
            SandboxMissing: this machine has no sandbox for it.
        """
        copy = await run_sync(_copied, Path(folder))
        try:
            words = (
                ["/bin/sh", "-c", command]
                if isinstance(command, str)
                else [as_text(word) for word in command]
            )
            sandbox = Sandbox(
                network=False,
                write=(copy,),
                read=(),
                memory_mb=2048,
                cpu_seconds=int(seconds) + 1,
                processes=128,
                file_mb=256,
            )
            try:
                ended = await run(
                    words, sandbox, cwd=copy, bounds=Bounds(seconds=seconds, output=GATE_OUTPUT)
                )
            except FileNotFoundError as error:
                raise Red(f'There is no program "{words[0]}".') from error
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(lambda: shutil.rmtree(copy.parent, ignore_errors=True))
        if ended.killed or ended.code:
            why = f"was ended: {ended.killed}" if ended.killed else f"exited with {ended.code}"
            raise Red(f"The gate is red: `{_shown(command)}` {why}.\n{ended.output}".rstrip())
        return ended.output


def _shown(command: str | list[str]) -> str:
    return command if isinstance(command, str) else " ".join(command)


def _copied(folder: Path) -> Path:
    """A copy of a folder, which the user of the sandbox may change."""
    if not folder.is_dir():
        raise FileRefused(folder, "is no folder", "Name the folder the command is to be run in.")
    size = sum(path.lstat().st_size for path in folder.rglob("*"))
    if size > COPY_MB << 20:
        raise FileRefused(
            folder, f"is over {COPY_MB} MB, too large to be copied for a gate", "Name a part of it."
        )
    copy = Path(mkdtemp(prefix="pygent-gate-")) / folder.resolve().name
    try:
        shutil.copytree(folder, copy, symlinks=True)
    except OSError as error:  # a file that may not be read, or is none
        shutil.rmtree(copy.parent, ignore_errors=True)
        raise FileRefused(folder, f"cannot be copied for a gate: {error}", "Take that out of it.") from error
    if os.geteuid() == 0:
        for path in (copy.parent, copy, *copy.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return copy
