"""kill -9 in the middle of features: they come to their ends, and nothing happens to them twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync

from pygent_orchestration.features.events import Event, replay
from pygent_orchestration.features.model import Feature
from pygent_orchestration.features.states import OVER
from pygent_orchestration.features.store import FeatureStore
from pygent_orchestration.store import MIGRATIONS
from pygent_shared.database import Database

from .coding_peers import git, repository
from .feature_peers import FeaturePeers, features, plan, request

pytestmark = pytest.mark.anyio

WORKER = Path(__file__).with_name("feature_worker.py")
PATIENCE = 90.0


@contextmanager
def worker(folder: Path, events: int, *asked: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process at work; it is killed at the end of the block if it still is."""
    command = [sys.executable, WORKER, folder, str(events), *asked]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def written(folder: Path) -> tuple[Feature, list[Event]]:
    """The one feature there is, and all that happened to it."""
    database = Database(folder / "orchestration.db", MIGRATIONS)
    store = FeatureStore(database)
    feature = store.all("", 1)[0]
    events = store.events(feature.id)
    database.close()
    return feature, events


async def test_killed_after_every_third_event_before_anything_knows_of_it_a_feature_is_built_once(
    tmp_path: Path,
) -> None:
    place = repository(tmp_path / "repository", {"README": "Doubles.\n"})
    asked = [request(place, health=["true"]).model_dump_json()]

    def kill_over_and_over() -> int:
        """How many processes died of it."""
        for died in range(30):
            with worker(tmp_path, 3, *(asked if not died else [])) as process:
                deadline = time.monotonic() + PATIENCE
                while process.poll() is None:
                    if died and written(tmp_path)[0].state in OVER:
                        return died
                    assert time.monotonic() < deadline, written(tmp_path)
                    time.sleep(0.2)
        raise AssertionError(written(tmp_path))

    died = await run_sync(kill_over_and_over)
    feature, events = written(tmp_path)
    assert (feature.state, feature.error) == ("COMPLETED", "")
    assert replay(feature.id, events) == feature
    assert died == len(events) // 3 >= 4  # the one that wrote the last of them may have lived
    kinds = [(event.kind, event.task, event.data.get("to")) for event in events]
    assert len(set(kinds)) == len(kinds)
    assert git(place, "ls-tree", "--name-only", "main").split() == ["README", "a.py", "b.py", "c.py"]
    merges = git(place, "log", "--format=%(trailers:key=PyGent-Task,valueonly)", "main").split()
    assert len(merges) == len(set(merges)) == 7  # of each task the attempt and the merge, and the deployment
    assert git(place, "worktree", "list").count("\n") == 0


async def test_a_question_outlasts_the_process_that_asked_it(tmp_path: Path) -> None:
    place = repository(tmp_path / "repository", {"README": "Doubles.\n"})
    asked = request(place, approvals=["plan"]).model_dump_json()

    def until_asked() -> None:
        with worker(tmp_path, 4, asked) as process:  # submitted, informed, planned, asked
            process.wait(PATIENCE)

    await run_sync(until_asked)
    feature, _ = written(tmp_path)
    assert feature.question is not None
    async with features(tmp_path, FeaturePeers(tmp_path, [plan("z")])) as found:
        with anyio.fail_after(PATIENCE):
            await found.answer(feature.id, "approve", "")
            done = await found.follow(feature.id, PATIENCE)
        assert (done.state, list(done.tasks)) == ("COMPLETED", ["a", "b", "c"])
