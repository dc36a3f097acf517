"""The program that an entry starts: where it lies, what is in it, and whether its version stands still.

A program of its own is pinned by the sha-256 of its file, so that one put in its place is not started unseen.
A launcher (`npx`, `uvx`, `docker`) or an interpreter (`node`, `python`) is not: it is part of the system, is
replaced by every update of that, and runs whatever its arguments name, which are pinned. What it fetches
stands still only where the arguments name a version; `unpinned` finds where they do not.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from pygent_registry.entry import Entry

# The name, without a version ("python3.12", "node22") and ".exe".
_SYSTEMS = frozenset(
    "npx npm pnpm yarn bun bunx node nodejs deno uvx uv pipx pip python pypy py docker podman nerdctl java "
    "dotnet ruby perl php lua go cargo sh bash dash zsh fish cmd powershell pwsh env sudo nice setsid "
    "timeout ssh bwrap firejail systemd-run wsl".split()
)
_VERSION = re.compile(r"[-.0-9]+$")

# Launcher and what follows it -> options that take a value, and those whose value is the package.
_NPM = (("-c", "--call", "--registry", "--cache", "--userconfig"), ("-p", "--package"))
_UV = (("--with", "--python", "-p", "--index-url", "--index", "--with-editable", "-w"), ("--from",))
_PIPX = (("--python", "--index-url", "--pip-args"), ("--spec",))
_LAUNCHERS: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = {
    ("npx",): _NPM,
    ("npm", "exec"): _NPM,
    ("bunx",): _NPM,
    ("bun", "x"): _NPM,
    ("pnpm", "dlx"): _NPM,
    ("yarn", "dlx"): _NPM,
    ("uvx",): _UV,
    ("uv", "tool", "run"): _UV,
    ("pipx", "run"): _PIPX,
}
_DOCKER_SWITCHES = frozenset(
    "-i -t -it -ti -d --rm --init --interactive --tty --read-only --privileged".split()
)
_NAMED_WHOLLY = re.compile(r"@[0-9a-f]{7,40}$|\.(?:whl|tgz|tar\.gz)$")
_EXACT = re.compile(r"v?\d[\w.+-]*")


def executable(entry: Entry) -> Path | None:
    """The file that an entry starts; None where it starts none, or a launcher or interpreter."""
    if not entry.command or _plain_name(entry.command) in _SYSTEMS:
        return None
    folder = Path(entry.cwd) if entry.cwd else Path()
    if os.path.dirname(entry.command):
        found = folder / entry.command
        return found if found.is_file() else None
    path = entry.env.get("PATH") or os.environ.get("PATH")
    where = shutil.which(entry.command, path=path)
    return Path(where) if where else None


class Hashes:
    """What is in files, read again only where they changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def sha256(self, path: Path) -> str:
        """The hash of the file's content.

        Raises:
            OSError: it cannot be read.
        """
        found = path.stat()
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if (known := self._known.get(path)) is None or known[0] != stamp:
            with path.open("rb") as file:
                known = self._known[path] = stamp, hashlib.file_digest(file, "sha256").hexdigest()
        return known[1]


def unpinned(entry: Entry) -> str | None:
    """The package or image whose newest version an entry starts, whatever that is by then."""
    words = [_plain_name(entry.command), *entry.args]
    if words[0] in ("docker", "podman", "nerdctl") and "run" in words:
        image = next(_positional(words[words.index("run") + 1 :]), None)
        return image if image and not _is_fixed_image(image) else None
    for launcher, (valued, naming) in _LAUNCHERS.items():
        if tuple(words[: len(launcher)]) == launcher:
            package = _package(words[len(launcher) :], valued, naming)
            return package if package and not _is_fixed_package(package) else None
    return None


def _plain_name(command: str) -> str:
    name = Path(command).name.lower().removesuffix(".exe").removesuffix(".cmd")
    return _VERSION.sub("", name) or name


def _package(words: list[str], valued: tuple[str, ...], naming: tuple[str, ...]) -> str | None:
    """What a launcher is told to run: by an option, or by its first word that is none."""
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if option in naming:
            return value if equals else next(rest, None)
        if option in valued:
            if not equals:
                next(rest, None)
        elif not word.startswith("-"):
            return word
    return None


def _positional(words: list[str]) -> Iterator[str]:
    """The words after `docker run` that are no option and no option's value."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            yield word
        elif _takes_the_next(word):
            next(rest, None)


def _takes_the_next(option: str) -> bool:
    """Whether the value of docker's option is the next word: it has one, and that is not in its own word."""
    is_long = option.startswith("--")
    return option not in _DOCKER_SWITCHES and ("=" not in option if is_long else len(option) == 2)


def _is_fixed_package(package: str) -> bool:
    """`name@1.2.3`, `name==1.2.3`, a file, or an address that names a commit or version itself."""
    if package.startswith((".", "/", "~", "file:")) or re.search(
        r"@[0-9a-f]{7,40}$|\.(?:whl|tgz|tar\.gz)$", package
    ):
        return True
    _, marked, wanted = package.rpartition("==") if "==" in package else package[1:].rpartition("@")
    return bool(marked) and _EXACT.fullmatch(wanted) is not None and wanted.count(".") >= 1


def _is_fixed_image(image: str) -> bool:
    _, digest, _ = image.partition("@sha256:")
    tag = image.rpartition("/")[2].partition(":")[2]
    return bool(digest) or tag not in ("", "latest")
