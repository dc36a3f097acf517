"""The files of a commit, read out of git's store byte for byte.

The one rule: what is judged is what would be merged. No file of the worktree is looked at, and no attribute,
filter or hook of the repository has a say in what is read.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pygent_shared.errors import FileRefused
from pygent_shared.sandbox.environment import environments

WITHIN_S = 120
LINK, REPOSITORY, PROGRAM, GONE = "120000", "160000", "100755", "000000"
_CALM = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One file that differs between two commits; `mode` is git's, and GONE where the file is gone."""

    path: str
    mode: str

    @property
    def is_code(self) -> bool:
        """Whether it is a Python file."""
        return self.path.endswith((".py", ".pyi"))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of a commit."""

    path: str
    mode: str
    blob: str


def commit(worktree: Path, name: str = "HEAD") -> str:
    """The commit that a name means.

    Raises:
        FileRefused: there is no such commit.
    """
    return _git(worktree, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").decode().strip()


def changes(worktree: Path, base: str, last: str) -> list[Change]:
    """What differs between two commits; a rename is a file gone and a file new."""
    words = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", base, last)
    told = _git(worktree, *words).decode(errors="surrogateescape").split("\0")
    pairs = zip(told[0::2], told[1::2], strict=False)
    return [Change(path=path, mode=meta.split()[1]) for meta, path in pairs if meta]


def entries(worktree: Path, commit: str) -> list[Entry]:
    """Its files."""
    told = _git(worktree, "ls-tree", "-r", "-z", "--full-tree", commit).decode(errors="surrogateescape")
    found = []
    for line in told.split("\0"):
        if line:
            meta, _, path = line.partition("\t")
            mode, _, blob = meta.split()
            found.append(Entry(path=path, mode=mode, blob=blob))
    return found


def texts(worktree: Path, commit: str, paths: Collection[str]) -> dict[str, str]:
    """Those files of a commit that it has, of these."""
    wanted = [
        one for one in entries(worktree, commit) if one.path in paths and one.mode not in (LINK, REPOSITORY)
    ]
    found = _blobs(worktree, [entry.blob for entry in wanted])
    return {entry.path: data.decode(errors="replace") for entry, data in zip(wanted, found, strict=True)}


def environment(worktree: Path) -> Path | None:
    """The Python environment beside the files of the repository, if there is one that git has not."""
    kept = _git(worktree, "rev-parse", "--path-format=absolute", "--git-common-dir")
    repository = Path(os.fsdecode(kept).rstrip("\n")).parent
    for place in environments(repository):
        if not _git(repository, "ls-files", "--", place.name):
            return place
    return None


def write(worktree: Path, commit: str, folder: Path) -> None:
    """Write the files of a commit into a new folder, links as links. Repositories within are left out."""
    folder.mkdir()
    wanted = [entry for entry in entries(worktree, commit) if entry.mode != REPOSITORY]
    for entry, data in zip(wanted, _blobs(worktree, [entry.blob for entry in wanted]), strict=True):
        place = folder / entry.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.mode == LINK:
            os.symlink(os.fsdecode(data), place)
        else:
            place.write_bytes(data)
            place.chmod(0o755 if entry.mode == PROGRAM else 0o644)


def _blobs(worktree: Path, names: Sequence[str]) -> Iterator[bytes]:
    """The contents of blobs, in their order (git-cat-file(1), BATCH OUTPUT)."""
    told = memoryview(_git(worktree, "cat-file", "--batch", given="".join(f"{name}\n" for name in names)))
    at = 0
    for _ in names:
        end = at + bytes(told[at : at + 200]).index(b"\n")
        size = int(bytes(told[at:end]).split()[2])
        yield bytes(told[end + 1 : end + 1 + size])
        at = end + size + 2


def _git(folder: Path, *words: str, given: str = "") -> bytes:
    """What git says.

    Raises:
        FileRefused: it ended badly, is not there, or took too long.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1"}
    try:
        told = subprocess.run(
            ("git", *_CALM, *words),
            cwd=folder,
            env=environ | {"LC_ALL": "C.UTF-8", "GIT_ATTR_NOSYSTEM": "1"},
            input=given.encode(),
            capture_output=True,
            timeout=WITHIN_S,
        )
    except OSError as error:
        raise FileRefused(folder, f"cannot be read by git: {error.strerror}", "Install git.") from error
    except subprocess.TimeoutExpired as error:
        raise FileRefused(folder, f"took git more than {WITHIN_S} s", "Look what holds it up.") from error
    if told.returncode:
        said = told.stderr.decode(errors="replace").strip().splitlines()
        why = said[0] if said else f"git exited with {told.returncode}"
        raise FileRefused(folder, f"cannot be judged: {why}", "Give a worktree, and a commit that it has.")
    return told.stdout
