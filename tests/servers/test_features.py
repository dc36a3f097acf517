"""Features: planned, coded, agreed to and merged; and what becomes of those that fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from pygent_orchestration.coding.gates import Policy, Verdict
from pygent_orchestration.features.events import replay
from pygent_orchestration.features.model import Feature, Plan, Prp
from pygent_shared.errors import FileRefused, IllegalMove, InvalidArgument, UnknownName

from .coding_peers import git, repository
from .feature_peers import FeaturePeers, compiles, features, plan, request

pytestmark = pytest.mark.anyio

PATIENCE = 60.0


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository, whose README is of the user's branch main."""
    return repository(tmp_path / "repository", {"README": "Doubles.\n"})


async def built(folder: Path, peers: FeaturePeers, asked: Any) -> Feature:
    """What becomes of a feature that nobody is asked about; its history gives the same."""
    async with features(folder, peers) as found:
        id = await found.submit(asked)
        feature = await found.follow(id, PATIENCE)
        assert replay(id, found.events(id)) == feature
    return feature


def files(place: Path, branch: str = "main") -> list[str]:
    return git(place, "ls-tree", "--name-only", branch).split()


def states(feature: Feature) -> dict[str, str]:
    return {name: task.state for name, task in feature.tasks.items()}


async def test_a_feature_is_planned_coded_in_the_order_of_its_tasks_and_merged(
    place: Path, tmp_path: Path
) -> None:
    peers = FeaturePeers(tmp_path, [plan("c<a,slip", "a", "slip")])
    done = await built(tmp_path, peers, request(place))
    assert (done.state, done.error) == ("COMPLETED", "")
    assert states(done) == {"c": "merged", "a": "merged", "slip": "merged"}
    assert len(done.tasks["slip"].result["attempts"]) == 2
    assert files(place) == ["README", "a.py", "c.py", "slip.py"]
    assert git(place, "status", "--porcelain") == ""
    assert "README" in peers.planned[0]
    assert 'id: "c"' in peers.tasks[-1]
    assert git(place, "worktree", "list").count("\n") == 0


async def test_a_plan_that_cannot_be_done_goes_back_with_the_reason(place: Path, tmp_path: Path) -> None:
    peers = FeaturePeers(tmp_path, ["I would rather not.", plan("a<b", "b<a"), plan("a")])
    done = await built(tmp_path, peers, request(place))
    assert done.state == "COMPLETED"
    assert "The answer holds no JSON object" in peers.planned[1]
    assert "wait for each other in a circle: a → b → a" in peers.planned[2]
    assert "I would rather not" not in peers.planned[2]


async def test_a_planner_that_gives_no_plan_in_three_tries_ends_the_feature(
    place: Path, tmp_path: Path
) -> None:
    peers = FeaturePeers(tmp_path, [plan("a<z")])
    failed = await built(tmp_path, peers, request(place))
    assert (failed.state, len(peers.planned), failed.plan) == ("FAILED", 3, None)
    assert (
        'planner gave no plan that can be done in 3 tries. The last: Task "a" depends on "z"' in failed.error
    )


async def test_a_planner_that_looks_at_code_is_given_the_repository(place: Path, tmp_path: Path) -> None:
    peers = FeaturePeers(tmp_path, [plan("a")], planner_in_code=True)
    assert (await built(tmp_path, peers, request(place))).state == "COMPLETED"
    [run] = [path for path in (tmp_path / "runs").iterdir() if "-plan-" in path.name]
    asked = json.loads(run.read_text())["asked"]
    assert (asked["workspace"], asked["branch"]) == (str(place), "main")


async def test_when_a_task_fails_none_is_begun_any_more_and_the_target_stays(
    place: Path, tmp_path: Path
) -> None:
    peers = FeaturePeers(tmp_path, [plan("bad", "b<bad", "c<b")])
    failed = await built(tmp_path, peers, request(place, attempts=2))
    assert failed.state == "FAILED"
    assert failed.error.startswith('Task "bad" failed: ')
    assert states(failed) == {"bad": "failed", "b": "skipped", "c": "skipped"}
    assert files(place) == ["README"]


