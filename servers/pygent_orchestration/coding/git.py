"""A repository of the user's, and what is done to it: all of git that the coding pipeline uses.

The one rule: nothing that was committed, and nothing in the repository's config, tells git what to run. No
hook is run, no merge driver, no transport, and no filter but in a checkout of the user's own; git is given
lists of arguments, and no shell.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from pygent_shared.errors import FileRefused, PygentError, UnknownName
from pygent_shared.locks import worktrees

WITHIN_S = 120
TRAILER = "PyGent-Task"
"""In a commit's message: the task and the step that it was made by, as `ID/STEP`."""

RUNS = "pygent/"
"""What the branches of agents' runs begin with."""

_CALM = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.quotePath": "false",
    "commit.gpgSign": "false",
    "diff.ignoreSubmodules": "all",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    # Tasks of one repository are at work at once, and each waits for another's move of a branch.
    "core.filesRefLockTimeout": "10000",
    "core.packedRefsTimeout": "10000",
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

    def made(self, step: str, since: str, to: str) -> str:
        """The commit that a step of a task made, between one and another; "" where it made none."""
        form = f"%H %(trailers:key={TRAILER},valueonly,separator=%x2C)"
        for line in self.git("log", f"--format={form}", f"{since}..{to}").splitlines():
            commit, _, trailer = line.partition(" ")
            if trailer == step:
                return commit
        return ""

    def commit(self, tree: str, before: Sequence[str], title: str, step: str) -> str:
        """A commit of a tree after others, of no branch yet."""
        message = f"{_line(title)}\n\n{TRAILER}: {step}\n"
        parents = [word for commit in before for word in ("-p", commit)]
        return self.git("commit-tree", tree, *parents, "-F", "-", said=message)

    def move(self, branch: str, to: str, before: str) -> None:
        """Let a branch that is at one commit be at another; "" is no branch. Where it is checked out the
        files there follow, as the user's own git writes them: with their filters, such as LFS.

        Raises:
            FileRefused: it is checked out, and there are changes that no commit has.
            GitFailed: it is not where it was thought to be, or a file is in the way.
        """
        place = self._checked_out(branch)
        if place is None:
            self.git("update-ref", f"refs/heads/{branch}", to, before)
            return
        if self._git(place, "status", "--porcelain", "--untracked-files=no", config=_CALM):
            why = f'has changes that are in no commit, and its branch "{branch}" is to be moved'
            raise FileRefused(place, why, "Commit them, or put them away: git stash.")
        if (at := self.head(branch)) != before:
            raise GitFailed(1, f"{branch} is at {at[:12]}, not at {before[:12]}")
        self._git(place, "reset", "--quiet", "--keep", to, config=_CALM)

    def open(self, branch: str, base: str) -> None:
        """Let there be a branch, which begins with the last commit of another if there is none yet.

        Raises:
            UnknownName: there is no such other.
        """
        if not self.head(branch):
            try:
                self.move(branch, self.begun(base), "")
            except GitFailed:
                if not self.head(branch):  # or else somebody was quicker
                    raise

    def aside(self, branch: str) -> None:
        """Let what is on a branch be on one of a name that has it from its commit, and the branch be free."""
        if at := self.head(branch):
            self.move(f"{branch}-{at[:12]}", at, self.head(f"{branch}-{at[:12]}"))
            self.drop(branch)

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

    def without(self, merge: str, last: str, step: str) -> str:
        """A commit after the last one, of no branch yet, that takes back what a merge before it brought.

        Raises:
            GitFailed: what came after the merge is in the way.
        """
        opposite = self.commit(self.tree(f"{merge}^1"), [merge], "What was before", step)
        tree, files = self.merged(last, opposite)
        if files:
            raise GitFailed(1, f"what came after {merge[:12]} needs it, in {', '.join(files)}")
        return self.commit(tree, [last], f"Take back {merge[:12]}", step)

    def diff(self, since: str, to: str, most: int) -> str:
        """What differs, of so many characters at most."""
        told = self.git("diff", *_DIFF, since, to)
        return told if len(told) <= most else f"{told[:most]}\n[… {len(told) - most} characters left out …]"

    def marked(self, commit: str, files: Sequence[str]) -> list[str]:
        """Those of some files in which a conflict is still marked."""
        try:
            found = self.git("grep", "-l", "-z", "-I", "-e", "^<<<<<<< ", commit, "--", *map(_whole, files))
        except GitFailed as error:
            if error.code == 1:
                return []
            raise
        return [name.removeprefix(f"{commit}:") for name in found.split("\0") if name]

    @asynccontextmanager
    async def worktree(self, commit: str, folder: Path, *, files: bool = True) -> AsyncIterator[Path]:
        """A worktree of a commit, with its files or without, for as long as it is open. What is in the folder
        before is removed."""
        how = ("--detach",) if files else ("--detach", "--no-checkout")

        def add() -> None:
            self.clear(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            with worktrees(self.kept):
                self.git("worktree", "add", "--quiet", *how, str(folder), commit)

        try:
            await run_sync(add)
            yield folder
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(self.clear, folder)

    def clear(self, folder: Path) -> None:
        """Have no worktree in a folder, and no folder. Other worktrees that are missing stay known."""
        shutil.rmtree(folder, ignore_errors=True)
        with worktrees(self.kept):
            if folder.resolve() in self._worktrees():
                self.git("worktree", "remove", "--force", "--force", str(folder.resolve()))

    def drop_run(self, branch: str, folder: Path) -> None:
        """Have no branch and no worktree of an agent's run, whose work was taken over. What is none stays."""
        place = self._checked_out(branch)
        is_gone = place is None and not folder.exists()  # as where this was begun before, and not finished
        if branch.startswith(RUNS) and (place == folder or is_gone):
            self.clear(folder)
            self.drop(branch)

    def _checked_out(self, branch: str) -> Path | None:
        """The folder where a branch is checked out."""
        with worktrees(self.kept):
            places = (place for place, out in self._worktrees().items() if out == branch and place.is_dir())
            return next(places, None)

    def _worktrees(self) -> dict[Path, str]:
        """The branch checked out in each worktree; "" where none is. Asked while they are one's own."""
        found: dict[Path, str] = {}
        for line in self.git("worktree", "list", "--porcelain", "-z").split("\0"):
            word, _, rest = line.partition(" ")
            if word == "worktree":
                found[place := Path(rest)] = ""
            elif word == "branch":
                found[place] = rest.removeprefix("refs/heads/")
        return found

    def _runs(self) -> list[str]:
        """What in its config names a program to be run on files."""
        try:
            return self.git("config", "--null", "--name-only", "--get-regexp", _RUNS).split("\0")[:-1]
        except GitFailed as error:
            if error.code == 1:
                return []
            raise

    def _git(
        self, folder: Path, *words: str, said: str | None = None, config: Mapping[str, str] | None = None
    ) -> str:
        try:
            told = subprocess.run(
                ("git", *words),
                cwd=folder,
                env=_environment(self._config if config is None else config),
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


def _environment(config: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    kept |= {f"GIT_{role}_{part}": _WHO[part] for role in ("AUTHOR", "COMMITTER") for part in _WHO}
    kept |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_ALLOW_PROTOCOL": "none"}
    for number, (name, value) in enumerate(config.items()):
        kept |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return kept | {"GIT_CONFIG_COUNT": str(len(config)), "LC_ALL": "C.UTF-8"}


def _off(name: str) -> str:
    """The value under which nothing is run: files as they are, a file that two changed as a conflict."""
    return "false" if name.startswith("merge.") or name.endswith(".required") else ""


def _whole(path: str) -> str:
    """A path that is no pattern."""
    return f":(literal,top){path}"


def _line(text: str) -> str:
    return " ".join(text.split())[:72] or "Work"
