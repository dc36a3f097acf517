"""Coding tasks: written, judged, reviewed and merged; and what becomes of those that fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from pygent_orchestration.actions import Actions
from pygent_orchestration.coding.gates import Policy, Verdict
from pygent_orchestration.coding.merging import Check
from pygent_orchestration.coding.recovery import RECOVERIES
from pygent_orchestration.coding.task import Coding
from pygent_orchestration.coding.work import CODING, Done, Work
from pygent_shared.durable.engine import Engine

from .coding_peers import Asked, CodingPeers, Fails, git, repository
from .coding_worker import BAD, GOOD, compiles, work

pytestmark = pytest.mark.anyio

NO = {"approved": False, "summary": "It is not what was asked.", "findings": []}
YES = {"approved": True, "summary": "Good."}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository, whose README is of the user's branch main."""
    return repository(tmp_path / "repository", {"README": "Doubles.\n"})


async def carried(folder: Path, peers: CodingPeers, *works: Work, check: Check | None = None) -> list[Done]:
    """What becomes of tasks that are begun at once."""
    engine = Engine(folder / "durable.db", name="coding")
    coding = Coding(Actions(peers), folder / "coding", check=check or compiles(folder))
    engine.workflow(CODING, coding.work)
    async with engine.running():
        for item in works:
            await engine.start(CODING, item.model_dump(mode="json"), id=f"w-{item.task}")
        ended = [await engine.wait(f"w-{item.task}", 60) for item in works]
    assert [(status.state, status.error) for status in ended] == [("done", "")] * len(works)
    return [Done.model_validate(status.result) for status in ended]


def writes(*texts: str, name: str = "a.py") -> Callable[[Asked], str]:
    """An agent that writes these, one an attempt."""

    def agent(asked: Asked) -> str:
        assert asked.folder is not None
        (asked.folder / name).write_text(texts[asked.number - 1])
        return "Done."

    return agent