async def test_people_are_asked_and_may_want_the_plan_and_the_work_otherwise(
    place: Path, tmp_path: Path
) -> None:
    peers = FeaturePeers(tmp_path, [plan("a"), plan("b")])
    async with features(tmp_path, peers) as found:
        id = await found.submit(request(place, approvals=["plan", "deployment"]))
        feature = await found.follow(id, PATIENCE)
        assert feature.question is not None
        assert (feature.state, feature.question.about) == ("PLANNING", "plan")
        assert "- a: There is a.py." in feature.question.text
        with pytest.raises(InvalidArgument, match="Say what is to be changed"):
            await found.answer(id, "change", " ")
        await found.answer(id, "change", "Call it b.")
        feature = await found.follow(id, PATIENCE)
        assert list(feature.tasks) == ["b"]
        assert "Call it b." in peers.planned[1]
        assert "There is a.py." in peers.planned[1]
        await found.answer(id, "approve", "")
        feature = await found.follow(id, PATIENCE)
        assert feature.question is not None
        assert (feature.state, feature.question.about) == ("REVIEW", "deployment")
        assert files(place) == ["README"]
        await found.answer(id, "change", "There is to be more.")
        feature = await found.follow(id, PATIENCE)
        assert states(feature) == {"b": "merged", "change-1": "merged"}
        assert feature.question is not None
        assert "- change-1: There is to be more." in feature.question.text
        assert "There is to be more." in peers.tasks[-1]
        await found.answer(id, "approve", "")
        feature = await found.follow(id, PATIENCE)
        assert feature.state == "COMPLETED"
        assert files(place) == ["README", "b.py", "change-1.py"]
        with pytest.raises(IllegalMove, match="COMPLETED and asks nothing"):
            await found.answer(id, "approve", "")
        moves = [event.data["to"] for event in found.events(id) if event.kind == "moved"]
        assert moves == ["IMPLEMENTATION", "REVIEW", "IMPLEMENTATION", "REVIEW", "DEPLOYMENT", "COMPLETED"]
        assert replay(id, found.events(id)) == feature


async def test_a_rejected_plan_ends_the_feature_with_the_comment(place: Path, tmp_path: Path) -> None:
    async with features(tmp_path, FeaturePeers(tmp_path, [plan("a")])) as found:
        id = await found.submit(request(place, approvals=["plan"]))
        await found.follow(id, PATIENCE)
        await found.answer(id, "reject", "Too dear.")
        feature = await found.follow(id, PATIENCE)
    assert (feature.state, feature.error) == ("FAILED", "The plan was rejected: Too dear.")
    assert git(place, "branch", "--format=%(refname:short)") == "main"


async def test_a_failed_health_command_puts_the_target_back(place: Path, tmp_path: Path) -> None:
    before = git(place, "rev-parse", "main^{tree}")
    peers = FeaturePeers(tmp_path, [plan("a")])
    failed = await built(tmp_path, peers, request(place, health=["false"]))
    assert failed.state == "FAILED"
    assert "It was merged, and taken out of main again" in failed.error
    assert git(place, "rev-parse", "main^{tree}") == before
    assert failed.deployed["state"] == "rolled_back"


async def test_what_is_red_as_a_whole_is_mended_by_one_more_task(place: Path, tmp_path: Path) -> None:
    async def check(worktree: Path, base: str, policy: Policy) -> Verdict:
        """Both of two are not to be there without a third; of a task alone nothing is demanded."""
        verdict = await compiles(tmp_path)(worktree, base, policy)
        there = set(git(worktree, "ls-tree", "--name-only", "HEAD").split())
        if policy.integration and {"a.py", "b.py"} <= there and "change-2.py" not in there:
            gate = verdict.gates[0].model_copy(update={"green": False, "why": "a and b need another."})
            return Verdict.of(verdict.commit, [gate])
        return verdict

    peers = FeaturePeers(tmp_path, [plan("a", "b", "change-1")])
    async with features(tmp_path, peers, check) as found:
        id = await found.submit(request(place, policy={"integration": ["true"]}))
        done = await found.follow(id, PATIENCE)
    assert (done.state, done.error) == ("COMPLETED", "")
    assert list(done.tasks) == ["a", "b", "change-1", "change-2"]
    assert "a and b need another." in done.tasks["change-2"].prp.goal


