"""The user's repository, and a worktree of it on a branch of its own.

The one rule: what a program in the sandbox could have written never tells git what to run. Git is given the
worktree's own folder by us, runs no hook, and does not enter a repository that lies within.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from pygent_shared.errors import FileRefused, UnknownName
from pygent_shared.locks import worktrees
from pygent_shared.sandbox.environment import environments

WITHIN_S = 120
MOST_OUTPUT = 1 << 20
_CALM = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "diff.ignoreSubmodules=all"),
    *("-c", "submodule.recurse=false", "-c", "core.quotePath=false", "-c", "gc.auto=0"),
    # Runs in one repository are at work at once, and each waits for another's move of a branch.
    *("-c", "core.filesRefLockTimeout=10000", "-c", "core.packedRefsTimeout=10000"),
)
_WHO = {"NAME": "PyGent Factory", "EMAIL": "pygent@localhost"}


class Source(BaseModel):
    """Where the work begins: a commit of a repository of the user's."""

    repository: Path
    commit: str
    branch: str
    dirty: bool
    """Whether there were changes that no commit has: they are not worked on."""


class Worktree(BaseModel):
    """A worktree: its folder, what git keeps of it, its branch, and the commit it began with."""

    repository: Path
    folder: Path
    kept: Path
    branch: str
    commit: str
    environment: Path | None = None
    """The Python environment beside the user's own files, if there is one that is not of the repository."""


class Kept(BaseModel):
    """What is left of a run: the branch is the user's to look at, to merge or to delete."""

    folder: str
    branch: str
    begun: str
    commit: str
    changes: str


