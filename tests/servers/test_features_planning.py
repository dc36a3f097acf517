"""Plans: what a planner is asked, what is read of its answer, how long it takes, and what is known before."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_orchestration.actions import Actions
from pygent_orchestration.coding.gates.policy import Policy
from pygent_orchestration.features.context import KINDS, Kind, Source, selected, tokens
from pygent_orchestration.features.gathering import gathered
from pygent_orchestration.features.model import Plan, Prp, Request
from pygent_orchestration.features.planning import MOST_FILES, Unusable, asked, read
from pygent_orchestration.features.tasks import is_whole, policy_of
from pygent_orchestration.features.timeline import tails, timeline

from .feature_peers import FeaturePeers, plan

ANY = Policy()


def prp(id: str, *before: str, hours: float = 1.0, **more: Any) -> Prp:
    return Prp(id=id, goal=f"Do {id}", depends_on=list(before), hours=hours, **more)


@st.composite
def graphs(draw: st.DrawFn) -> list[Prp]:
    """Tasks that wait for none that comes after them, in another order."""
    count = draw(st.integers(1, 12))
    tasks = [
        prp(
            f"t{number}",
            *draw(
                st.lists(st.sampled_from([f"t{n}" for n in range(number)]), unique=True)
                if number
                else st.just([])
            ),
            hours=draw(st.integers(1, 40)) / 4,
        )
        for number in range(count)
    ]
    return draw(st.permutations(tasks))


@pytest.mark.parametrize(
    "answer",
    [
        plan("a", "b<a"),
        json.loads(plan("a", "b<a")),
        f"Here it is:\n```json\n{plan('a', 'b<a')}\n```\nGood luck.",
        f"I think {plan('a', 'b<a')} would do.",
    ],
    ids=["json", "object", "fenced", "in a text"],
)
def test_a_plan_is_found_in_an_answer(answer: Any) -> None:
    found = read(answer, ANY)
    assert [(task.id, task.depends_on) for task in found.tasks] == [("a", []), ("b", ["a"])]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("No.", "The answer holds no JSON object: there is no { in it."),
        ("[1]", "The answer holds no JSON object: it is a list."),
        ('{"tasks": [', "The answer holds no JSON object: "),
        ({"tasks": []}, "tasks: List should have at least 1 item"),
        ({"tasks": [{"id": "A b", "goal": "x"}]}, "tasks.0.id: String should match pattern"),
        ({"tasks": [{"id": "a", "goal": " "}]}, "tasks.0.goal: Value error, it is empty"),
        ({"tasks": [{"id": "a", "goal": "x", "hours": 0}]}, "tasks.0.hours: Input should be greater than 0"),
        ({"tasks": [{"id": "a", "goal": "x", "step": 1}]}, "tasks.0.step: Extra inputs are not permitted"),
        (plan("a", "a"), "Several tasks have the id a"),
        (plan("dates", "b<datse"), 'depends on "datse", which is no task. Did you mean "dates"?'),
        (plan("a<c", "b<a", "c<b"), "in a circle: a → c → b → a."),
        (plan("a<a"), "in a circle: a → a."),
        (plan(*(f"t{n}" for n in range(51))), "There are 51 tasks, and at most 50"),
    ],
)
def test_what_is_no_plan_is_told_so_that_it_can_be_mended(answer: Any, said: str) -> None:
    with pytest.raises(Unusable) as wrong:
        read(answer, ANY)
    assert said in str(wrong.value)


@pytest.mark.parametrize(
    ("glob", "is_within"),
    [
        ("src/dates.py", True),
        ("src/*.py", True),
        ("./src/a?.py", True),
        ("docs/**", True),
        ("docs/**/*.md", True),
        ("src/**", False),
        ("**", False),
        ("tests/test_a.py", False),
        ("src/../tests/a.py", False),
        ("/etc/passwd", False),
        ("src/conftest.py", False),
        ("setup.py", True),
    ],
)
def test_no_task_may_change_more_than_its_giver_allows(glob: str, is_within: bool) -> None:
    policy = Policy(paths=["src/*.py", "docs/**", "setup.py"])
    answer = {"tasks": [{"id": "a", "goal": "x", "paths": [glob]}]}
    if is_within:
        assert read(answer, policy).tasks[0].paths == [glob]
        return
    with pytest.raises(Unusable, match='Task "a"'):
        read(answer, policy)


def test_a_planner_is_told_the_request_the_files_what_is_known_and_what_was_wrong() -> None:
    before = read(plan("a"), ANY)
    files = [f"f{number}.py" for number in range(MOST_FILES + 3)]
    told = asked("Read dates.", files, "Dates failed once.", Policy(paths=["src/**"]), before, "Too coarse.")
    for part in (
        "Read dates.",
        "f0.py",
        "… and 3 more",
        "Dates failed once.",
        "There is a.py.",
        "Too coarse.",
    ):
        assert part in told
    assert "Tasks may change only these files: src/**." in told
    assert '"depends_on"' in told
    bare = asked("Read dates.", [], "", ANY)
    assert "What is known" not in bare
    assert "only these files" not in bare


def test_the_critical_path_is_the_longest_and_what_is_not_on_it_may_slip() -> None:
    tasks = [
        prp("ship", "ui", "api", hours=1),
        prp("ui", "plan", hours=2),
        prp("plan"),
        prp("api", "plan", hours=5),
    ]
    found = timeline(tasks, at_once=2)
    assert found.critical == ("plan", "api", "ship")
    assert (found.hours, found.work) == (7, 9)
    assert [(slot.task, slot.start, slot.end, slot.slack) for slot in found.slots] == [
        ("ship", 6, 7, 0),
        ("ui", 1, 3, 3),
        ("plan", 0, 1, 0),
        ("api", 1, 6, 0),
    ]
    assert timeline(tasks, at_once=1).hours == 9


@given(graphs(), st.integers(1, 5))
def test_no_timeline_is_shorter_than_its_critical_path_or_longer_than_all_its_work(
    tasks: list[Prp], at_once: int
) -> None:
    by_id = {task.id: task for task in tasks}
    found = timeline(tasks, at_once)
    path = sum(by_id[name].hours for name in found.critical)
    slots = {slot.task: slot for slot in found.slots}
    assert path == max(tails(tasks).values()) == max(slot.end for slot in found.slots)
    assert max(path, found.work / at_once) <= found.hours <= found.work
    assert found.hours <= path + (found.work - path) / at_once
    assert timeline(tasks, len(tasks)).hours == path
    assert all(slots[name].slack == 0 for name in found.critical)
    for task in tasks:
        assert all(slots[task.id].start >= slots[other].end for other in task.depends_on)


def test_what_decides_over_the_whole_decides_over_a_task_only_where_all_is_done_then() -> None:
    chain, fork = [prp("a"), prp("b", "a")], [prp("a"), prp("b")]
    assert [is_whole(task, chain) for task in chain] == [False, True]
    assert [is_whole(task, fork) for task in fork] == [False, False]
    assert is_whole(prp("a"), [prp("a")])
    policy = {"tests": "/trusted", "expected": 3, "sources": "src", "integration": ["true"]}
    asked = Request(
        text="x", repository="/r", policy=policy, policies={"b": {"tests": "/of-b", "expected": 1}}
    )
    part = policy_of(asked, prp("a", paths=["a.py"]), whole=False)
    assert (part.tests, part.integration, part.sources, part.paths) == (None, [], "src", ["a.py"])
    assert str(policy_of(asked, prp("a"), whole=True).tests) == "/trusted"
    own = policy_of(asked, prp("b"), whole=False)
    assert (str(own.tests), own.expected, own.paths) == ("/of-b", 1, ["**"])


@given(
    st.lists(
        st.lists(
            st.builds(
                Source, kind=st.sampled_from(KINDS), place=st.text(max_size=5), text=st.text(max_size=60)
            )
        )
    ),
    st.integers(50, 300),
)
def test_context_is_never_over_its_budget_and_says_nothing_twice(
    found: list[list[Source]], budget: int
) -> None:
    context = selected(found, budget)
    assert context.tokens <= budget
    assert tokens(context.text) <= budget + 10
    texts = [" ".join(source.text.split()) for source in context.sources]
    assert len(set(texts)) == len(texts)
    assert "" not in texts
    there = {" ".join(source.text.split()) for leg in found for source in leg} - {""}
    assert len(texts) + context.left_out == len(there)


def test_of_each_kind_the_best_is_given_before_the_second_best_of_any() -> None:
    def leg(kind: Kind) -> list[Source]:
        return [Source(kind=kind, place=f"{kind} {n}", text=f"{kind} {n} " + "x" * 80) for n in range(5)]

    context = selected([leg(kind) for kind in KINDS], 120)
    assert [source.place for source in context.sources] == ["failure 0", "pattern 0", "document 0"]
    assert context.left_out == 12
    assert "### What failed before\n\nfailure 0" in context.text
    assert "[document 0]" in context.text


@pytest.mark.anyio
async def test_context_is_asked_of_documents_memories_and_outcomes_and_says_what_it_could_not_ask(
    tmp_path: Any,
) -> None:
    peers = FeaturePeers(tmp_path)
    memory = {"id": "m1", "date": "2026-11-02T10:00:00Z", "text": "Dates are read with datetime."}
    bad = {"id": "m2", "date": "2026-11-03T10:00:00Z", "text": "Week numbers went wrong."}
    peers.known = {
        "memory__memory_search": [memory],
        "memory__memory_search outcome bad": [bad],
        "rag__search": [{"citation": "docs/dates.md:3", "text": "ISO 8601."}],
    }
    context = await gathered(Actions(peers), "Read\n dates", 4000)
    assert [(source.kind, source.place) for source in context.sources] == [
        ("failure", "memory m2, 2026-11-03"),
        ("pattern", "memory m1, 2026-11-02"),
        ("document", "docs/dates.md:3"),
    ]
    assert {tool for tool, _ in peers.searches} == {"rag__search", "memory__memory_search"}
    assert all("Read dates" in asked.values() for _, asked in peers.searches)
    alone = await gathered(Actions(None), "Read dates", 4000)
    assert (alone.sources, len(alone.missing)) == ((), 2)
    assert "this one stands alone" in alone.missing[0]


def test_a_plan_of_ones_own_is_the_same_as_one_of_a_planner() -> None:
    assert Plan(tasks=[prp("a")]).tasks == read({"tasks": [{"id": "a", "goal": "Do a"}]}, ANY).tasks
