"""What an agent has said so far: the task with each event applied to it, and whether there is more to come.
Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from a2a.helpers import get_artifact_text, get_message_text
from a2a.types import Artifact, Message, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState

INTERRUPTED = frozenset({TaskState.TASK_STATE_INPUT_REQUIRED, TaskState.TASK_STATE_AUTH_REQUIRED})
TERMINAL = frozenset(
    {
        TaskState.TASK_STATE_COMPLETED,
        TaskState.TASK_STATE_FAILED,
        TaskState.TASK_STATE_CANCELED,
        TaskState.TASK_STATE_REJECTED,
    }
)
LONGEST_NEWS = 300


@dataclass(kw_only=True, eq=False)
class Told:
    """What came of one request to an agent."""

    task: Task | None = None
    message: Message | None = None
    """The answer, where the agent made no task of it."""
    said: list[str] = field(default_factory=list)
    """What it said on the way, for whoever waits."""

    @classmethod
    def after(cls, task: Task) -> Told:
        """What is known of a task that was asked for."""
        told = cls()
        told.apply(StreamResponse(task=task))
        return told

    def apply(self, event: StreamResponse) -> None:
        """Take over what an event says."""
        match event.WhichOneof("payload"):
            case "message":
                self.message = event.message
            case "task":
                self.task = event.task
                self._say(_words(event.task.status.message))
            case "status_update":
                update = event.status_update
                task = self._task(update.task_id, update.context_id)
                task.status.CopyFrom(update.status)
                self._say(_words(update.status.message) or state_of(update.status.state))
            case "artifact_update":
                self._artifact(event.artifact_update)

    @property
    def state(self) -> str:
        """Its state in the protocol's word; a message is `completed`."""
        if self.message is not None:
            return "completed"
        return state_of(self.task.status.state) if self.task is not None else "submitted"

    @property
    def is_settled(self) -> bool:
        """Whether nothing comes before somebody says something."""
        if self.message is not None:
            return True
        return self.task is not None and self.task.status.state in TERMINAL | INTERRUPTED

    @property
    def task_id(self) -> str:
        return self.task.id if self.task is not None else ""

    @property
    def context_id(self) -> str:
        found = self.task if self.message is None else self.message
        return found.context_id if found is not None else ""

    @property
    def last_words(self) -> str:
        """The text that goes with its state: a question, a reason, a greeting."""
        if self.message is not None:
            return get_message_text(self.message)
        return _words(self.task.status.message) if self.task is not None else ""

    @property
    def artifacts(self) -> list[Artifact]:
        return list(self.task.artifacts) if self.task is not None else []

    def _task(self, task: str, context: str) -> Task:
        if self.task is None:
            self.task = Task(id=task, context_id=context)
        return self.task

    def _artifact(self, update: TaskArtifactUpdateEvent) -> None:
        task = self._task(update.task_id, update.context_id)
        there = next((a for a in task.artifacts if a.artifact_id == update.artifact.artifact_id), None)
        if there is None:
            task.artifacts.append(update.artifact)
        elif update.append:
            there.parts.extend(update.artifact.parts)
        else:
            there.CopyFrom(update.artifact)
        self._say(get_artifact_text(update.artifact, "") or f"artifact {update.artifact.name}".strip())

    def _say(self, words: str) -> None:
        if words:
            self.said.append(words if len(words) <= LONGEST_NEWS else words[:LONGEST_NEWS] + "…")


def state_of(state: TaskState) -> str:
    """The protocol's word of a state, such as `input-required`."""
    return TaskState.Name(state).removeprefix("TASK_STATE_").lower().replace("_", "-")


def _words(message: Message) -> str:
    return get_message_text(message).strip()
