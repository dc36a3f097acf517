"""A program run with less than its user's rights: limits by the kernel (setrlimit), and a view of files and
network of its own by bubblewrap.

The one rule: what is asked for and cannot be had is an error, never a program that runs without it.

A program that nobody trusts is given `read`: then it sees the system's programs and what is named there, and
nothing else; `pygent_shared.sandbox.run` runs it, with no environment of ours and a bound on everything, and
by Landlock (`landlock.py`) where bubblewrap makes no sandbox.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pygent_shared.errors import SandboxMissing
from pygent_shared.sandbox.view import NOBODY, strict

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
    read: tuple[Path, ...] | None = None
    """What it sees beside the system's programs and this Python; None: everything. What is named here
    and lies in a folder of `write` is read-only. Where we are root it is run as the user `view.NOBODY`, to
    whom the folders of `write` must be given before."""
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
        asked = (self.write, self.read, self.processes)
        return not self.network or any(part is not None for part in asked)

    @property
    def is_nobodys(self) -> bool:
        """Whether it is run as nobody: root's files and root's exemption from limits are not for it."""
        return self.read is not None and os.geteuid() == 0


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
    program = found(argv[0], cwd, environ)
    limited = [
        sys.executable,
        "-I",
        "-S",
        str(LIMITS),
        *limit_words(sandbox),
        *_nobodys(sandbox, cwd),
        "--",
        program,
        *argv[1:],
    ]
    return [*_wall(sandbox, limited, cwd), *limited] if sandbox.is_walled else limited


def found(program: str, cwd: str | None, environ: Mapping[str, str]) -> str:
    """Where the program lies. Looked up here, or its absence would be told by the sandbox's own words."""
    if os.path.dirname(program):
        where: str | None = os.path.join(cwd or os.getcwd(), program)
        where = where if where and os.path.exists(where) else None
    else:
        where = shutil.which(program, path=environ.get("PATH"))
    if where is None:
        raise FileNotFoundError(2, "there is no such program", program)
    return where


def limit_words(sandbox: Sandbox) -> Iterator[str]:
    """The words of `limits.py` for what each process may use."""
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


def _nobodys(sandbox: Sandbox, cwd: str | None) -> Iterator[str]:
    """Those for whose user it is, and how many processes that may have."""
    if sandbox.is_nobodys:
        yield f"user={NOBODY}"
        yield f"cwd={cwd or os.getcwd()}"
    if sandbox.processes is not None:
        if os.geteuid() == 0 and not sandbox.is_nobodys:
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
    yield from (bwrap, "--die-with-parent", "--unshare-pid", "--unshare-ipc")
    if not sandbox.network:
        yield "--unshare-net"
    yield from ("--cap-drop", "ALL")
    if sandbox.is_nobodys:
        # In a user namespace made by root they would be root's still, whom no limit of processes binds.
        yield from ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
    else:
        yield "--unshare-user-try"
    yield from (
        _world(sandbox, argv, cwd)
        if sandbox.read is None
        else strict(programs(), sandbox.read, _folders(sandbox))
    )
    yield from ("--chdir", "/" if sandbox.is_nobodys else cwd or os.getcwd(), "--")


def _world(sandbox: Sandbox, argv: Sequence[str], cwd: str | None) -> Iterator[str]:
    """Everything there is, read-only where it must be."""
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
        for folder in _folders(sandbox):
            yield from ("--bind", str(folder), str(folder))


def _folders(sandbox: Sandbox) -> Iterator[Path]:
    """Where it may write.

    Raises:
        SandboxMissing: there is no such folder.
    """
    for folder in sandbox.write or ():
        if not folder.is_dir():
            why = f'its sandbox may write to "{folder}", which is no folder'
            raise SandboxMissing(why, f'Make it: mkdir -p "{folder}"')
        yield folder


def programs() -> Iterator[Path]:
    """This Python, which sets the limits, with what is installed into it."""
    yield LIMITS
    for prefix in {Path(sys.prefix), Path(sys.base_prefix)}:
        yield prefix
        yield prefix.resolve()
