"""The folder that a check works in: the files of the commit, what is trusted, and for each program a place of
its own to write to. Every program is run from here, in the sandbox for code that nobody trusts.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from stat import S_ISREG
from tempfile import mkdtemp

from pygent_orchestration.coding.gates.verdict import OUTPUT
from pygent_shared.errors import FileRefused, MissingExtra
from pygent_shared.sandbox import Sandbox, environment
from pygent_shared.sandbox.run import Bounds, Ended, run, user

PROCESSES = 256
MEMORY_MB = 2048
FILE_MB = 256
MOST_READ = 8 << 20
_ENVIRON = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "RUFF_NO_CACHE": "1"}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where the parts of a check lie."""

    folder: Path
    seconds: float
    environment: Path | None = None
    """The repository's own Python environment."""

    @property
    def python(self) -> Path:
        """That the work is run with: its environment's, else this one."""
        return environment.python(self.environment) if self.environment else Path(sys.executable)

    @property
    def tree(self) -> Path:
        """The files of the commit; no program may change them."""
        return self.folder / "tree"

    @property
    def config(self) -> Path:
        """The configs of the tools, as the commit had them that the work began with."""
        return self.folder / "config"

    def place(self, name: str) -> Path:
        """A new folder that the sandbox may write to."""
        folder = self.folder / name
        folder.mkdir()
        self.given(folder)
        return folder

    def given(self, folder: Path) -> None:
        """Give a folder and all in it to the user that the sandbox is run as."""
        if os.geteuid() == 0:
            owner = user()
            for place, folders, names in os.walk(folder):
                for path in [place, *(os.path.join(place, name) for name in (*folders, *names))]:
                    os.chown(path, owner, owner, follow_symlinks=False)

    async def ran(
        self,
        argv: Sequence[str],
        *,
        write: Path,
        read: Sequence[Path] = (),
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run a program to its end. What it prints names the files of the commit as the repository does.

        Args:
            write: the one folder that it may write to.
            read: what it sees beside it, read-only.
            cwd: where it starts; `write` unless said.

        Raises:
            SandboxMissing: this machine cannot give the sandbox.
        """
        sandbox = Sandbox(
            network=False,
            write=(write,),
            read=(*read, *(environment.seen(self.environment) if self.environment else ())),
            memory_mb=MEMORY_MB,
            cpu_seconds=int(self.seconds) + 1,
            processes=PROCESSES,
            file_mb=FILE_MB,
        )
        bounds = Bounds(seconds=self.seconds, output=OUTPUT)
        told = {**_ENVIRON, **(environ or {})}
        ended = await run(argv, sandbox, cwd=cwd or write, environ=told, bounds=bounds)
        shown = ended.output.replace(f"{self.tree}/", "").replace(f"{self.folder}/", "")
        return replace(ended, output=shown)


@contextmanager
def opened(seconds: float, own: Path | None) -> Iterator[Bench]:
    """A bench, cleared away at the end; `own` is the environment of the repository."""
    folder = Path(os.path.realpath(mkdtemp(prefix="pygent-gates-")))
    try:
        yield Bench(folder=folder, seconds=seconds, environment=own)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def has(bench: Bench, module: str, purpose: str) -> None:
    """See to it that what runs the work has a module.

    Raises:
        FileRefused: the repository's environment has not.
        MissingExtra: this Python has not.
    """
    if (own := bench.environment) is None:
        if find_spec(module) is None:
            raise MissingExtra(purpose.capitalize(), "gates")
    elif not any(own.glob(f"lib/python3*/site-packages/{module}")):
        cure = f"Install it: {environment.python(own)} -m pip install {module}"
        raise FileRefused(own, f"has no {module}: {purpose} needs it", cure)


def left(place: Path, name: str) -> bytes | None:
    """A file that a program left; None where it left none, or something else of that name."""
    try:
        file = os.open(place / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(file, "rb") as opened:
        return opened.read(MOST_READ) if S_ISREG(os.fstat(file).st_mode) else None
