"""Deployment: a feature's branch into its target, and out again where it is not well there."""

from __future__ import annotations

from pathlib import Path

import pytest

from pygent_orchestration.coding.deployment import Deploy, Deployed, deploy
from pygent_orchestration.coding.git import Repository
from pygent_shared.sandbox.run import missing

from .coding_peers import git, repository
from .coding_worker import BAD, GOOD, compiles

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(bool(missing()), reason=str(missing()))]

WELL = ["/bin/sh", "-c", "grep -q return a.py"]
ILL = "echo the service is down; exit 3"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository with work on feature/f, and main checked out."""
    folder = repository(tmp_path / "repository", {"README": "Doubles.\n"})
    feature(folder, "f", {"a.py": GOOD})
    return folder


def feature(place: Path, name: str, files: dict[str, str]) -> None:
    other = place.parent / "other"
    git(place, "worktree", "add", "-q", "-b", f"feature/{name}", str(other), "main")
    for path, text in files.items():
        (other / path).write_text(text)
    git(other, "add", ".")
    git(other, "commit", "-qm", "Work")
    git(place, "worktree", "remove", "--force", str(other))


def deploying(place: Path, health: list[str] | str | None = None, name: str = "f") -> Deploy:
    return Deploy(feature=name, repository=str(place), branch=f"feature/{name}", target="main", health=health)


async def deployed(place: Path, asked: Deploy) -> Deployed:
    folder = place.parent
    done = await deploy(folder / "worktree", asked, compiles(folder))
    assert git(place, "worktree", "list").count("\n") == 0
    return done


async def test_a_feature_whose_health_is_good_stays(place: Path) -> None:
    before = git(place, "rev-parse", "main^{tree}")
    done = await deployed(place, deploying(place, WELL))
    assert (done.state, done.failure, done.before) == ("deployed", None, before)
    assert (done.commit, done.tree) == tuple(git(place, "rev-parse", "main", "main^{tree}").split())
    assert ((place / "a.py").read_text(), git(place, "status", "--porcelain")) == (GOOD, "")
    assert git(place, "log", "-1", "--format=%P").split()[1] == git(place, "rev-parse", "feature/f")


async def test_red_health_brings_the_target_back_byte_for_byte(place: Path) -> None:
    before = git(place, "rev-parse", "main", "main^{tree}").split()
    done = await deployed(place, deploying(place, ILL))
    assert (done.state, [done.commit, done.tree], done.before) == ("rolled_back", before, before[1])
    assert done.failure is not None
    assert done.failure.kind == "gate_red"
    assert "the service is down" in done.health
    assert git(place, "rev-parse", "main", "main^{tree}").split() == before
    assert (git(place, "status", "--porcelain"), (place / "a.py").exists()) == ("", False)
    again = await deployed(place, deploying(place, WELL))
    assert again.state == "deployed"


async def test_the_health_command_runs_with_the_python_and_the_path_that_the_tests_have(place: Path) -> None:
    words = ["python", "-c", "import a, pytest; raise SystemExit(a.double(2) != 4)"]
    assert (await deployed(place, deploying(place, words))).state == "deployed"


async def test_a_health_command_that_does_not_end_is_red(place: Path) -> None:
    done = await deployed(place, deploying(place, "sleep 60").model_copy(update={"seconds": 0.5}))
    assert done.state == "rolled_back"
    assert "it took more than 0.5 s" in done.health


async def test_the_health_command_cannot_change_what_was_merged(place: Path) -> None:
    done = await deployed(place, deploying(place, "echo x > a.py; echo x > new; rm -rf README .git"))
    assert done.state == "deployed"
    assert git(place, "show", "main:a.py") == GOOD.strip()
    assert git(place, "status", "--porcelain") == ""


async def test_what_is_red_or_in_conflict_on_the_target_is_not_merged(place: Path) -> None:
    feature(place, "bad", {"b.py": BAD})
    feature(place, "other", {"README": "Halves.\n"})
    (place / "README").write_text("Triples.\n")
    git(place, "commit", "-qam", "Triples")
    before = git(place, "rev-parse", "main")
    red = await deployed(place, deploying(place, WELL, "bad"))
    conflict = await deployed(place, deploying(place, WELL, "other"))
    assert red.failure is not None
    assert conflict.failure is not None
    assert [red.state, red.failure.kind] == ["failed", "gate_red"]
    assert conflict.failure.why == '"feature/other" conflicts with "main" in README.'
    assert git(place, "rev-parse", "main") == before


async def test_changes_of_the_users_are_neither_merged_into_nor_lost(place: Path) -> None:
    (place / "README").write_text("Being written.\n")
    done = await deployed(place, deploying(place, WELL))
    assert done.failure is not None
    assert (done.state, done.failure.kind) == ("failed", "refused")
    assert "git stash" in done.failure.why
    assert (place / "README").read_text() == "Being written.\n"
    assert git(place, "log", "-1", "--format=%s", "main") == "Begin"


async def test_done_again_after_a_crash_it_goes_on_with_the_merge_it_finds(place: Path) -> None:
    kept, first = Repository(place), git(place, "rev-parse", "main")
    work = git(place, "rev-parse", "feature/f")
    merge = kept.commit(kept.tree(work), [first, work], "Feature f", "f/deploy")
    kept.move("main", merge, first)
    done = await deployed(place, deploying(place, WELL))
    assert (done.state, done.commit, git(place, "rev-parse", "main")) == ("deployed", merge, merge)
    assert not (place.parent / "done").exists()  # no gate was asked again


async def test_what_others_merged_on_top_of_it_stays_when_it_is_taken_out(place: Path) -> None:
    kept, first = Repository(place), git(place, "rev-parse", "main")
    work = git(place, "rev-parse", "feature/f")
    merge = kept.commit(kept.tree(work), [first, work], "Feature f", "f/deploy")
    kept.move("main", merge, first)
    (place / "later").write_text("later\n")
    git(place, "add", ".")
    git(place, "commit", "-qm", "Later")
    for health in (ILL, WELL):  # the second time after a crash
        done = await deployed(place, deploying(place, health))
        assert done.state == "rolled_back"
        assert git(place, "ls-tree", "--name-only", "main").split() == ["README", "later"]
    titles = git(place, "log", "--first-parent", "--format=%s", "main").splitlines()
    assert titles == [f"Take back {merge[:12]}", "Later", "Feature f", "Begin"]


async def test_what_cannot_be_taken_out_again_is_said_to_be_still_there(place: Path) -> None:
    kept, first = Repository(place), git(place, "rev-parse", "main")
    work = git(place, "rev-parse", "feature/f")
    merge = kept.commit(kept.tree(work), [first, work], "Feature f", "f/deploy")
    kept.move("main", merge, first)
    (place / "a.py").write_text(GOOD + "A = 1\n")
    git(place, "commit", "-qam", "On top of it")
    done = await deployed(place, deploying(place, ILL))
    assert done.failure is not None
    assert (done.state, done.commit) == ("failed", git(place, "rev-parse", "main"))
    assert "the service is down" in done.failure.why
    assert 'still in "main": git failed: what came after' in done.failure.why
    assert (place / "a.py").read_text() == GOOD + "A = 1\n"


async def test_what_the_target_has_already_or_what_there_is_not_is_told(place: Path) -> None:
    git(place, "branch", "feature/none", "main")
    nothing = await deployed(place, deploying(place, WELL, "none"))
    missing = await deployed(place, deploying(place, WELL, "nowhere"))
    assert nothing.failure is not None
    assert missing.failure is not None
    assert (nothing.failure.kind, missing.failure.kind) == ("refused", "refused")
    assert 'There is no branch "feature/nowhere"' in missing.failure.why
