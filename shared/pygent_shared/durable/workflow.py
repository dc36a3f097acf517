"""What a workflow may use while it runs. Importing this imports the engine: do it inside the workflow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
from dbos import DBOS
from dbos import error as stops

from pygent_shared.durable.failure import Failed

Result = TypeVar("Result")


async def step(name: str, do: Callable[[], Awaitable[Result]]) -> Result:
    """Do something once: what it gives is written down, and given again when the workflow is run again.

    It must be fit for JSON.

    Raises:
        Failed: it raised something, which is written down too.
    """

    async def done() -> Result:
        try:
            with _stoppable(workflow_id()):
                return await do()
            raise Failed("Cancelled", "it was stopped")
        except Failed:
            raise
        except Exception as error:
            raise Failed.of(error) from error

    return await DBOS.run_step_async({"name": name}, done)


async def signalled(topic: str, within: float) -> Any:
    """The next message that somebody sent this workflow on a topic; None after so many seconds."""
    return await DBOS.recv_async(topic, timeout_seconds=within)


async def publish(key: str, value: Any) -> None:
    """Let everybody see a value of this workflow, under a key; a later one takes its place."""
    await DBOS.set_event_async(key, value)


async def emit(stream: str, value: Any) -> None:
    """Add a value to a stream of this workflow."""
    await DBOS.write_stream_async(stream, value)


def stop(id: str) -> None:
    """Stop what the workflow of an id does in this process right now: the step fails."""
    for loop, scope in list(_AT_WORK.get(id, ())):
        loop.call_soon_threadsafe(scope.cancel)


_AT_WORK: dict[str, set[tuple[asyncio.AbstractEventLoop, anyio.CancelScope]]] = {}


@contextmanager
def _stoppable(id: str) -> Iterator[None]:
    """Let `stop` end the block early."""
    with anyio.CancelScope() as scope:
        work = (asyncio.get_running_loop(), scope)
        _AT_WORK.setdefault(id, set()).add(work)
        try:
            yield
        finally:
            _AT_WORK[id].discard(work)
            if not _AT_WORK[id]:
                del _AT_WORK[id]


def is_stopped(error: BaseException) -> bool:
    """Whether an error says that this workflow was cancelled, or is no longer this process's."""
    return isinstance(error, stops.DBOSWorkflowCancelledError | stops.DBOSWorkflowConflictIDError)


def workflow_id() -> str:
    """The id of the workflow that runs."""
    assert DBOS.workflow_id is not None, "no workflow runs"
    return DBOS.workflow_id
