"""The course of a feature: what its workflow writes down, and what it asks people."""

from __future__ import annotations

from typing import Any

from pygent_orchestration.carrying_out import FOREVER
from pygent_orchestration.coding.gates.policy import Policy
from pygent_orchestration.features.events import Kind
from pygent_orchestration.features.model import FeatureState, Gate, Prp, Question, Request
from pygent_orchestration.features.store import FeatureStore


class Stopped(Exception):
    """A feature that goes no further; `str(error)` says why."""


class Course:
    """Of one feature, in its workflow. Each event is a step, and has the key of its place: done again after a
    crash, it is the same event.
    """

    def __init__(self, store: FeatureStore, id: str, request: Request) -> None:
        self.id = id
        self.request = request
        self.policy = Policy.model_validate(request.policy)
        self._store = store
        self.added: list[Prp] = []
        """Tasks that came to those of the plan."""
        self._count = 0
        self._asked = 0

    @property
    def branch(self) -> str:
        """The branch that its tasks are merged into."""
        return f"feature/{self.id}"

    def coder(self, task: str) -> str:
        """The agent that a task is given to; empty where nobody is yet."""
        return self.request.coder or self._store.get(self.id).tasks[task].coder

    async def note(self, kind: Kind, data: dict[str, Any], actor: str = "") -> None:
        """Write down that something happened: one after the other."""
        from pygent_shared.durable import workflow

        self._count += 1
        key = f"{self._count}/{kind}"

        async def write() -> None:
            self._store.append(self.id, key, kind, data, actor=actor)

        await workflow.step(f"note {kind}", write)

    def say(self, key: str, kind: Kind, data: dict[str, Any], task: str = "") -> None:
        """Write down what happens within a step, several of which may be done at once."""
        self._store.append(self.id, key, kind, data, task=task)

    async def move(self, to: FeatureState, why: str = "") -> None:
        """Have the feature in another state."""
        await self.note("moved", {"to": to, "why": why})

    async def ask(self, about: Gate, text: str) -> tuple[str, str]:
        """The verdict of a person, and the comment.

        Raises:
            Stopped: it is to be rejected.
        """
        from pygent_shared.durable import workflow

        self._asked += 1
        question = Question(about=about, number=self._asked, text=text)
        await self.note("asked", question.model_dump())
        said = await workflow.signalled(topic(question), FOREVER)
        verdict, comment = said["verdict"], said["comment"]
        await self.note("answered", {"verdict": verdict, "comment": comment}, said["actor"])
        if verdict == "reject":
            raise Stopped(f"The {about} was rejected{f': {comment}' if comment else '.'}")
        return verdict, comment


def topic(question: Question) -> str:
    """Under what a question is answered."""
    return f"answer-{question.number}"
