"""A program run with less than its user's rights: limits by the kernel (setrlimit), and a view of files and
network of its own by bubblewrap.

The one rule: what is asked for and cannot be had is an error, never a program that runs without it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pygent_shared.errors import SandboxMissing

LIMITS = Path(__file__).with_name("limits.py")
INSTALL = "Install bubblewrap: apt install bubblewrap (or dnf, pacman, apk)."
_TEMPORARY = Path("/tmp")


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """What a program may do. What is None is not limited."""

    network: bool = True
    """Whether it reaches any network, this machine's loopback included."""
    write: tuple[Path, ...] | None = None
    """The folders it may write to; all others are read-only, and it has an empty /tmp of its own."""
    memory_mb: int | None = None
    """Megabytes of writable memory each of its processes may have."""
    cpu_seconds: int | None = None
    """Seconds of processor time each of its processes may use before it is killed."""
    processes: int | None = None
    """Processes and threads it may have at once."""
    file_mb: int | None = None
    """Megabytes a file may have that it writes."""

    @property
    def is_walled(self) -> bool:
        """Whether it takes namespaces of its own, and so bubblewrap."""
        return not self.network or self.write is not None or self.processes is not None


def confined(
    argv: Sequence[str], sandbox: Sandbox, *, cwd: str | None = None, environ: Mapping[str, str] = os.environ
) -> list[str]:
    """The command that runs `argv` in the sandbox; it keeps its stdin, stdout, stderr and environment.

    Args:
        argv: a program and its arguments.
        sandbox: what it may do.
        cwd: the folder it starts in.
        environ: its environment, of which PATH tells where its program is.

    Raises:
        SandboxMissing: this machine cannot give such a sandbox.
        FileNotFoundError: there is no such program.
    """
    if os.name != "posix":
        raise SandboxMissing("a sandbox is made on Linux and macOS only", 'Take "sandbox" out.')
    program = _found(argv[0], cwd, environ)
    limited = [sys.executable, "-I", "-S", str(LIMITS), *_limits(sandbox), "--", program, *argv[1:]]
    return [*_wall(sandbox, limited, cwd), *limited] if sandbox.is_walled else limited


def _found(program: str, cwd: str | None, environ: Mapping[str, str]) -> str:
    """Where the program lies. Looked up here, or its absence would be told by the sandbox's own words."""
    if os.path.dirname(program):
        where: str | None = os.path.join(cwd or os.getcwd(), program)
        where = where if where and os.path.exists(where) else None
    else:
        where = shutil.which(program, path=environ.get("PATH"))
    if where is None:
        raise FileNotFoundError(2, "there is no such program", program)
    return where


def _limits(sandbox: Sandbox) -> Iterator[str]:
    if sandbox.memory_mb is not None:
        if sys.platform != "linux":
            why, cure = "memory is limited on Linux only", 'Take "memory_mb" out of "sandbox".'
            raise SandboxMissing(why, cure)
        # Not RLIMIT_AS: what V8 and Go only reserve counts there, by the gigabyte.
        yield f"RLIMIT_DATA={sandbox.memory_mb << 20}"
    if sandbox.cpu_seconds is not None:
        yield f"RLIMIT_CPU={sandbox.cpu_seconds}"
    if sandbox.file_mb is not None:
        yield f"RLIMIT_FSIZE={sandbox.file_mb << 20}"
    if sandbox.processes is not None:
        if os.geteuid() == 0:
            why = "the kernel does not limit the number of root's processes"
            raise SandboxMissing(why, 'Run pygent as another user, or take "processes" out of "sandbox".')
        yield f"RLIMIT_NPROC={sandbox.processes}"


def _wall(sandbox: Sandbox, argv: Sequence[str], cwd: str | None) -> Iterator[str]:
    """bubblewrap's own words (bwrap(1)); a later mount lies over an earlier one."""
    if sys.platform != "linux":
        why = "files, network and processes are walled off on Linux only"
        raise SandboxMissing(why, 'Take "network", "write" and "processes" out of "sandbox".')
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise SandboxMissing("its sandbox needs bubblewrap, which is not installed", INSTALL)
    yield from (bwrap, "--die-with-parent", "--unshare-user-try", "--unshare-pid", "--unshare-ipc")
    yield from ("--cap-drop", "ALL")
    yield from ("--bind" if sandbox.write is None else "--ro-bind", "/", "/")
    yield from ("--dev", "/dev", "--proc", "/proc")
    if os.path.isdir("/run"):
        # Sockets of programs that would do it for us (docker, D-Bus); not the name service's.
        yield from ("--tmpfs", "/run", "--ro-bind-try", "/run/systemd/resolve", "/run/systemd/resolve")
    if sandbox.write is not None:
        yield from ("--tmpfs", str(_TEMPORARY))
        for word in {*argv, cwd or ""}:
            if _TEMPORARY in Path(word).parents and os.path.exists(word):
                yield from ("--ro-bind", word, word)
        for folder in sandbox.write:
            if not folder.is_dir():
                why = f'its sandbox may write to "{folder}", which is no folder'
                raise SandboxMissing(why, f'Make it: mkdir -p "{folder}"')
            yield from ("--bind", str(folder), str(folder))
    if not sandbox.network:
        yield "--unshare-net"
    yield from ("--chdir", cwd or os.getcwd(), "--")