def source(path: str, branch: str = "") -> Source:
    """A repository as it stands, at a branch or at what is checked out.

    Raises:
        FileRefused: it is no git repository, or has no commit.
        UnknownName: it has no such branch.
    """
    folder = Path(path).expanduser()
    if not folder.is_absolute() or not folder.is_dir():
        raise FileRefused(path, "is no folder", "Give the whole path of a git repository.")
    try:
        top = Path(_git(folder, "rev-parse", "--show-toplevel"))
    except GitFailed as error:
        why = f"is no git repository ({error})"
        raise FileRefused(path, why, f'Make it one: git init "{path}", and a first commit.') from error
    known = _git(top, "for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()
    if branch and branch not in known:
        raise UnknownName("branch", branch, known)
    try:
        at = f"refs/heads/{branch}" if branch else "HEAD"
        commit = _git(top, "rev-parse", "--verify", "--quiet", f"{at}^{{commit}}")
    except GitFailed as error:
        raise FileRefused(path, "has no commit to begin with", "Make one: git commit.") from error
    dirty = bool(_git(top, "status", "--porcelain", "--untracked-files=no"))
    return Source(repository=top, commit=commit, branch=branch, dirty=dirty)


def begin(begun: Source, folder: Path, branch: str) -> Worktree:
    """A new worktree, in place of one that was begun there and not finished."""
    top = begun.repository
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with worktrees(Path(_git(top, "rev-parse", "--path-format=absolute", "--git-common-dir"))):
        _git(top, "worktree", "prune")
        _git(top, "worktree", "add", "--quiet", "-B", branch, str(folder), begun.commit)
    kept = Path(_git(folder, "rev-parse", "--absolute-git-dir"))
    return Worktree(
        repository=top,
        folder=folder,
        kept=kept,
        branch=branch,
        commit=begun.commit,
        environment=_environment(top),
    )


def files(worktree: Worktree) -> list[str]:
    """The files that are tracked, or would be, sorted."""
    names = _in(worktree, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    return sorted(name for name in names.split("\0") if name and os.path.lexists(worktree.folder / name))


def search(worktree: Worktree, pattern: str, glob: str = "") -> list[str]:
    """The lines, as PATH:NUMBER:TEXT, that a Perl-compatible regular expression matches."""
    how = ("-n", "-I", "-P", "--untracked", "--no-recurse-submodules", "--no-color", "--no-textconv")
    where = (f":(glob){glob}",) if glob else ()
    try:
        return _in(worktree, "grep", *how, "-e", pattern, "--", *where).splitlines()
    except GitFailed as error:
        if error.code == 1:
            return []
        raise


def state(worktree: Worktree) -> str:
    """A name of the files as they are: it changes when they do."""
    _in(worktree, "add", "--all")
    return _in(worktree, "write-tree")


def changes(worktree: Worktree, *, last: str) -> str:
    """How many lines of which files differ from those it began with, in a commit or tree."""
    stat = ("--stat=100", "--no-ext-diff", "--no-textconv", "--no-color")
    return _in(worktree, "diff", *stat, worktree.commit, last)


def keep(worktree: Worktree, message: str) -> Kept:
    """Commit what there is to the worktree's branch, where it differs from what is there."""
    tree, ref = state(worktree), f"refs/heads/{worktree.branch}"
    last = _in(worktree, "rev-parse", ref)
    if tree != _in(worktree, "rev-parse", f"{ref}^{{tree}}"):
        commit = _in(worktree, "commit-tree", tree, "-p", last, "-m", message)
        _in(worktree, "update-ref", ref, commit, last)
        last = commit
    return Kept(
        folder=str(worktree.folder),
        branch=worktree.branch,
        begun=worktree.commit,
        commit=last,
        changes=changes(worktree, last=last),
    )


def loose(worktree: Worktree) -> bool:
    """Whether there is something in the worktree that its branch has not."""
    return state(worktree) != _in(worktree, "rev-parse", f"refs/heads/{worktree.branch}^{{tree}}")


def left(worktree: Worktree) -> Kept:
    """What is on the worktree's branch, whether the worktree is still there or not.

    Raises:
        GitFailed: the branch is gone.
    """
    last = _git(worktree.repository, "rev-parse", "--verify", "--quiet", f"refs/heads/{worktree.branch}")
    stat = ("--stat=100", "--no-ext-diff", "--no-textconv", "--no-color")
    return Kept(
        folder=str(worktree.folder),
        branch=worktree.branch,
        begun=worktree.commit,
        commit=last,
        changes=_git(worktree.repository, "diff", *stat, worktree.commit, last),
    )


def _environment(repository: Path) -> Path | None:
    """What the repository holds itself is not taken: its links would say what the sandbox shows."""
    for place in environments(repository):
        if not _git(repository, "ls-files", "--", place.name):
            return place
    return None


class GitFailed(Exception):
    """Git said no; `code` is its exit code."""

    def __init__(self, code: int, said: str) -> None:
        self.code = code
        super().__init__(said)


def _in(worktree: Worktree, *words: str) -> str:
    """Git in the worktree, told by us where everything is.

    Raises:
        FileRefused: there is a repository in it, whose config git would obey.
    """
    for folder, folders, names in os.walk(worktree.folder):
        at_top = folder == str(worktree.folder)
        if not at_top and ".git" in {*folders, *names}:
            raise FileRefused(Path(folder), "is a repository within the workspace", "Remove its .git.")
        if at_top and ".git" in folders:
            folders.remove(".git")
    where = (f"--git-dir={worktree.kept}", f"--work-tree={worktree.folder}")
    return _git(worktree.folder, *where, *words)


def _git(folder: Path, *words: str) -> str:
    """What git says; MOST_OUTPUT of it.

    Raises:
        GitFailed: it ended badly, is not there, or took too long.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= {f"GIT_{role}_{part}": _WHO[part] for role in ("AUTHOR", "COMMITTER") for part in _WHO}
    environ |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8"}
    argv: Sequence[str] = ("git", *_CALM, *words)
    try:
        told = subprocess.run(
            argv, cwd=folder, env=environ, capture_output=True, timeout=WITHIN_S, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise GitFailed(127, "git is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise GitFailed(124, f"git took more than {WITHIN_S} s") from error
    if told.returncode:
        said = told.stderr.decode(errors="replace").strip().splitlines()
        raise GitFailed(told.returncode, said[0] if said else "it did not say why")
    return told.stdout[:MOST_OUTPUT].decode(errors="replace").rstrip("\n")
