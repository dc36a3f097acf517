"""What happens to a feature, and what it is by that: the same events always give the same feature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel

from pygent_orchestration.features.model import Feature, Plan, Prp, Question, Request, Task, TaskState
from pygent_orchestration.features.states import MOVES, OVER, TASK_MOVES
from pygent_shared.errors import IllegalMove

Kind = Literal[
    "submitted",
    "informed",
    "planned",
    "refused",
    "asked",
    "answered",
    "waits",
    "moved",
    "task",
    "added",
    "deployed",
    "cancelled",
]


class Event(BaseModel):
    """Something that happened.

    Args:
        key: says that it is this event and no other: one of a key happens once to a feature.
        task: the id of the task that it happened to.
        data: of submitted the request; informed the context; planned the plan; refused `why` a plan is of no
            use; asked the question; answered `verdict` and `comment`; waits `text`; moved `to` and `why`;
            task `to`, `coder` and `result`; added the task's PRP; deployed what came of it; cancelled `why`.
    """

    at: str
    key: str
    kind: Kind
    task: str = ""
    actor: str = ""
    data: dict[str, Any] = {}


def replay(id: str, events: Iterable[Event]) -> Feature:
    """A feature, by all that happened to it, oldest first.

    Raises:
        IllegalMove: that cannot have happened.
    """
    feature: Feature | None = None
    for event in events:
        feature = applied(id, feature, event)
    assert feature is not None, "no event"
    return feature


def applied(id: str, feature: Feature | None, event: Event) -> Feature:
    """A feature after an event; None before the first one.

    Raises:
        IllegalMove: it cannot happen to it as it stands.
    """
    if feature is None:
        if event.kind != "submitted":
            raise IllegalMove(f"Feature {id}", "not there", event.kind, "Begin one: submit_feature(…)")
        request = Request.model_validate(event.data)
        return Feature(id=id, request=request, began_at=event.at, changed_at=event.at, actor=event.actor)
    if event.kind not in _CHANGES or feature.state in OVER:
        raise _illegal(feature, event)
    changes: dict[str, Any] = {"changed_at": event.at} | ({} if event.task else {"waits": ""})
    return feature.model_copy(update={**changes, **_CHANGES[event.kind](feature, event)})


Changes = Mapping[str, Any]


def _informed(feature: Feature, event: Event) -> Changes:
    return {"context": event.data["context"]}


def _planned(feature: Feature, event: Event) -> Changes:
    _must(feature.state == "PLANNING" and feature.question is None, feature, event)
    plan, done = Plan.model_validate(event.data), feature.request.done
    states: Mapping[bool, TaskState] = {True: "merged", False: "waiting"}
    return {
        "plan": plan,
        "tasks": {prp.id: Task(prp=prp, state=states[prp.id in done]) for prp in plan.tasks},
    }


def _nothing(feature: Feature, event: Event) -> Changes:
    return {}


def _asked(feature: Feature, event: Event) -> Changes:
    question = Question.model_validate(event.data)
    when = {"plan": "PLANNING", "deployment": "REVIEW"}[question.about]
    _must(feature.question is None and feature.plan is not None and feature.state == when, feature, event)
    return {"question": question}


def _answered(feature: Feature, event: Event) -> Changes:
    _must(feature.question is not None, feature, event)
    return {"question": None}


def _waits(feature: Feature, event: Event) -> Changes:
    if not event.task:
        return {"waits": event.data["text"]}
    task = feature.tasks.get(event.task)
    _must(task is not None and task.state == "running", feature, event)
    assert task is not None
    return {"tasks": feature.tasks | {event.task: task.model_copy(update={"waits": event.data["text"]})}}


def _moved(feature: Feature, event: Event) -> Changes:
    to = event.data["to"]
    _must(to in MOVES[feature.state], feature, event)
    if to == "FAILED":
        return _failed(feature, event)
    _must(feature.plan is not None and feature.question is None, feature, event)
    if to == "REVIEW":
        _must(all(task.state == "merged" for task in feature.tasks.values()), feature, event)
    if to == "COMPLETED":
        _must(bool(feature.deployed), feature, event)
    return {"state": to}


def _cancelled(feature: Feature, event: Event) -> Changes:
    _must(feature.state != "DEPLOYMENT", feature, event)  # half a merge is none
    return _failed(feature, event)


def _failed(feature: Feature, event: Event) -> Changes:
    tasks = {name: _ended(task) for name, task in feature.tasks.items()}
    return {"state": "FAILED", "error": event.data["why"], "question": None, "tasks": tasks}


def _task(feature: Feature, event: Event) -> Changes:
    task, to = feature.tasks.get(event.task), event.data["to"]
    _must(feature.state == "IMPLEMENTATION" and task is not None, feature, event)
    assert task is not None
    _must(to in TASK_MOVES[task.state], feature, event)
    if to == "running":
        before = [feature.tasks[name].state for name in task.prp.depends_on]
        _must(all(state == "merged" for state in before), feature, event)
    changes = {"state": to, "waits": "", "result": event.data.get("result") or {}}
    if "coder" in event.data:
        changes["coder"] = event.data["coder"]
    changed = task.model_copy(update=changes)
    return {"tasks": feature.tasks | {event.task: changed}}


def _added(feature: Feature, event: Event) -> Changes:
    prp = Prp.model_validate(event.data)
    _must(feature.state == "IMPLEMENTATION" and prp.id not in feature.tasks, feature, event)
    return {"tasks": feature.tasks | {prp.id: Task(prp=prp)}}


def _deployed(feature: Feature, event: Event) -> Changes:
    _must(feature.state == "DEPLOYMENT" and not feature.deployed, feature, event)
    return {"deployed": event.data}


_CHANGES: Mapping[str, Callable[[Feature, Event], Changes]] = {
    "informed": _informed,
    "planned": _planned,
    "refused": _nothing,
    "asked": _asked,
    "answered": _answered,
    "waits": _waits,
    "moved": _moved,
    "task": _task,
    "added": _added,
    "deployed": _deployed,
    "cancelled": _cancelled,
}


def _ended(task: Task) -> Task:
    """A task of a feature that has failed."""
    ends: Mapping[TaskState, TaskState] = {"waiting": "skipped", "running": "cancelled"}
    return task.model_copy(update={"state": ends.get(task.state, task.state), "waits": ""})


def _must(holds: bool, feature: Feature, event: Event) -> None:
    if not holds:
        raise _illegal(feature, event)


def _illegal(feature: Feature, event: Event) -> IllegalMove:
    what = f"{event.kind} ({event.task or event.data.get('to') or event.key})"
    return IllegalMove(
        f"Feature {feature.id}", feature.state, what, f'See it: feature_status(feature="{feature.id}")'
    )
