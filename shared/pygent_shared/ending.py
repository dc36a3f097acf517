"""When a serving process ends: told by a signal, or because the process that started it is gone.

The one rule: it does end. A tool that runs in a thread cannot be cancelled, so ending has a time limit.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anyio

PARENT_POLL_SECONDS = 1.0

# Read now: by the time the SDK is imported, the process that started this one may be gone already.
_STARTED_BY = os.getppid()


async def told_to_end(*, with_parent: bool) -> None:
    """Return when SIGTERM or SIGINT comes or, if `with_parent`, when whoever started this one is gone."""
    import anyio

    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as watchers:
            if with_parent:
                watchers.start_soon(_parent_gone, watchers.cancel_scope)
            async for _ in signals:
                watchers.cancel_scope.cancel()


def end_within(seconds: float) -> None:
    """Let this process end by itself, but for `seconds` at most."""
    limit = threading.Timer(seconds, os._exit, [0])
    limit.daemon = True
    limit.start()


async def _parent_gone(waiting: anyio.CancelScope) -> None:
    import anyio

    while os.getppid() == _STARTED_BY:
        await anyio.sleep(PARENT_POLL_SECONDS)
    waiting.cancel()
