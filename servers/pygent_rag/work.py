"""Work of a call that takes a while: done in a thread, told as progress, ended when the call is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult

from pygent_rag.change_answers import IngestAnswer, ReindexAnswer
from pygent_rag.ingest import Watcher
from pygent_rag.study_answers import MapAnswer
from pygent_shared.server import answer

PROGRESS_SECONDS = 0.1
"""Time between two progress messages."""


async def answered(work: Callable[[], IngestAnswer | ReindexAnswer | MapAnswer]) -> CallToolResult:
    """What work gives, as a tool answers it; it is done in a thread, so that others are served meanwhile."""
    data = await anyio.to_thread.run_sync(work)
    return answer(data.text(), data)


def watcher(ctx: Context[Any]) -> Watcher:
    """Hands what the worker thread reports to the caller as progress; ends the work when the call was
    cancelled."""
    sent = 0.0

    def watch(done: int, total: int, path: str) -> None:
        nonlocal sent
        anyio.from_thread.check_cancelled()
        if total and (done == total or time.monotonic() - sent >= PROGRESS_SECONDS):
            sent = time.monotonic()
            anyio.from_thread.run(ctx.report_progress, done, total, path)

    return watch
