"""The sandbox where bubblewrap makes none: Landlock and seccomp, by `sandlock`, without namespaces or root.

It has no view of its own, so what lies outside is forbidden and not absent: names and sizes can be asked for.
It has no /tmp of its own either: `run.py` makes a folder for it. What is shown read-only in a folder that may
be written to cannot be read there. The modes, owners, times and attributes of files, which Landlock does not
guard, cannot be changed at all. A program that a signal ended has the exit code 255, whichever it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from pygent_shared.errors import SandboxMissing
from pygent_shared.sandbox import LIMITS, Sandbox, found, limit_words, programs
from pygent_shared.sandbox.view import ETC, SYSTEM

LAUNCH = Path(__file__).with_name("launch.py")
INSTALL = "Install it: pip install 'pygent-factory[agents]'"

_DEVICES = tuple(map(Path, ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")))
_MACHINE = tuple(Path("/proc", name) for name in ("cpuinfo", "meminfo", "stat", "loadavg", "version"))
"""What programs want to know of the machine; of its processes they are shown nothing."""
ENVIRONMENT = {"GIT_CONFIG_NOSYSTEM": "1"}
"""Git takes a file that is forbidden for an error."""
_UNGUARDED = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
    *("utime", "utimes", "futimesat", "utimensat"),
)


def landlocked(
    argv: Sequence[str], sandbox: Sandbox, *, cwd: str, temporary: Path, environ: Mapping[str, str]
) -> list[str]:
    """The command that runs `argv` in a sandbox for a program that nobody trusts.

    Args:
        temporary: a folder of its own, for what it would put into /tmp.

    Raises:
        SandboxMissing: this is no such sandbox.
        FileNotFoundError: there is no such program.
    """
    if sandbox.network or sandbox.read is None or sandbox.write is None:
        why = "Landlock is used for programs without network, whose files are named"
        raise SandboxMissing(why, "Install bubblewrap for others.")
    program = found(argv[0], cwd, environ)
    inside = [sys.executable, "-I", "-S", str(LIMITS), *limit_words(sandbox), "--", program, *argv[1:]]
    policy = {
        "fs_readable": _there([*SYSTEM, *ETC, *_DEVICES, *_MACHINE, *programs(), *sandbox.read]),
        "fs_writable": _there([*sandbox.write, temporary, Path("/dev/null")]),
        "fs_denied": [str(place) for place in sandbox.read if _lies_in(place, sandbox.write)],
        "extra_deny_syscalls": _UNGUARDED,
        "max_processes": sandbox.processes,
        "cwd": cwd,
    }
    return [sys.executable, "-I", str(LAUNCH), json.dumps(policy), *inside]


def lacking() -> SandboxMissing | None:
    """Why this machine gives none; None where it does."""
    if sys.platform != "linux":
        return SandboxMissing("Landlock is Linux's", "Run untrusted code on Linux.")
    if find_spec("sandlock") is None:
        return SandboxMissing("sandlock is not installed", INSTALL)
    words = landlocked(
        ["/bin/true"],
        Sandbox(network=False, write=(), read=()),
        cwd="/",
        temporary=Path("/dev/null"),
        environ={},
    )
    try:
        tried = subprocess.run(words, capture_output=True, text=True, timeout=20, env={})
    except subprocess.TimeoutExpired:
        return SandboxMissing("sandlock did not start a program within 20 s", INSTALL)
    if tried.returncode == 0:
        return None
    said = tried.stderr.strip().splitlines()
    why = f"sandlock makes no sandbox here ({said[-1] if said else 'no reason given'})"
    return SandboxMissing(why, "It takes Linux 6.12 with Landlock (ABI 6).")


def _there(places: Sequence[Path]) -> list[str]:
    """Of these the ones that are there, once each, and where their links lead."""
    return list(dict.fromkeys(str(path) for place in places for path in _both(place) if path.exists()))


def _both(place: Path) -> Iterator[Path]:
    yield place
    yield Path(os.path.realpath(place))


def _lies_in(place: Path, folders: Sequence[Path]) -> bool:
    return any(folder in place.parents for folder in folders)
