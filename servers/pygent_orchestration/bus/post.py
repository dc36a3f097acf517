"""What work says on the bus of itself: who is given a task, what came of it, how far it is.

The one rule: work never fails for a message that cannot be sent. The durable store is what work goes by; the
bus tells of it, and where it cannot, the log says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pygent_orchestration.bus.bus import Bus
from pygent_orchestration.bus.message import PROGRESS, AgentMessage, MessageType
from pygent_shared.errors import PygentError

log = logging.getLogger(__name__)

SILENCE_SECONDS = 10.0
"""Nothing that may be lost is sent for so long once something could not be: work does not wait for it."""


def agent(name: str) -> str:
    """The address of an agent of the factory."""
    return f"agent/{name}"


def feature(id: str) -> str:
    """The address of a feature."""
    return f"feature/{id}"


def workflow(id: str) -> str:
    """The address of a workflow."""
    return f"workflow/{id}"


class Post:
    """Sends it. Call it in steps of durable workflows: what is sent again after a crash has the same id, and
    arrives once.

    Args:
        bus: where to.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._silent_until = 0.0

    async def assigned(self, task: str, to: str, of: str, payload: Mapping[str, Any]) -> None:
        """Tell an agent (`agent(name)`) that it is given a task of a feature (`feature(id)`)."""
        await self._send("TASK_ASSIGNMENT", of, to, task, payload)

    async def result(self, task: str, by: str, of: str, payload: Mapping[str, Any]) -> None:
        """Tell a feature what came of a task that an agent was given."""
        await self._send("TASK_RESULT", by, of, task, payload)

    async def error(self, task: str, by: str, of: str, payload: Mapping[str, Any]) -> None:
        """Tell a feature what went wrong with a task, and is tried again or given up."""
        await self._send("ERROR", by, of, task, payload)

    async def progress(self, of: str, payload: Mapping[str, Any], task: str = "") -> None:
        """Tell whoever listens how far a feature or workflow is, or one of its tasks."""
        await self._send("PROGRESS_UPDATE", of, PROGRESS, task, payload)

    async def _send(
        self, type: MessageType, sender: str, recipient: str, task: str, payload: Mapping[str, Any]
    ) -> None:
        said = dict(payload)
        message = AgentMessage(
            sender=sender, recipient=recipient, type=type, payload=said, correlation_id=task
        )
        if message.is_kept:
            words = message.model_dump_json(
                include={"sender", "recipient", "type", "payload", "correlation_id"}
            )
            message = message.model_copy(update={"id": uuid5(NAMESPACE_URL, words).hex})
        elif time.monotonic() < self._silent_until:
            return
        try:
            await self._bus.send(message)
        except PygentError as error:
            self._silent_until = time.monotonic() + SILENCE_SECONDS
            log.warning("%s of %s is not sent: %s", type, sender, error)