async def test_ones_own_plan_needs_no_planner(place: Path, tmp_path: Path) -> None:
    own = Plan(tasks=[Prp(id="a", goal="A file.", paths=["a.py"])])
    peers = FeaturePeers(tmp_path)
    assert (await built(tmp_path, peers, request(place, plan=own))).state == "COMPLETED"
    assert peers.planned == []


async def test_a_cancelled_feature_goes_on_under_another_id_with_what_is_merged(
    place: Path, tmp_path: Path
) -> None:
    peers = FeaturePeers(tmp_path, [plan("a", "b<a", "c<b")], seconds=0.3)
    async with features(tmp_path, peers) as found:
        id = await found.submit(request(place, approvals=["plan"]))
        await found.follow(id, PATIENCE)
        await found.answer(id, "approve", "")
        with anyio.fail_after(PATIENCE):
            while states(await found.get(id))["b"] != "running":
                await anyio.sleep(0.02)
        stopped = await found.cancel(id)
        assert (stopped.state, states(stopped)) == (
            "FAILED",
            {"a": "merged", "b": "cancelled", "c": "skipped"},
        )
        assert await found.cancel(id) == stopped
        other = await found.resume(id)
        done = await found.follow(other, PATIENCE)
        assert (done.state, done.error) == ("COMPLETED", "")
        assert states(done) == {"a": "merged", "b": "merged", "c": "merged"}
        for ask in (found.resume, found.cancel):
            with pytest.raises(IllegalMove, match="is COMPLETED"):
                await ask(other)
    assert files(place) == ["README", "a.py", "b.py", "c.py"]
    assert len(peers.planned) == 1
    assert sum('id: "a"' in task for task in peers.tasks) == 1


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"text": " "}, InvalidArgument, "request: is empty"),
        ({"repository": "/nowhere"}, FileRefused, "is no folder"),
        ({"target": "mian"}, UnknownName, 'no branch "mian". Did you mean "main"'),
        ({"policy": {"test": "/t"}}, InvalidArgument, "policy: test: Extra inputs"),
        ({"plan": {"tasks": [{"id": "a", "goal": "A", "depends_on": ["b"]}]}}, InvalidArgument, "no task"),
        (
            {
                "plan": {"tasks": [{"id": "a", "goal": "A", "paths": ["x/*.py"]}]},
                "policy": {"paths": ["a.py"]},
            },
            InvalidArgument,
            'may not change "x/*.py"',
        ),
        (
            {"plan": {"tasks": [{"id": "a", "goal": "A"}]}, "policies": {"b": {}}},
            UnknownName,
            'no task "b"',
        ),
    ],
)
async def test_what_cannot_be_begun_is_refused_at_once(
    place: Path, tmp_path: Path, more: dict[str, Any], error: type[Exception], said: str
) -> None:
    async with features(tmp_path, FeaturePeers(tmp_path)) as found:
        with pytest.raises(error) as refused:
            await found.submit(request(place, **more))
        assert said in str(refused.value)
        assert await found.all("", 5) == []


