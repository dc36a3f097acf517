"""The states of a feature: whatever happens to it, its rows and its history say the same."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pygent_orchestration.features.events import replay
from pygent_orchestration.features.model import Feature, Plan, Prp, Question, Request
from pygent_orchestration.features.states import MOVES, OVER, TASK_MOVES
from pygent_orchestration.features.store import FeatureStore
from pygent_orchestration.store import MIGRATIONS
from pygent_shared.database import Database
from pygent_shared.errors import DatabaseUnusable, IllegalMove, UnknownName

NAMES = ("a", "b", "c", "d")
ID = "f1"
REQUEST = Request(text="Dates", repository="/repository", target="main")


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    tasks = []
    for place, name in enumerate(names):
        before = draw(st.lists(st.sampled_from(names[:place]), unique=True)) if place else []
        tasks.append(Prp(id=name, goal=f"Do {name}", depends_on=before))
    return Plan(tasks=tasks)


def opened(folder: Path) -> tuple[Database, FeatureStore]:
    database = Database(folder / "orchestration.db", MIGRATIONS)
    return database, FeatureStore(database)


class AFeature(RuleBasedStateMachine):
    """Events in any order: each is taken or refused, and what is taken can be had again from the history."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self._database, self.store = opened(Path(self._folder.name))
        self.count = 0
        self.taken = 0
        self.feature = Feature(id=ID, request=REQUEST, began_at="", changed_at="")

    def teardown(self) -> None:
        self._database.close()
        self._folder.cleanup()

    def happens(self, kind: Any, data: dict[str, Any], task: str = "") -> bool:
        """Whether it was taken. One that is refused leaves all as it was; one that comes twice is one."""
        self.count += 1
        before = self.feature
        try:
            self.feature = self.store.append(ID, str(self.count), kind, data, task=task)
        except IllegalMove:
            assert self.store.get(ID) == before
            return False
        self.taken += 1
        assert self.store.append(ID, str(self.count), kind, data, task=task) == self.feature
        return True

    @initialize()
    def submit(self) -> None:
        assert self.happens("submitted", REQUEST.model_dump(mode="json"))

    @rule(plan=plans())
    def plan(self, plan: Plan) -> None:
        can = self.feature.state == "PLANNING" and self.feature.question is None
        assert self.happens("planned", plan.model_dump(mode="json")) is can

    @rule(to=st.sampled_from(sorted(MOVES)))
    def move(self, to: Any) -> None:
        before = self.feature
        if self.happens("moved", {"to": to, "why": "so"}):
            assert to in MOVES[before.state]
            assert self.feature.state == to
        elif to == "FAILED":
            assert before.state in OVER

    @rule(task=st.sampled_from(NAMES), to=st.sampled_from(sorted(TASK_MOVES)))
    def task(self, task: str, to: Any) -> None:
        before = self.feature
        if self.happens("task", {"to": to, "result": {"commit": "c"}}, task):
            assert before.state == "IMPLEMENTATION"
            assert to in TASK_MOVES[before.tasks[task].state]

    @precondition(lambda self: self.feature.state == "IMPLEMENTATION")
    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        """One of the tasks goes well, that the walk comes to the later states too."""
        at_work = [name for name, task in self.feature.tasks.items() if task.state == "running"]
        ready = [
            name
            for name, task in self.feature.tasks.items()
            if task.state == "waiting"
            and all(self.feature.tasks[other].state == "merged" for other in task.prp.depends_on)
        ]
        if at_work or ready:
            name = data.draw(st.sampled_from(at_work or ready))
            assert self.happens("task", {"to": "merged" if at_work else "running"}, name)

    @rule(about=st.sampled_from(["plan", "deployment"]))
    def ask(self, about: Any) -> None:
        before = self.feature
        when = {"plan": "PLANNING", "deployment": "REVIEW"}[about]
        can = before.state == when and before.question is None and before.plan is not None
        question = Question(about=about, number=self.count, text="?")
        assert self.happens("asked", question.model_dump()) is can

    @rule()
    def answer(self) -> None:
        can = self.feature.question is not None
        assert self.happens("answered", {"verdict": "approve", "comment": ""}) is can

    @rule(task=st.sampled_from(NAMES))
    def add(self, task: str) -> None:
        self.happens("added", Prp(id=task, goal="More").model_dump(mode="json"))

    @rule()
    def wait(self) -> None:
        if self.happens("waits", {"text": "Answer it."}):
            assert self.feature.waits == "Answer it."

    @rule()
    def deploy(self) -> None:
        can = self.feature.state == "DEPLOYMENT" and not self.feature.deployed
        assert self.happens("deployed", {"commit": "c"}) is can

    @invariant()
    def its_history_gives_the_same_feature(self) -> None:
        if not self.taken:
            return
        events = self.store.events(ID)
        assert len(events) == self.taken
        assert replay(ID, events) == self.store.get(ID) == self.feature

    @invariant()
    def what_is_over_has_nothing_at_work_and_asks_nothing(self) -> None:
        if self.feature.state in OVER:
            assert self.feature.question is None
            assert not {"running", "waiting"} & {task.state for task in self.feature.tasks.values()}

    @invariant()
    def what_is_reviewed_has_all_its_tasks_merged(self) -> None:
        if self.feature.state in ("REVIEW", "DEPLOYMENT", "COMPLETED"):
            assert {task.state for task in self.feature.tasks.values()} == {"merged"}

    @invariant()
    def it_is_awaited_until_it_is_over(self) -> None:
        assert self.store.is_awaited() is bool(self.taken and self.feature.state not in OVER)


TestAFeature = AFeature.TestCase
TestAFeature.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def test_every_state_leads_to_an_end_and_can_be_come_to() -> None:
    def reached(state: Any) -> set[Any]:
        found, new = {state}, [state]
        while new:
            new = [to for at in new for to in MOVES[at] if to not in found]
            found.update(new)
        return found

    assert reached("PLANNING") == set(MOVES)
    assert all("FAILED" in MOVES[state] for state in MOVES if state not in OVER)
    assert all("COMPLETED" in reached(state) for state in MOVES if state not in OVER)
    assert OVER == ("COMPLETED", "FAILED")


def test_no_event_is_changed(tmp_path: Path) -> None:
    database, store = opened(tmp_path)
    store.append(ID, "1", "submitted", REQUEST.model_dump(mode="json"))
    with pytest.raises(DatabaseUnusable, match="never changed"), database.write() as connection:
        connection.execute("UPDATE feature_event SET kind = 'moved'")
    assert [event.kind for event in store.events(ID)] == ["submitted"]
    database.close()


def test_one_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    database, store = opened(tmp_path)
    store.append("f123", "1", "submitted", REQUEST.model_dump(mode="json"))
    for ask in (store.get, store.events):
        with pytest.raises(UnknownName, match=r'no feature "f124"\. Did you mean "f123"'):
            ask("f124")
    with pytest.raises(IllegalMove, match="not there"):
        store.append("f124", "1", "moved", {"to": "FAILED", "why": ""})
    assert [feature.id for feature in store.all("", 5)] == ["f123"]
    assert store.all("/another", 5) == []
    database.close()
