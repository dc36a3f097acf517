"""A Redis for tests, Debian's: on no network, only a socket in a folder, and nothing written."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAM = "redis-server"
WANTED = "REDIS_SERVER_WANTED"
"""The variable that makes its absence a failure, as in CI."""
PATIENCE = 30.0


def wanted() -> None:
    """Skip the test, with the reason, where there is none."""
    if shutil.which(PROGRAM) is None:
        assert not os.environ.get(WANTED), f"{PROGRAM} is wanted here, and missing"
        pytest.skip(f"needs {PROGRAM}: apt install redis-server")


@contextmanager
def running(folder: Path | None = None) -> Iterator[str]:
    """The URL of one that runs until the block ends; of the socket in a folder, if one is named."""
    place = folder or Path(tempfile.mkdtemp(prefix="redis-"))
    path = str(place / "redis.sock")
    command = [PROGRAM, "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"]
    try:
        with subprocess.Popen([*command, "--dir", str(place)], stdout=sys.stderr) as server:
            try:
                deadline = time.monotonic() + PATIENCE
                while not _answers(path):
                    assert server.poll() is None, "Redis ended at once"
                    assert time.monotonic() < deadline, "Redis did not become ready"
                    time.sleep(0.01)
                yield f"unix://{path}"
            finally:
                server.terminate()
                server.wait(PATIENCE)
    finally:
        if folder is None:
            shutil.rmtree(place)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0
