"""What is said of features on the bus, and who is given their tasks where nobody is named."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from pygent_orchestration.bus.message import AgentMessage
from pygent_orchestration.bus.redis import RedisBus
from pygent_orchestration.features.events import Event
from pygent_orchestration.features.model import Feature
from pygent_orchestration.features.store import FeatureStore
from pygent_orchestration.features.telling import messages
from pygent_orchestration.server import build_server
from pygent_orchestration.store import MIGRATIONS
from pygent_shared.database import Database
from pygent_shared.settings import Settings

from .coding_peers import git, repository
from .feature_peers import FeaturePeers, features, plan, request
from .test_features import PATIENCE, states
from .test_features_tools import call, sandboxed

pytestmark = pytest.mark.anyio


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return repository(tmp_path / "repository", {"README": "Doubles.\n"})


async def done(
    folder: Path, peers: FeaturePeers, asked: Any, **more: Any
) -> tuple[Feature, list[AgentMessage]]:
    """What becomes of a feature, and what was said of it."""
    said: list[AgentMessage] = []

    def tell(feature: Feature, event: Event) -> None:
        told = list(messages(feature, event))
        again = list(messages(feature, event))
        assert [each.id for each in told if each.is_kept] == [each.id for each in again if each.is_kept]
        said.extend(told)

    async with features(folder, peers, tell=tell, **more) as found:
        feature = await found.follow(await found.submit(asked), PATIENCE)
    return feature, said


def kept(said: list[AgentMessage]) -> list[tuple[str, str, str, str]]:
    return [(each.type, each.sender, each.recipient, each.correlation_id) for each in said if each.is_kept]


async def test_coders_are_told_of_their_tasks_and_the_feature_of_what_came_of_them(
    place: Path, tmp_path: Path
) -> None:
    feature, said = await done(tmp_path, FeaturePeers(tmp_path, [plan("a", "slip<a")]), request(place))
    own = f"feature/{feature.id}"
    assert kept(said) == [
        ("TASK_ASSIGNMENT", own, "agent/coder", "a"),
        ("TASK_RESULT", "agent/coder", own, "a"),
        ("TASK_ASSIGNMENT", own, "agent/coder", "slip"),
        ("TASK_RESULT", "agent/coder", own, "slip"),
    ]
    given, _, _, result = (each.payload for each in said if each.is_kept)
    assert given["prp"] == f"feature://{feature.id}/prp/a"
    assert (result["state"], result["attempts"], result["failure"]) == ("merged", 2, None)
    assert git(place, "cat-file", "-t", result["commit"]) == "commit"
    progress = [each.payload["state"] for each in said if each.type == "PROGRESS_UPDATE"]
    assert (progress[0], progress[-1]) == ("PLANNING", "COMPLETED")


async def test_what_a_crash_kept_from_being_said_is_said_when_its_step_is_done_again(tmp_path: Path) -> None:
    said: list[AgentMessage] = []

    def tell(feature: Feature, event: Event) -> None:
        said.extend(each for each in messages(feature, event) if each.is_kept)

    database = Database(tmp_path / "orchestration.db", MIGRATIONS)
    store = FeatureStore(database, tell)
    asked = request(tmp_path, coder="").model_dump(mode="json")
    store.append("f1", "submitted", "submitted", asked)
    store.append("f1", "planned", "planned", json.loads(plan("a")))
    store.append("f1", "moved", "moved", {"to": "IMPLEMENTATION"})
    runs = {"to": "running", "coder": "sage"}
    done = {"to": "merged", "result": {"state": "green", "branch": "feature/f1", "commit": "c" * 40}}
    for _ in range(2):
        store.append("f1", "a/running", "task", runs, task="a")
        store.append("f1", "a/merged", "task", done, task="a")
    database.close()
    assert [each.type for each in said] == ["TASK_ASSIGNMENT", "TASK_RESULT"] * 2
    assert [each.id for each in said[:2]] == [each.id for each in said[2:]]
    assert [each.payload for each in said[:2]] == [each.payload for each in said[2:]]
    assert said[3].sender == "agent/sage"


async def test_of_a_feature_that_fails_it_is_said_why(place: Path, tmp_path: Path) -> None:
    peers = FeaturePeers(tmp_path, [plan("bad")])
    feature, said = await done(tmp_path, peers, request(place, attempts=1))
    *_, result, error = [each for each in said if each.is_kept]
    assert result.payload["failure"]["class"] == "gate_red"
    assert (error.type, error.recipient) == ("ERROR", f"feature/{feature.id}")
    assert error.payload == {"why": feature.error}


async def test_tasks_go_to_those_who_can_do_them_and_have_least_in_hand(place: Path, tmp_path: Path) -> None:
    tasks = json.loads(plan("a", "b", "c"))
    tasks["tasks"][2]["capabilities"] = ["think"]
    peers = FeaturePeers(tmp_path, [json.dumps(tasks)], seconds=0.5)
    peers.agents = {"coder": ["code"], "slow": ["code"], "sage": ["code", "think"], "writer": ["write"]}
    feature, said = await done(tmp_path, peers, request(place, coder="", at_once=3))
    assert feature.state == "COMPLETED"
    coders = {name: task.coder for name, task in feature.tasks.items()}
    assert coders["c"] == "sage"
    assert {coders["a"], coders["b"]} == {"coder", "slow"}
    assigned = {each.correlation_id: each.recipient for each in said if each.type == "TASK_ASSIGNMENT"}
    assert assigned == {task: f"agent/{name}" for task, name in coders.items()}
    assert "code, think" in peers.planned[0]


async def test_who_has_his_fill_is_given_the_next_when_he_is_done(place: Path, tmp_path: Path) -> None:
    peers = FeaturePeers(tmp_path, [plan("a", "b", "c")], seconds=0.2)
    peers.agents = {"coder": ["code"]}
    most = 0
    at: Counter[str] = Counter()

    async with features(tmp_path, peers, tell=lambda feature, event: at.update(_at(event)), limit=1) as found:
        id = await found.submit(request(place, coder="", at_once=3))

        async def look(feature: Feature) -> None:
            nonlocal most
            most = max(most, list(states(feature).values()).count("running"))

        feature = await found.follow(id, PATIENCE, look)
    assert feature.state == "COMPLETED"
    assert (most, at["running"], at["merged"]) == (1, 3, 3)


def _at(event: Event) -> dict[str, int]:
    return {event.data["to"]: 1} if event.kind == "task" else {}


async def test_a_plan_that_nobody_can_do_goes_back_to_the_planner(place: Path, tmp_path: Path) -> None:
    tasks = json.loads(plan("a"))
    tasks["tasks"][0]["capabilities"] = ["sing"]
    peers = FeaturePeers(tmp_path, [json.dumps(tasks), plan("a")])
    peers.agents = {"coder": ["code"], "reviewer": ["code", "sing"]}
    feature, _ = await done(tmp_path, peers, request(place, coder="", reviewer=""))
    assert feature.tasks["a"].coder == "reviewer"
    peers.agents.pop("reviewer")
    feature, _ = await done(tmp_path, peers, request(place, coder=""))
    assert feature.state == "COMPLETED"
    assert (
        'No deployed agent can do task "a", which wants code, sing: there are agents for: code.'
        in peers.planned[-1]
    )


async def test_without_anybody_who_can_code_a_task_fails_and_says_so(place: Path, tmp_path: Path) -> None:
    feature, said = await done(tmp_path, FeaturePeers(tmp_path, [plan("a")]), request(place, coder=""))
    assert feature.state == "FAILED"
    assert "there is none that can code" in feature.error
    assert [each.type for each in said if each.is_kept] == ["ERROR"]


@sandboxed
async def test_what_a_feature_says_arrives_elsewhere_over_redis_and_a_host_that_watches_it_hears_of_it(
    place: Path, tmp_path: Path, settings: Settings, redis_url: str
) -> None:
    peers = FeaturePeers(tmp_path, [plan("a")])
    shared = replace(settings, redis_url=redis_url)
    elsewhere = RedisBus(redis_url)
    async with Client(build_server(shared, peers)) as client:
        more = {"repository": str(place), "reviewer": "", "policy": {"types": False, "lint": False}}
        begun = await call(client, "submit_feature", request="A file.", wait_s=PATIENCE, **more)
        id = begun["feature"]
        with anyio.fail_after(PATIENCE):
            async with client.listen(resource_subscriptions=[f"feature://{id}"]) as events:
                await call(client, "answer_feature", feature=id, verdict="approve")
                await anext(aiter(events))
            await call(client, "feature_status", feature=id, wait_s=PATIENCE)
            await call(client, "answer_feature", feature=id, verdict="approve")
            ended = await call(client, "feature_status", feature=id, wait_s=PATIENCE)
        assert (ended["state"], ended["tasks"][0]["coder"]) == ("COMPLETED", "coder"), ended
        (given,) = await elsewhere.receive(f"feature/{id}", within=PATIENCE)
        assert (given.message.type, given.message.payload["state"]) == ("TASK_RESULT", "merged")
        await elsewhere.done(f"feature/{id}", [given.receipt])
        for_coder = await call(client, "receive_messages", reader="agent/coder", wait_s=PATIENCE)
        row = next(row for row in for_coder["messages"] if row["sender"] == f"feature/{id}")
        assert row["type"] == "TASK_ASSIGNMENT"
        prp = await client.read_resource(row["payload"]["prp"])
        assert 'id: "a"' in prp.contents[0].text  # type: ignore[union-attr]
        left = await call(client, "receive_messages", reader=f"feature/{id}")
        assert (left["messages"], left["bus"]) == ([], "redis")
    await elsewhere.close()
