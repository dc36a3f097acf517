"""What the coding pipeline does to a repository of the user's, and what nothing in it makes it do."""

from __future__ import annotations

from pathlib import Path

import pytest

from pygent_orchestration.coding.git import GitFailed, Repository
from pygent_shared.errors import FileRefused, UnknownName

from .coding_peers import git, repository

pytestmark = pytest.mark.anyio


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return repository(tmp_path / "repository", {"a.txt": "one\n"})


def commit(place: Path, files: dict[str, str], branch: str = "main", since: str = "main") -> str:
    """A commit of its own branch, made elsewhere than in the user's files."""
    other = place.parent / "other"
    git(place, "worktree", "add", "-q", "-B", branch, str(other), since)
    for name, text in files.items():
        (other / name).write_text(text)
    git(other, "add", ".")
    git(other, "commit", "-qm", "Work")
    git(place, "worktree", "remove", "--force", str(other))
    return git(place, "rev-parse", branch)


async def test_nothing_in_a_repository_is_run(place: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for hook in ("post-checkout", "post-merge", "reference-transaction", "post-commit"):
        (place / ".git" / "hooks" / hook).write_text(f"#!/bin/sh\necho {hook} >> {ran}\n")
        (place / ".git" / "hooks" / hook).chmod(0o755)
    runs = f"echo $0 >> {ran}; cat"
    for name in (
        "filter.x.smudge",
        "filter.x.clean",
        "filter.x.process",
        "merge.x.driver",
        "diff.x.textconv",
    ):
        git(place, "config", name, runs)
    for name in ("filter.x.required", "commit.gpgSign"):
        git(place, "config", name, "true")
    for name in ("core.fsmonitor", "core.sshCommand", "diff.external", "gpg.program"):
        git(place, "config", name, f"sh -c '{runs}'")
    (place / ".git" / "info" / "attributes").write_text("* filter=x merge=x diff=x\n")
    kept = Repository(place)
    blob = kept.git("hash-object", "-w", "--no-filters", "--stdin", said="one\ntwo\n")
    tree = kept.git("mktree", said=f"100644 blob {blob}\ta.txt\n")
    first = kept.head("main")
    ours, theirs = kept.commit(tree, [first], "Ours", "t/1"), kept.commit(tree, [first], "Theirs", "t/2")
    assert kept.merged(ours, theirs) == (tree, [])
    assert "+two" in kept.diff(first, ours, 1000)
    async with kept.worktree(ours, tmp_path / "w") as folder:
        assert (folder / "a.txt").read_text() == "one\ntwo\n"
    kept.move("feature", ours, "")
    kept.drop("feature")
    assert not ran.exists()


async def test_a_missing_object_is_not_fetched_from_anywhere(place: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    git(place, "remote", "add", "origin", f"ext::{program}")
    git(place, "config", "core.repositoryFormatVersion", "1")
    git(place, "config", "protocol.ext.allow", "always")
    git(place, "config", "remote.origin.promisor", "true")
    git(place, "config", "extensions.partialClone", "origin")
    with pytest.raises(GitFailed):
        Repository(place).tree("a" * 40)
    assert not (tmp_path / "ran").exists()


def test_a_branch_moves_only_from_where_it_was_thought_to_be(place: Path) -> None:
    kept, first = Repository(place), git(place, "rev-parse", "main")
    second = commit(place, {"b.txt": "two\n"}, "other")
    kept.move("x", first, "")
    with pytest.raises(GitFailed):
        kept.move("x", second, second)
    with pytest.raises(GitFailed):
        kept.move("x", second, "")
    assert kept.head("x") == first


def test_a_branch_that_is_checked_out_moves_with_its_files(place: Path) -> None:
    kept, first = Repository(place), git(place, "rev-parse", "main")
    second = commit(place, {"a.txt": "two\n"}, "other")
    (place / "mine.txt").write_text("of no commit\n")
    with pytest.raises(GitFailed, match="main is at"):
        kept.move("main", second, second)
    kept.move("main", second, first)
    assert ((place / "a.txt").read_text(), git(place, "rev-parse", "main")) == ("two\n", second)
    assert git(place, "status", "--porcelain") == "?? mine.txt"
    kept.move("main", first, second)
    assert ((place / "a.txt").read_text(), (place / "mine.txt").exists()) == ("one\n", True)


def test_a_checkout_of_the_users_is_written_as_their_git_writes_it(place: Path) -> None:
    (place / ".git" / "info" / "attributes").write_text("a.txt filter=big\n")
    git(place, "config", "filter.big.smudge", "sed s/two/TWO/")
    git(place, "config", "filter.big.clean", "sed s/TWO/two/")
    kept, first = Repository(place), git(place, "rev-parse", "main")
    blob = kept.git("hash-object", "-w", "--no-filters", "--stdin", said="two\n")
    second = kept.commit(kept.git("mktree", said=f"100644 blob {blob}\ta.txt\n"), [first], "Two", "t/1")
    kept.move("main", second, first)
    assert ((place / "a.txt").read_text(), git(place, "status", "--porcelain")) == ("TWO\n", "")


def test_what_is_in_no_commit_is_not_overwritten(place: Path) -> None:
    kept, first = Repository(place), git(place, "rev-parse", "main")
    second = commit(place, {"a.txt": "two\n", "mine.txt": "theirs\n"}, "other")
    (place / "a.txt").write_text("mine\n")
    with pytest.raises(FileRefused, match=r"in no commit.*git stash"):
        kept.move("main", second, first)
    git(place, "checkout", "-q", "a.txt")
    (place / "mine.txt").write_text("mine\n")
    with pytest.raises(GitFailed):
        kept.move("main", second, first)
    assert ((place / "a.txt").read_text(), (place / "mine.txt").read_text()) == ("one\n", "mine\n")
    assert git(place, "rev-parse", "main") == first


def test_a_merge_of_two_commits_needs_no_files_and_names_those_in_conflict(place: Path) -> None:
    kept = Repository(place)
    ours = commit(place, {"a.txt": "ours\n", "b.txt": "b\n"}, "ours")
    theirs = commit(place, {"a.txt": "theirs\n", "c.txt": "c\n"}, "theirs")
    tree, files = kept.merged(ours, theirs)
    assert files == ["a.txt"]
    names = kept.git("ls-tree", "--name-only", tree).split()
    assert names == ["a.txt", "b.txt", "c.txt"]
    marked = kept.commit(tree, [ours, theirs], "Both", "t/both")
    assert kept.marked(marked, ["a.txt", "b.txt"]) == ["a.txt"]
    clean, files = kept.merged(ours, kept.head("main"))
    assert (clean, files) == (kept.tree(ours), [])


def test_a_commit_is_found_by_the_step_that_made_it(place: Path) -> None:
    kept, first = Repository(place), git(place, "rev-parse", "main")
    made = kept.commit(kept.tree(first), [first], "A title\n\nPyGent-Task: t/2", "t/1")
    assert kept.made("t/1", first, made) == made
    assert (kept.made("t/2", first, made), kept.made("t/1", made, made)) == ("", "")
    assert git(place, "log", "-1", "--format=%s%n%an <%ae>", made).splitlines() == [
        "A title PyGent-Task: t/2",
        "PyGent Factory <pygent@localhost>",
    ]


def test_what_a_merge_brought_is_taken_back_from_under_later_work(place: Path) -> None:
    kept, first = Repository(place), git(place, "rev-parse", "main")
    work = commit(place, {"a.txt": "two\n"}, "work")
    merge = kept.commit(kept.tree(work), [first, work], "Merge", "f/deploy")
    kept.move("main", merge, first)
    later = commit(place, {"b.txt": "later\n"}, "later", "main")
    back = kept.without(merge, later, "f/rollback")
    assert git(place, "show", f"{back}:a.txt") == "one"
    assert git(place, "show", f"{back}:b.txt") == "later"
    needs = commit(place, {"a.txt": "three\n"}, "later2", "main")
    with pytest.raises(GitFailed, match=r"needs it, in a\.txt"):
        kept.without(merge, needs, "f/rollback")


async def test_a_worktree_that_a_crash_left_is_made_anew_and_others_stay_known(
    place: Path, tmp_path: Path
) -> None:
    kept, folder = Repository(place), tmp_path / "w" / "t"
    git(place, "worktree", "add", "-q", "--detach", str(folder))
    git(place, "worktree", "add", "-q", "--detach", str(tmp_path / "away"))
    (tmp_path / "away").rename(tmp_path / "unplugged")
    (folder / "left").write_text("half")
    async with kept.worktree("main", folder) as again:
        assert not (again / "left").exists()
    assert not folder.exists()
    assert git(place, "worktree", "list").count("\n") == 1


def test_only_a_worktree_of_a_run_is_removed(place: Path, tmp_path: Path) -> None:
    kept = Repository(place)
    git(place, "worktree", "add", "-q", "-b", "pygent/r", str(tmp_path / "run"))
    for branch, folder in (("main", place), ("pygent/r", place), ("pygent/other", tmp_path)):
        kept.drop_run(branch, folder)
    assert (kept.head("main"), kept.head("pygent/r")) == (kept.head("main"), kept.head("main"))
    assert (tmp_path / "run" / "a.txt").exists()
    kept.drop_run("pygent/r", tmp_path / "run")
    assert (kept.head("pygent/r"), (tmp_path / "run").exists()) == ("", False)


def test_what_is_no_repository_or_no_branch_is_told(place: Path, tmp_path: Path) -> None:
    for path in ("relative", tmp_path / "none", tmp_path):
        with pytest.raises(FileRefused):
            Repository(path)
    with pytest.raises(UnknownName, match='Did you mean "main"'):
        Repository(place).begun("mian")
