"""What a workflow may use while it runs. Importing this imports the engine: do it inside the workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from dbos import DBOS
from dbos import error as stops

from pygent_shared.durable.failure import Failed

Result = TypeVar("Result")


async def step(name: str, do: Callable[[], Awaitable[Result]]) -> Result:
    """Do something once: what it gives is written down, and given again when the workflow is run again. It
    must be fit for JSON. Its workflow cancelled, it is stopped within a second, unwritten.

    Raises:
        Failed: it raised something, which is written down too.
    """

    async def done() -> Result:
        try:
            return await do()
        except Exception as error:
            raise Failed.of(error) from error

    return await DBOS.run_step_async({"name": name, "preemptible": True}, done)


async def signalled(topic: str, within: float) -> Any:
    """The next message that somebody sent this workflow on a topic; None after so many seconds."""
    return await DBOS.recv_async(topic, timeout_seconds=within)


async def publish(key: str, value: Any) -> None:
    """Let everybody see a value of this workflow, under a key; a later one takes its place."""
    await DBOS.set_event_async(key, value)


async def emit(stream: str, value: Any) -> None:
    """Add a value to a stream of this workflow."""
    await DBOS.write_stream_async(stream, value)


def is_stopped(error: BaseException) -> bool:
    """Whether an error says that this workflow was cancelled, or is no longer this process's."""
    return isinstance(error, stops.DBOSWorkflowCancelledError | stops.DBOSWorkflowConflictIDError)


def workflow_id() -> str:
    """The id of the workflow that runs."""
    assert DBOS.workflow_id is not None, "no workflow runs"
    return DBOS.workflow_id
