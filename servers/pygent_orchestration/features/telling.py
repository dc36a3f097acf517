"""What is said on the bus of what happens to a feature.

Its coders are told of their tasks, and whoever reads for the feature of what came of each; whoever listens,
of everything. What is said of an event is always the same, and has the same ids: said twice, it arrives once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pygent_orchestration.bus import post
from pygent_orchestration.bus.message import AgentMessage, MessageType
from pygent_orchestration.coding.work import Done
from pygent_orchestration.features.events import Event
from pygent_orchestration.features.model import Feature, Task


def messages(feature: Feature, event: Event) -> Iterator[AgentMessage]:
    """What is said of an event of a feature, as it is then or later."""
    own = post.feature(feature.id)
    task = feature.tasks.get(event.task)
    if event.kind == "task" and task is not None:
        coder = post.agent(task.coder or feature.request.coder)
        if event.data["to"] == "running":
            yield _kept(event, own, coder, "TASK_ASSIGNMENT", _given(feature, task))
        else:
            yield _kept(event, coder, own, "TASK_RESULT", {"task": event.task, **_came(event.data)})
    elif event.data.get("to") == "FAILED" or event.kind == "cancelled":
        yield _kept(event, own, own, "ERROR", {"why": event.data["why"]})
    about = {"kind": event.kind, "state": feature.state}
    yield post.progress(own, about | ({"task": event.task} if event.task else {}), event.task)


def _given(feature: Feature, task: Task) -> dict[str, Any]:
    return {
        "task": task.prp.id,
        "goal": task.prp.goal,
        "repository": feature.request.repository,
        "prp": f"feature://{feature.id}/prp/{task.prp.id}",
    }


def _came(data: Mapping[str, Any]) -> dict[str, Any]:
    """What came of a task, without what gates and reviewers said in full: that is in the feature."""
    done = Done.model_validate(data["result"])
    why = {"class": done.failure.kind, "why": done.failure.why} if done.failure else None
    return {"state": data["to"], "commit": done.commit, "attempts": len(done.attempts), "failure": why}


def _kept(
    event: Event, sender: str, recipient: str, type: MessageType, payload: dict[str, Any]
) -> AgentMessage:
    own = sender if sender.startswith("feature/") else recipient
    id = uuid5(NAMESPACE_URL, f"{own}/{event.key}").hex
    return AgentMessage(
        id=id, sender=sender, recipient=recipient, type=type, payload=payload, correlation_id=event.task
    )