async def test_what_was_not_merged_at_the_end_is_merged_when_it_is_resumed(
    place: Path, tmp_path: Path
) -> None:
    peers = FeaturePeers(tmp_path, [plan("a")])
    (place / "README").write_text("Changed, and in no commit.\n")
    async with features(tmp_path, peers) as found:
        id = await found.submit(request(place, approvals=["deployment"]))
        await found.follow(id, PATIENCE)
        await found.answer(id, "approve", "")
        failed = await found.follow(id, PATIENCE)
        assert failed.state == "FAILED"
        assert "has changes that are in no commit" in failed.error
        git(place, "checkout", "--", "README")
        again = await found.resume(id)
        asked = await found.follow(again, PATIENCE)
        assert (asked.state, states(asked)) == ("REVIEW", {"a": "merged"})
        await found.answer(again, "approve", "")
        assert (await found.follow(again, PATIENCE)).state == "COMPLETED"
    assert files(place) == ["README", "a.py"]
    assert len(peers.tasks) == 1


class Agents(FeaturePeers):
    """Some of them are gone after so many looks, and some take no runs."""

    looks = 0
    paused = ""

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if name != "factory__show_agent":
            return await super().call_tool(name, arguments)
        self.looks -= 1
        if self.looks < 0:
            text = f'There is no agent "{arguments["name"]}".'
            return {"isError": True, "content": [{"type": "text", "text": text}]}
        state = "paused" if arguments["name"] == self.paused else "deployed"
        return {"structuredContent": {"agent": {"state": state}, "spec": {"tools": []}}}


async def test_an_agent_that_is_not_there_or_takes_no_runs_is_told_before_the_feature_is_begun(
    place: Path, tmp_path: Path
) -> None:
    peers = Agents(tmp_path)
    async with features(tmp_path, peers) as found:
        with pytest.raises(InvalidArgument) as refused:
            await found.submit(request(place))
        made = 'factory__create_agent(name="planner", type="planning"), then deploy it.'
        assert str(refused.value) == f'planner: There is no agent "planner". Make one: {made}'
        peers.looks, peers.paused = 5, "coder"
        with pytest.raises(InvalidArgument, match="coder: coder is paused, and takes no runs"):
            await found.submit(request(place))
        assert await found.all("", 5) == []


async def test_a_planner_that_is_gone_is_asked_once(place: Path, tmp_path: Path) -> None:
    peers = Agents(tmp_path)
    peers.looks = 2
    failed = await built(tmp_path, peers, request(place))
    assert (failed.state, failed.error) == ("FAILED", 'planner gave no plan: There is no agent "planner".')


async def test_a_feature_says_when_an_agent_of_it_needs_somebody_and_takes_its_run_along_when_it_is_cancelled(
    place: Path, tmp_path: Path
) -> None:
    class Asking(FeaturePeers):
        """The planner's model is the host's, and the coder has a question."""

        needs = True

        async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            run = str(arguments.get("run"))
            if name == "factory__get_run" and self.needs and run not in self.stopped:
                needs = {"state": "needs_completion"}
                asks = {"state": "needs_input", "question": "Which dates?"}
                return {"structuredContent": needs if "-plan-" in run else asks}
            return await super().call_tool(name, arguments)

    peers = Asking(tmp_path, [plan("a")])
    async with features(tmp_path, peers) as found:
        id = await found.submit(request(place))
        with anyio.fail_after(PATIENCE):
            while not (feature := await found.get(id)).waits:
                await anyio.sleep(0.02)
        assert f'factory__get_run(run="{id}-plan-1"), then factory__continue_run(…)' in feature.waits
        peers.needs = False
        with anyio.fail_after(PATIENCE):
            while (await found.get(id)).state == "PLANNING":
                await anyio.sleep(0.02)
        peers.needs = True
        with anyio.fail_after(PATIENCE):
            while not (feature := await found.get(id)).tasks["a"].waits:
                assert feature.state == "IMPLEMENTATION"
                await anyio.sleep(0.02)
        assert feature.tasks["a"].waits.startswith("Its agent asks: Which dates? Answer it: ")
        assert feature.waits == ""
        assert states(await found.cancel(id)) == {"a": "cancelled"}
        with anyio.fail_after(PATIENCE):
            while not peers.stopped:
                await anyio.sleep(0.02)
