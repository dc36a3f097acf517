"""The merge queue of a repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from pygent_orchestration.coding.gates import Gate, Policy, Verdict
from pygent_orchestration.coding.git import Repository
from pygent_orchestration.coding.merging import Merge, Merged, merge, turn

from .coding_peers import git, repository

pytestmark = pytest.mark.anyio

HOLDS = """
import os, sys
from pygent_shared.locks import try_lock
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
assert try_lock(file)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository with an integration branch, where work begins."""
    folder = repository(tmp_path / "repository", {"README": "Doubles.\n"})
    git(folder, "branch", "feature/f")
    return folder


def work(kept: Repository, name: str, text: str = "") -> Merge:
    """Work of a task on its own branch: a file of its own."""
    start = kept.head("main")
    blob = kept.git("hash-object", "-w", "--stdin", said=text or name)
    old = kept.git("ls-tree", start)
    tree = kept.git("mktree", said=f"{old}\n100644 blob {blob}\t{name}\n")
    commit = kept.commit(tree, [start], name, f"{name}/attempt-1")
    kept.move(f"pygent-task/{name}", commit, "")
    return Merge(
        title=name,
        step=f"{name}/merge",
        start=start,
        work=commit,
        own=f"pygent-task/{name}",
        into="feature/f",
    )


class Gates:
    """Gates that take a moment, and count how many are asked at once."""

    def __init__(self, *, green: bool = True) -> None:
        self.at_once = self.most = self.asked = 0
        self._green = green

    async def check(self, worktree: Path, base: str, policy: Policy) -> Verdict:
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await anyio.sleep(0.1)
        self.at_once -= 1
        gate = Gate(level=2, name="tests", green=self._green, seconds=0.1, why="" if self._green else "No.")
        return Verdict.of(git(worktree, "rev-parse", "HEAD"), [gate])


async def test_of_many_at_once_one_merges_at_a_time_and_none_is_lost(place: Path, tmp_path: Path) -> None:
    kept, gates = Repository(place), Gates()
    names = ["a", "b", "c", "d"]
    asked = {name: work(kept, name) for name in names}
    found: dict[str, Merged] = {}

    async def do(name: str) -> None:
        own = Repository(place)
        found[name] = await merge(own, asked[name], Policy(), gates.check, tmp_path / f"w-{name}")

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(do, name)
    assert (gates.most, gates.asked) == (1, 3)  # the first was judged as it is
    assert git(place, "ls-tree", "--name-only", "feature/f").split() == ["README", *names]
    assert all(kept.has("feature/f", merged.commit) for merged in found.values())
    assert git(place, "rev-list", "--merges", "--count", "main..feature/f") == "4"


async def test_what_another_process_holds_is_waited_for_and_free_when_it_dies(place: Path) -> None:
    kept = Repository(place)
    async with turn(kept):
        lock = place / ".git" / "pygent" / "merging.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with anyio.move_on_after(0.3) as early:
            async with turn(kept):
                pass
        holder.kill()
        with anyio.fail_after(20):
            async with turn(kept):
                pass
    assert early.cancelled_caught


async def test_a_merge_that_was_made_is_not_made_again(place: Path, tmp_path: Path) -> None:
    kept, gates = Repository(place), Gates()
    first = await merge(kept, work(kept, "a"), Policy(), gates.check, tmp_path / "w")
    asked = work(kept, "b")
    second = await merge(kept, asked, Policy(), gates.check, tmp_path / "w")
    again = await merge(kept, asked, Policy(), gates.check, tmp_path / "w")
    assert again.commit == second.commit == kept.head("feature/f") != first.commit
    assert gates.asked == 1


@pytest.mark.parametrize("how", ["conflict", "red"])
async def test_what_cannot_be_merged_is_on_its_own_branch_with_both_sides_once(
    place: Path, tmp_path: Path, how: str
) -> None:
    kept, gates = Repository(place), Gates(green=False)
    first = work(kept, "a")
    second = work(kept, "b")
    if how == "conflict":
        second = work(kept, "a2")
        blob = kept.git("hash-object", "-w", "--stdin", said="other")
        tree = kept.git("mktree", said=f"{kept.git('ls-tree', first.start)}\n100644 blob {blob}\ta\n")
        commit = kept.commit(tree, [first.start], "a2", "a2/attempt-2")
        kept.move(second.own, commit, second.work)
        second = second.model_copy(update={"work": commit})
    await merge(kept, first, Policy(), Gates().check, tmp_path / "w")
    head = kept.head("feature/f")
    found = [await merge(kept, second, Policy(), gates.check, tmp_path / "w") for _ in range(2)]
    assert kept.head("feature/f") == head
    for back in found:
        assert (back.commit, back.start, back.again) == ("", head, kept.head(second.own))
        assert back.tree == kept.tree(back.again)
        assert back.files == (["a"] if how == "conflict" else [])
    assert git(place, "log", "-1", "--format=%P", second.own).split() == [second.work, head]
