"""A repository of the user's, and what is done to it: all of git that the coding pipeline uses.

The one rule: nothing that was committed, and nothing in the repository's config, tells git what to run. No
hook is run, no filter, no merge driver and no transport; git is given lists of arguments, and no shell.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pygent_shared.errors import FileRefused, PygentError, UnknownName

WITHIN_S = 120
TRAILER = "PyGent-Task"
"""In a commit's message: the task and the step that it was made by, as `ID/STEP`."""

_CALM = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.quotePath": "false",
    "commit.gpgSign": "false",
    "diff.ignoreSubmodules": "all",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
}
_RUNS = r"^(filter\..*\.(clean|smudge|process|required)|merge\..*\.driver|diff\..*\.(command|textconv))$"
_WHO = {"NAME": "PyGent Factory", "EMAIL": "pygent@localhost"}
_DIFF = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")


class GitFailed(PygentError):
    """Git said no; `code` is its exit code, `said` what it said first, `out` what it gave nevertheless."""

    def __init__(self, code: int, said: str, out: str = "") -> None:
        self.code, self.said, self.out = code, said, out
        super().__init__(f"git failed: {said}. Look at the repository: git status.")


class Repository:
    """One, by its folder.

    Raises:
        FileRefused: it is no git repository.
    """

    def __init__(self, path: Path | str) -> None:
        folder = Path(path).expanduser()
        if not folder.is_absolute() or not folder.is_dir():
            raise FileRefused(path, "is no folder", "Give the whole path of a git repository.")
        self._config: Mapping[str, str] = _CALM
        try:
            self.top = Path(self._git(folder, "rev-parse", "--show-toplevel"))
            self.kept = Path(self._git(folder, "rev-parse", "--path-format=absolute", "--git-common-dir"))
        except GitFailed as error:
            cure = f'Make it one: git init "{path}", and a first commit.'
            raise FileRefused(path, f"is no git repository ({error.said})", cure) from error
        self._config = _CALM | {name: _off(name) for name in self._runs()}

    def git(self, *words: str, said: str | None = None) -> str:
        """What git says.

        Args:
            said: its standard input.

        Raises:
            GitFailed: it ended badly, is not there, or took too long.
        """
        return self._git(self.top, *words, said=said)

    def head(self, branch: str) -> str:
        """The last commit of a branch; "" where there is no such branch."""
        try:
            return self.git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}")
        except GitFailed as error:
            if error.code == 1:
                return ""
            raise

    def begun(self, branch: str) -> str:
        """The last commit of a branch that must be there.

        Raises:
            UnknownName: it is not.
        """
        if commit := self.head(branch):
            return commit
        known = self.git("for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()
        raise UnknownName("branch", branch, known)

    def tree(self, commit: str) -> str:
        """The name of all its files as they are: equal for equal files."""
        return self.git("rev-parse", "--verify", f"{commit}^{{tree}}")

    def has(self, commit: str, other: str) -> bool:
        """Whether a commit is, or comes after, another."""
        try:
            self.git("merge-base", "--is-ancestor", other, commit)
        except GitFailed as error:
            if error.code == 1:
                return False
            raise
        return True

    def made(self, step: str, at: str) -> str:
        """The commit that a step of a task made, among those that lead to a commit; "" where it made none."""
        found = self.git(
            "log",
            "--fixed-strings",
            f"--grep={TRAILER}: {step}",
            f"--format=%H %(trailers:key={TRAILER})",
            at,
        )
        for line in found.splitlines():
            commit, _, trailer = line.partition(" ")
            if trailer == f"{TRAILER}: {step}":
                return commit
        return ""

    def commit(self, tree: str, before: Sequence[str], title: str, step: str) -> str:
        """A commit of a tree after others, of no branch yet."""
        message = f"{_line(title)}\n\n{TRAILER}: {step}\n"
        parents = [word for commit in before for word in ("-p", commit)]
        return self.git("commit-tree", tree, *parents, "-F", "-", said=message)

    def move(self, branch: str, to: str, before: str) -> None:
        """Let a branch that is at one commit be at another; "" is no branch. Where it is checked out the
        files there follow.

        Raises:
            FileRefused: it is checked out, and there are changes that no commit has.
            GitFailed: it is not where it was thought to be, or a file is in the way.
        """
        place = self._checked_out(branch)
        if place is None:
            self.git("update-ref", f"refs/heads/{branch}", to, before or "0" * 40)
            return
        if self._git(place, "status", "--porcelain", "--untracked-files=no"):
            why = f'has changes that are in no commit, and its branch "{branch}" is to be moved'
            raise FileRefused(place, why, "Commit them, or put them away: git stash.")
        if (at := self.head(branch)) != before:
            raise GitFailed(1, f"{branch} is at {at[:12]}, not at {before[:12]}")
        self._git(place, "reset", "--quiet", "--keep", to)

    def drop(self, branch: str) -> None:
        """Have no branch of that name, unless it is checked out."""
        if (at := self.head(branch)) and self._checked_out(branch) is None:
            self.git("update-ref", "-d", f"refs/heads/{branch}", at)

    def merged(self, ours: str, theirs: str) -> tuple[str, list[str]]:
        """The tree that has the changes of both, and the files that cannot have both."""
        try:
            told = self.git("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours, theirs)
        except GitFailed as error:
            if error.code != 1 or not error.out:
                raise
            told = error.out
        tree, *files = told.rstrip("\0").split("\0")
        return tree, sorted(set(files))

    def changed(self, since: str, to: str) -> list[str]:
        """The files that differ between two commits."""
        names = self.git("diff", *_DIFF, "--name-only", "-z", since, to)
        return [name for name in names.split("\0") if name]

    def diff(self, since: str, to: str, most: int) -> str:
        """What differs, of so many characters at most."""
        told = self.git("diff", *_DIFF, since, to)
        return told if len(told) <= most else f"{told[:most]}\n[… {len(told) - most} characters left out …]"

    @contextmanager
    def worktree(self, commit: str, folder: Path) -> Iterator[Path]:
        """The files of a commit in a folder, for as long as it is open. What is there before is removed."""
        self.clear(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.git("worktree", "add", "--quiet", "--detach", str(folder), commit)
            yield folder
        finally:
            self.clear(folder)

    def clear(self, folder: Path) -> None:
        """Have no worktree in a folder, and no folder."""
        shutil.rmtree(folder, ignore_errors=True)
        self.git("worktree", "prune")

    def _checked_out(self, branch: str) -> Path | None:
        """The folder where a branch is checked out."""
        place = Path()
        for line in self.git("worktree", "list", "--porcelain", "-z").split("\0"):
            word, _, rest = line.partition(" ")
            if word == "worktree":
                place = Path(rest)
            elif word == "branch" and rest == f"refs/heads/{branch}" and place.is_dir():
                return place
        return None

    def _runs(self) -> list[str]:
        """What in its config names a program to be run on files."""
        try:
            return self.git("config", "--null", "--name-only", "--get-regexp", _RUNS).split("\0")[:-1]
        except GitFailed as error:
            if error.code == 1:
                return []
            raise

    def _git(self, folder: Path, *words: str, said: str | None = None) -> str:
        try:
            told = subprocess.run(
                ("git", *words),
                cwd=folder,
                env=self._environment(),
                capture_output=True,
                timeout=WITHIN_S,
                input=(said or "").encode(),
            )
        except FileNotFoundError as error:
            raise GitFailed(127, "git is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise GitFailed(124, f"git took more than {WITHIN_S} s") from error
        if told.returncode:
            lines = told.stderr.decode(errors="replace").strip().splitlines()
            said_first = lines[0].removeprefix("fatal: ").removeprefix("error: ") if lines else ""
            out = told.stdout.decode(errors="replace")
            raise GitFailed(told.returncode, said_first or f"git {words[0]} did not say why", out)
        return told.stdout.decode(errors="replace").rstrip("\n")

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        kept |= {f"GIT_{role}_{part}": _WHO[part] for role in ("AUTHOR", "COMMITTER") for part in _WHO}
        kept |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_ALLOW_PROTOCOL": "none"}
        for number, (name, value) in enumerate(self._config.items()):
            kept |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
        return kept | {"GIT_CONFIG_COUNT": str(len(self._config)), "LC_ALL": "C.UTF-8"}


def _off(name: str) -> str:
    """The value under which nothing is run: files as they are, a file that two changed as a conflict."""
    return "false" if name.startswith("merge.") or name.endswith(".required") else ""


def _line(text: str) -> str:
    return " ".join(text.split())[:72] or "Work"
