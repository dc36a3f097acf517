"""The tools of a workspace, in the shape of a peer's: they are called, watched and recorded as those are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio
from anyio.to_thread import run_sync
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pygent_factory.workspace import files, git
from pygent_factory.workspace.check import check
from pygent_factory.workspace.commands import ran
from pygent_factory.workspace.git import GitFailed, Worktree
from pygent_shared.errors import FileRefused, InvalidArgument, UnknownName
from pygent_shared.peers import Peers, asked_with

PREFIX = "workspace__"
SANDBOXED = ("workspace__run", "workspace__check")
MOST_FOUND = 200
MOST_LISTED = 500


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Read(_Arguments):
    """Read a file: 400 lines at most from `line` on, exactly as they stand."""

    path: str = Field(description="Relative to the workspace.")
    line: int = Field(default=1, ge=1, description="The first line to read.")


class Write(_Arguments):
    """Make a file, or replace it whole. To change a part of one: workspace__edit."""

    path: str = Field(description="Relative to the workspace; folders are made.")
    text: str = Field(description="All that stands in it then.")


class Edit(_Arguments):
    """Replace a text in a file. It must stand there exactly once, to the letter, blanks included."""

    path: str = Field(description="Relative to the workspace.")
    old: str = Field(description="The text to replace, with enough around it to stand there once.")
    new: str = Field(description="What takes its place; empty: nothing.")


class Search(_Arguments):
    """Find lines in all files by a regular expression. Returns PATH:NUMBER:LINE, 200 at most."""

    pattern: str = Field(min_length=1, description="Perl-compatible, as \\bdef load\\w+.")
    glob: str = Field(default="", description="Only in such files, as src/**/*.py.")


class List(_Arguments):
    """The files there are, those that git ignores left out. 500 at most."""

    folder: str = Field(default="", description="Only in this folder.")


class Run(_Arguments):
    """Run a shell command in the workspace: without network, without anything else of this machine, and for a
    bounded time; git's history is not there either. Returns its exit code and output."""

    command: str = Field(min_length=1, description="For sh -c.")
    timeout_s: float = Field(default=60, gt=0, le=600, description="Seconds until it is ended.")


class Check(_Arguments):
    """What the usual tools say of the code: ruff, mypy, pytest with coverage, where installed. Use it after
    every change; the work is done when nothing says FAILED."""

    tests: list[str] = Field(default=[], description="Only these test files or node ids; none: all tests.")


_KINDS: Mapping[str, type[_Arguments]] = {
    f"{PREFIX}{kind.__name__.lower()}": kind for kind in (Read, Write, Edit, Search, List, Run, Check)
}

DEFINITIONS: list[dict[str, Any]] = [
    {"name": name, "description": kind.__doc__, "inputSchema": kind.model_json_schema()}
    for name, kind in _KINDS.items()
]
"""As on the wire."""


def works_in_one(patterns: Sequence[str]) -> bool:
    """Whether an agent with such tools works in a workspace, and cannot without."""
    return any(pattern.startswith(PREFIX) for pattern in patterns)


class WorkspaceTools:
    """The tools of one worktree, and beside them those of the peers: `Peers`, for one run. One call at a time
    is at work in it, or a program could change what leads where while a file is written.

    Args:
        worktree: where they work.
        beside: the peers; None where there are none.
    """

    def __init__(self, worktree: Worktree, beside: Peers | None) -> None:
        self._worktree = worktree
        self._root = worktree.folder.resolve()
        self._beside = beside
        self._one = anyio.Lock()
        self._do: Mapping[type[_Arguments], Callable[[Any], Awaitable[str]]] = {
            Read: self._read,
            Write: self._write,
            Edit: self._edit,
            Search: self._search,
            List: self._list,
            Run: self._run,
            Check: self._check,
        }

    async def list_tools(self) -> list[dict[str, Any]]:
        """All there are."""
        return [*(await self._beside.list_tools() if self._beside else ()), *DEFINITIONS]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], *, asking: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The result of one, as on the wire.

        Raises:
            PygentError: it cannot be done; the message says how it could.
        """
        if not name.startswith(PREFIX):
            if self._beside is None:
                raise UnknownName("tool", name, _KINDS)
            return await self._beside.call_tool(name, arguments, **asked_with(asking))
        if name not in _KINDS:
            raise UnknownName("tool", name, _KINDS)
        kind = _KINDS[name]
        try:
            asked = kind.model_validate(arguments)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "arguments"
            cure = f"The arguments are: {', '.join(kind.model_fields)}."
            raise InvalidArgument(where, first["msg"][0].lower() + first["msg"][1:], cure) from error
        async with self._one:
            try:
                said = await self._do[kind](asked)
            except GitFailed as error:
                raise InvalidArgument(name, f"git says: {error}", "Mend it and call it again.") from error
        return {"content": [{"type": "text", "text": said}], "isError": False}

    async def _read(self, asked: Read) -> str:
        whole = await run_sync(files.text, self._root, asked.path, await self._known())
        return files.lines(whole, asked.path, asked.line)

    async def _write(self, asked: Write) -> str:
        return await run_sync(files.write, self._root, asked.path, asked.text)

    async def _edit(self, asked: Edit) -> str:
        return await run_sync(files.edit, self._root, asked.path, asked.old, asked.new, await self._known())

    async def _search(self, asked: Search) -> str:
        found = await run_sync(git.search, self._worktree, asked.pattern, asked.glob)
        shown = [line[:300] for line in found[:MOST_FOUND]]
        return _listed(shown, len(found), "Nothing matches.")

    async def _list(self, asked: List) -> str:
        folder = await run_sync(files.inside, self._root, asked.folder)
        within = "" if folder == self._root else f"{folder.relative_to(self._root)}/"
        names = [name for name in await self._known() if name.startswith(within)]
        return _listed(names[:MOST_LISTED], len(names), "There are no files.")

    async def _run(self, asked: Run) -> str:
        ended = await ran(self._worktree, ["/bin/sh", "-c", asked.command], asked.timeout_s)
        how = f"It was ended: {ended.killed}." if ended.killed else f"Exit code {ended.code}."
        return f"{how} {await self._state()}\n{ended.output}".rstrip()

    async def _check(self, asked: Check) -> str:
        said = await check(self._worktree, asked.tests)
        return f"{said}\n{await self._state()}"

    async def _known(self) -> list[str]:
        return await run_sync(git.files, self._worktree)

    async def _state(self) -> str:
        """So that who does the same after a change sees something else than who goes round in circles."""
        try:
            return f"[files {(await run_sync(git.state, self._worktree))[:10]}]"
        except FileRefused as error:  # the way to mend it is another command
            return f"[{error}]"


def _listed(shown: list[str], all_: int, none: str) -> str:
    more = [f"[and {all_ - len(shown)} more: ask for less]"] if all_ > len(shown) else []
    return "\n".join([*shown, *more]) or none