def left(place: Path) -> list[str]:
    """The branches there are, and the worktrees beside the user's own."""
    branches = git(place, "for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()
    return [*branches, *git(place, "worktree", "list").splitlines()[1:]]


async def test_red_work_is_sent_back_with_its_reason_and_merged_when_it_is_green(
    place: Path, tmp_path: Path
) -> None:
    peers = CodingPeers(tmp_path, writes(BAD, GOOD))
    [done] = await carried(tmp_path, peers, work(place, "a"))
    assert (done.state, done.branch, done.failure) == ("green", "feature/f", None)
    first, second = done.attempts
    assert first.failure is not None
    assert (first.failure.kind, second.failure) == ("gate_red", None)
    assert "lint is red: a.py: invalid syntax" in peers.tasks[1]
    assert git(place, "show", "feature/f:a.py") == GOOD.strip()
    assert done.commit == git(place, "rev-parse", "feature/f")
    trailers = git(place, "log", "--format=%(trailers:key=PyGent-Task,valueonly)", "main..feature/f").split()
    assert trailers == ["a/merge", "a/attempt-2", "a/attempt-1"]
    assert left(place) == ["feature/f", "main"]
    assert git(place, "status", "--porcelain") == ""


async def test_a_task_that_stays_red_fails_and_its_work_stays_on_a_branch_of_its_own(
    place: Path, tmp_path: Path
) -> None:
    peers = CodingPeers(tmp_path, writes(BAD, BAD + "#", BAD + "##"))
    [done] = await carried(tmp_path, peers, work(place, "a"))
    assert done.failure is not None
    assert (done.state, done.failure.kind, len(done.attempts)) == ("failed", "gate_red", 3)
    assert (done.branch, done.commit) == ("pygent-task/a", git(place, "rev-parse", "pygent-task/a"))
    assert left(place) == ["feature/f", "main", "pygent-task/a"]
    assert git(place, "rev-parse", "feature/f") == git(place, "rev-parse", "main")


async def test_who_changes_nothing_twice_is_stuck_and_asked_no_more(place: Path, tmp_path: Path) -> None:
    peers = CodingPeers(tmp_path, writes(BAD, BAD, BAD, GOOD))
    [done] = await carried(tmp_path, peers, work(place, "a").model_copy(update={"attempts": 5}))
    assert done.failure is not None
    assert (done.failure.kind, len(done.attempts)) == ("stuck", 3)
    assert "You changed nothing" in peers.tasks[2]
    assert "invalid syntax" in peers.tasks[2]


async def test_of_two_tasks_at_once_both_are_merged_and_the_second_is_judged_as_merged(
    place: Path, tmp_path: Path
) -> None:
    def agent(asked: Asked) -> str:
        return writes(GOOD, name=f"{asked.task.split()[0]}.py")(asked)

    peers = CodingPeers(tmp_path, agent, seconds=0.2)
    both = await carried(tmp_path, peers, work(place, "a"), work(place, "b"))
    assert [done.state for done in both] == ["green", "green"]
    assert git(place, "ls-tree", "--name-only", "feature/f").split() == ["README", "a.py", "b.py"]
    judged = {done.attempts[-1].verdict["commit"] for done in both if done.attempts[-1].verdict}
    assert judged & {done.commit for done in both}  # of the one that came second the merge itself
    assert (tmp_path / "done").read_text().count(" gates ") == 3


async def test_a_conflict_is_marked_for_the_coder_who_resolves_it(place: Path, tmp_path: Path) -> None:
    def agent(asked: Asked) -> str:
        assert asked.folder is not None
        file = asked.folder / "a.py"
        if "conflicts" in asked.task:
            assert file.read_text().count("<<<<<<< ") == 1
            file.write_text("A = 1\nB = 2\n")
        else:
            file.write_text("A = 1\n" if asked.task.startswith("a ") else "B = 2\n")
        return "Done."

    peers = CodingPeers(tmp_path, agent, seconds=0.2)
    both = await carried(tmp_path, peers, work(place, "a"), work(place, "b"))
    failures = [attempt.failure.kind for done in both for attempt in done.attempts if attempt.failure]
    assert ([done.state for done in both], failures) == (["green", "green"], ["conflict"])
    assert git(place, "show", "feature/f:a.py") == "A = 1\nB = 2"
    assert left(place) == ["feature/f", "main"]


async def test_a_mark_of_a_conflict_that_is_left_is_not_merged(place: Path, tmp_path: Path) -> None:
    def agent(asked: Asked) -> str:
        assert asked.folder is not None
        text = f"{asked.task.split()[0]}\n"
        if "Both sides" not in asked.task:
            (asked.folder / "notes").write_text(text)
        elif asked.number == 2:
            (asked.folder / "other").write_text("Something else\n")
        else:
            (asked.folder / "notes").write_text("a\nb\n")
        return "Done."

    both = await carried(
        tmp_path, CodingPeers(tmp_path, agent, seconds=0.2), work(place, "a"), work(place, "b")
    )
    whys = [attempt.failure.why for done in both for attempt in done.attempts if attempt.failure]
    assert whys[1:] == ["A conflict is still marked in notes."]
    assert git(place, "show", "feature/f:notes") == "a\nb"


async def test_work_that_is_red_only_with_what_others_merged_goes_back(place: Path, tmp_path: Path) -> None:
    def agent(asked: Asked) -> str:
        assert asked.folder is not None
        if "Merged with what others did" in asked.task:
            (asked.folder / "b.py").unlink()
        else:
            (asked.folder / f"{asked.task.split()[0]}.py").write_text(GOOD)
        return "Done."

    compiled = compiles(tmp_path)

    async def not_both(worktree: Path, base: str, policy: Policy) -> Verdict:
        verdict = await compiled(worktree, base, policy)
        if git(worktree, "ls-tree", "--name-only", "HEAD").split() == ["README", "b.py", "c.py"]:
            gate = verdict.gates[0].model_copy(update={"green": False, "why": "b and c."})
            return Verdict.of(verdict.commit, [gate])
        return verdict

    peers = CodingPeers(tmp_path, agent, seconds=0.2)
    both = await carried(tmp_path, peers, work(place, "b"), work(place, "c"), check=not_both)
    whys = [attempt.failure.why for done in both for attempt in done.attempts if attempt.failure]
    assert [done.state for done in both] == ["green", "green"]
    assert whys == ["Merged with what others did meanwhile it is red. lint is red: b and c."]
    assert git(place, "ls-tree", "--name-only", "feature/f").split() == ["README", "c.py"]


# A review.


def reviewed(*answers: Any, seen: list[str] | None = None) -> Callable[[Asked], Any]:
    """A coder, and a reviewer who says these, one at a time."""
    said = list(answers)

    def agent(asked: Asked) -> Any:
        if asked.name == "coder":
            return writes(GOOD, GOOD + "A = 1\n", GOOD + "B = 1\n")(asked)
        if seen is not None:
            seen.append(asked.task)
        return said.pop(0)

    return agent


async def test_what_the_reviewer_finds_goes_back_and_what_they_approve_is_merged(
    place: Path, tmp_path: Path
) -> None:
    finding = {"path": "a.py", "line": 2, "severity": "major", "what": "It is too short.", "cure": "More."}
    seen: list[str] = []
    answers = ({**NO, "findings": [finding]}, f"Here it is:\n```json\n{json.dumps(YES)}\n```")
    peers = CodingPeers(tmp_path, reviewed(*answers, seen=seen))
    task = work(place, "a").model_copy(update={"reviewer": "critic"})
    [done] = await carried(tmp_path, peers, task)
    assert (done.state, len(done.attempts)) == ("green", 2)
    assert "- major, a.py:2: It is too short. More." in peers.tasks[2]
    assert "+    return 2 * x" in seen[0]
    assert done.attempts[1].review == {**YES, "findings": []}


async def test_who_approves_of_what_they_call_blocking_does_not(place: Path, tmp_path: Path) -> None:
    blocking = {**YES, "findings": [{"severity": "blocking", "what": "It loses data."}]}
    task = work(place, "a").model_copy(update={"reviewer": "critic", "attempts": 1})
    [done] = await carried(tmp_path, CodingPeers(tmp_path, reviewed(blocking)), task)
    assert done.failure is not None
    assert (done.state, done.failure.kind) == ("failed", "review")


async def test_a_reviewer_who_gives_no_verdict_is_told_what_one_is_and_nothing_is_merged_without(
    place: Path, tmp_path: Path
) -> None:
    seen: list[str] = []
    task = work(place, "a").model_copy(update={"reviewer": "critic"})
    agents = reviewed("Looks good to me!", {"approved": "perhaps"}, seen=seen)
    [done] = await carried(tmp_path, CodingPeers(tmp_path, agents), task)
    assert "of no use: The answer holds no JSON object" in seen[1]
    assert done.failure is not None
    assert (done.state, done.failure.kind) == ("failed", "tool_error")
    assert "approved: Input should be a valid boolean" in done.failure.why
    assert git(place, "rev-parse", "feature/f") == git(place, "rev-parse", "main")


async def test_a_reviewer_with_tools_for_code_sees_the_work_and_changes_nothing_of_it(
    place: Path, tmp_path: Path
) -> None:
    def agent(asked: Asked) -> Any:
        assert asked.folder is not None
        if asked.name == "coder":
            return writes(GOOD)(asked)
        assert (asked.folder / "a.py").read_text() == GOOD
        (asked.folder / "a.py").write_text(BAD)
        return YES

    peers = CodingPeers(tmp_path, agent, coders=("coder", "critic"))
    [done] = await carried(tmp_path, peers, work(place, "a").model_copy(update={"reviewer": "critic"}))
    assert (done.state, git(place, "show", "feature/f:a.py")) == ("green", GOOD.strip())
    assert left(place) == ["feature/f", "main"]


def test_a_coder_does_not_review_their_own_work(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="the reviewer is the coder"):
        Work(**{**work(tmp_path, "a").model_dump(), "reviewer": "coder"})


# What fails.


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done again is done again at once."""
    for kind, recovery in RECOVERIES.items():
        monkeypatch.setitem(RECOVERIES, kind, replace(recovery, wait=0.0))  # type: ignore[arg-type]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("error", "kind", "runs"),
    [
        ("The model m gives no answer: 429 Too Many Requests. Try again later.", "model_limit", 4),
        ('Server "rag" cannot be reached.', "tool_error", 3),
        ("KeyError: 'x'", "crash", 3),
        ("It did the same thing 4 times again, going round in circles", "stuck", 1),
    ],
)
async def test_each_class_of_failure_is_met_by_its_policy(
    place: Path, tmp_path: Path, error: str, kind: str, runs: int
) -> None:
    def agent(asked: Asked) -> str:
        raise Fails(error)

    peers = CodingPeers(tmp_path, agent)
    [done] = await carried(tmp_path, peers, work(place, "a"))
    assert done.failure is not None
    assert (done.failure.kind, done.failure.why) == (kind, error)
    assert (len(peers.tasks), len(done.attempts)) == (runs, 1)


@pytest.mark.usefixtures("at_once")
async def test_a_limit_that_passes_costs_no_attempt(place: Path, tmp_path: Path) -> None:
    def agent(asked: Asked) -> str:
        if len(peers.tasks) < 3:
            raise Fails("The model m gives no answer: it is overloaded.")
        return writes(GOOD)(asked)

    peers = CodingPeers(tmp_path, agent)
    [done] = await carried(tmp_path, peers, work(place, "a"))
    assert (done.state, len(done.attempts), len(peers.tasks)) == ("green", 1, 3)


@pytest.mark.usefixtures("at_once")
async def test_a_factory_that_comes_back_is_asked_for_the_same_run(place: Path, tmp_path: Path) -> None:
    peers = CodingPeers(tmp_path, writes(GOOD))
    peers.broken = 2
    [done] = await carried(tmp_path, peers, work(place, "a"))
    assert (done.state, len(peers.tasks)) == ("green", 1)


async def test_a_run_that_takes_too_long_is_stopped_and_the_coder_is_told(
    place: Path, tmp_path: Path
) -> None:
    peers = CodingPeers(tmp_path, writes(GOOD), seconds=20)
    task = work(place, "a").model_copy(update={"seconds": 0.2, "attempts": 2})
    [done] = await carried(tmp_path, peers, task)
    assert done.failure is not None
    assert (done.failure.kind, len(done.attempts)) == ("timeout", 2)
    assert peers.stopped == [attempt.run for attempt in done.attempts]


async def test_a_task_that_is_cancelled_stops_its_agent_and_goes_on_with_it_when_it_is_resumed(
    place: Path, tmp_path: Path
) -> None:
    peers = CodingPeers(tmp_path, writes(GOOD), seconds=20)
    engine = Engine(tmp_path / "durable.db", name="coding")
    engine.workflow(CODING, Coding(Actions(peers), tmp_path / "coding", check=compiles(tmp_path)).work)
    async with engine.running():
        await engine.start(CODING, work(place, "a").model_dump(mode="json"), id="w")
        with anyio.fail_after(30):
            while not list((tmp_path / "runs").glob("*")):
                await anyio.sleep(0.02)
        await anyio.sleep(0.2)  # it is waited for
        await engine.cancel("w")
        assert (await engine.wait("w", 30)).state == "cancelled"
        with anyio.fail_after(30):
            while not peers.stopped:
                await anyio.sleep(0.02)
        assert not peers.tasks
        peers.seconds = 0
        await engine.resume("w")
        done = Done.model_validate((await engine.wait("w", 30)).result)
    assert (done.state, len(peers.tasks), len(done.attempts)) == ("green", 1, 1)
    assert left(place) == ["feature/f", "main"]


async def test_a_task_in_what_is_no_repository_fails_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    [done] = await carried(tmp_path, CodingPeers(tmp_path, writes(GOOD)), work(tmp_path / "plain", "a"))
    assert done.failure is not None
    assert done.failure.kind == "refused"
    assert "is no git repository" in done.failure.why


# What is learned.


async def test_what_came_of_a_task_is_told_to_the_next_one(place: Path, tmp_path: Path) -> None:
    peers = CodingPeers(tmp_path, writes(BAD, GOOD))
    await carried(tmp_path, peers, work(place, "a"))
    await carried(tmp_path, peers, work(place, "b").model_copy(update={"attempts": 1}))
    good, bad = peers.memories
    assert (good["tags"], bad["tags"], good["space"]) == (["outcome", "good"], ["outcome", "bad"], "coding")
    assert good["text"].startswith("Task a was done by coder in 2 attempt(s): a doubles.")
    assert "lint is red: a.py: invalid syntax" in good["text"]
    assert bad["text"].startswith("Task b failed with coder after 1 attempt(s): b doubles.")
    assert "Task a was done by coder" in peers.tasks[2]
    assert "Task a was done" not in peers.tasks[0]


async def test_without_a_memory_the_outcome_says_that_nothing_is_kept(place: Path, tmp_path: Path) -> None:
    peers = CodingPeers(tmp_path, writes(GOOD))
    peers.has_memory = False
    [done] = await carried(tmp_path, peers, work(place, "a"))
    assert done.state == "green"
    assert done.notes == ['The outcome is not kept in memory: There is no tool "memory__memory_add".']
