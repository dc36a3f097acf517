"""What a workflow may use while it runs. Importing this imports the engine: do it inside the workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
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
    return await DBOS.run_step_async({"name": name, "preemptible": True}, _noted(do))


class Place:
    """A place for a step among those of the workflow that runs, taken now: steps that are done at once have
    the same places whenever the workflow is run again, whichever of them ends first.
    """

    def __init__(self) -> None:
        self._reserved = DBOS.reserve_step()

    @property
    def number(self) -> int:
        """The number the step will have."""
        return self._reserved.step_id

    async def step(self, name: str, do: Callable[[], Awaitable[Result]], *, long: bool = False) -> Result:
        """The step, as `step` does it; once.

        Args:
            long: stop it in the middle when the workflow is cancelled, which is looked for meanwhile.
        """
        return await self._reserved.run_async({"name": name, "preemptible": long}, _noted(do))


def _noted(do: Callable[[], Awaitable[Result]]) -> Callable[[], Coroutine[Any, Any, Result]]:
    async def done() -> Result:
        try:
            return await do()
        except Exception as error:
            raise Failed.of(error) from error

    return done


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
