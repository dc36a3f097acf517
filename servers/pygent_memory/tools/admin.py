"""The tools of whoever looks after the memories: what there is, and the way out to files and in from them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from pygent_memory.admin_answers import ExportAnswer, ImportAnswer, SpacesAnswer, StatusAnswer
from pygent_memory.memories import Memories
from pygent_memory.spaces import Spaces
from pygent_memory.status import spaces as spaces_of
from pygent_memory.status import status
from pygent_memory.tools.arguments import Space
from pygent_memory.transfer.exporting import FORMATS, MARKDOWN, export_file
from pygent_memory.transfer.found import Watch
from pygent_memory.transfer.importing import import_file
from pygent_shared.errors import InvalidArgument
from pygent_shared.lazy import Lazy
from pygent_shared.roots import check_root
from pygent_shared.server import SuiteServer, answer
from pygent_shared.settings import Settings

EXPORTS = "exports"
PROGRESS_SECONDS = 0.5

_READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


def add_admin(
    server: SuiteServer[Lazy[Memories]], memories: Lazy[Memories], spaces: Spaces, settings: Settings
) -> None:
    """Add the tools of whoever looks after the memories."""

    @server.tool(title="Memory spaces", annotations=_READS)
    def memory_spaces() -> Annotated[CallToolResult, SpacesAnswer]:
        """List the spaces you may read, how much each holds, and when it was last written to."""
        seen = set(spaces.visible())
        data = SpacesAnswer.of([one for one in spaces_of(memories.get().database) if one.name in seen])
        return answer(data.text(), data)

    @server.tool(title="Memory status", annotations=_READS)
    def memory_status() -> Annotated[CallToolResult, StatusAnswer]:
        """Tell how large the memory is, which model made its vectors and how many are still to be computed,
        and when it was last backed up."""
        spaces.need_all()
        opened = memories.get()
        model, why = opened.model()
        data = StatusAnswer.of(status(opened.database), model, why)
        return answer(data.text(), data)

    @server.tool(
        title="Export memories",
        annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False),
    )
    def memory_export(
        file: Annotated[str, Field(description="A file name. Empty: the space's name and the time.")] = "",
        format: Annotated[
            str, Field(description="pygent: JSON lines, lossless; markdown: to read. Empty: by the name.")
        ] = "",
        space: Space = "",
    ) -> Annotated[CallToolResult, ExportAnswer]:
        """Write all memories of a space to a new file in the folder "exports" of the data folder.

        The format "pygent" keeps everything, forgotten memories and history too, and memory_import reads it;
        "markdown" (names ending in .md) is for people. Returns the path. Nothing is overwritten.
        """
        name = spaces.reading(space)
        target = settings.data_dir / EXPORTS / (_file_name(file) if file else _dated(name, format))
        data = ExportAnswer.of(name, export_file(memories.get().database, name, target, format))
        return answer(data.text(), data)

    @server.tool(
        title="Import memories",
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )
    def memory_import(
        ctx: Context[Any],
        path: Annotated[str, Field(description="A file or folder on this machine.")],
        format: Annotated[
            str, Field(description="pygent, reference, mem0 or basic-memory. Empty: look at the file.")
        ] = "",
        dry_run: Annotated[bool, Field(description="Only say what would happen.")] = False,
        space: Space = "",
    ) -> Annotated[CallToolResult, ImportAnswer]:
        """Take over memories from a file: an export of ours, the file of the reference memory server, a dump
        of mem0 (get_all as JSON) or a folder of basic-memory.

        What is known is counted and left as it is, so the same file can be imported again; what was forgotten
        here is not brought back. Damaged parts are named, and copied to a file beside. Start with dry_run.
        """
        name = spaces.writing(space)
        found = _source(path, settings.read_from)
        report = import_file(memories.get(), name, found, format, dry_run=dry_run, watch=_watcher(ctx))
        data = ImportAnswer.of(name, report)
        return answer(data.text(), data)


def _source(path: str, roots: tuple[str, ...]) -> Path:
    """The file or folder a caller means.

    Raises:
        InvalidArgument: no path can look like this.
        NotAllowed: it may not be read from here.
    """
    if not path.strip() or "\0" in path:
        raise InvalidArgument("path", "is no path", "Name a file or folder, best with its full path.")
    found = Path(path).expanduser().resolve()
    check_root(found, roots)
    return found


def _file_name(file: str) -> str:
    """A name for a file in the folder of exports.

    Raises:
        InvalidArgument: it leads elsewhere.
    """
    if not re.fullmatch(r"\w[\w .-]{0,99}", file):
        cure = "Use letters, digits, spaces and . _ - such as: notes.jsonl"
        raise InvalidArgument("file", f"{file[:40]!r} cannot be a file's name here", cure)
    return file


def _dated(space: str, format: str) -> str:
    if format and format not in FORMATS:
        return "export"  # it is refused with a sentence
    stem = re.sub(r"[^\w.-]+", "-", space).strip("-.") or "memories"
    return f"{stem}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{'md' if format == MARKDOWN else 'jsonl'}"


def _watcher(ctx: Context[Any]) -> Watch:
    """Hands what the worker thread reports to the caller; ends the work when the call was cancelled."""
    sent = 0.0

    def watch(done: int, total: int) -> None:
        nonlocal sent
        anyio.from_thread.check_cancelled()
        if total and (done == total or time.monotonic() - sent >= PROGRESS_SECONDS):
            sent = time.monotonic()
            anyio.from_thread.run(ctx.report_progress, done, total)

    return watch
