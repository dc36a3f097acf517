"""Servers of other makers, as their users install them: what the registry is tried in front of.

    python -m tests.interop.real_servers --install

Three reference servers of the protocol's own makers, in JavaScript from npm, and one in Python that is
built on the SDK before 2.0, so knows the 2025 era only, and has a virtual environment of its own. All lie in
a cache folder of ours: REAL_SERVERS_DIR, else ~/.cache/pygent/real-servers. The rule of this file is
that of `conformance.py`: only the command line reaches the network; a test asks `missing` first.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .conformance import INSTALL_SECONDS, SuiteUnusable, npm_install

SCOPE = "@modelcontextprotocol"
NODE_SERVERS = {
    "server-everything": "2026.8.31",
    "server-filesystem": "2026.8.31",
    "server-memory": "2026.8.31",
}
PYTHON_SERVERS = {"mcp_server_time": "2026.8.18", "mcp": "1.30.0"}
"""The server, and the SDK it is built on: the last of the 1.x line."""


def cache() -> Path:
    """The folder the servers are installed in."""
    chosen = os.environ.get("REAL_SERVERS_DIR")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "pygent" / "real-servers"


def missing() -> str:
    """Why the servers cannot run here and what to type; "" when they can."""
    wanted = {**NODE_SERVERS, **PYTHON_SERVERS}
    lacking = [f"{name} {version}" for name, version in wanted.items() if installed(name) != version]
    if not lacking and shutil.which("node"):
        return ""
    what = ", ".join(lacking) or "node"
    return f"{what}: not in {cache()}. Install it: python -m tests.interop.real_servers --install"


def installed(name: str) -> str:
    """The version of a package in the cache; "" where it is not there."""
    if name in NODE_SERVERS:
        manifest = cache() / "node_modules" / SCOPE / name / "package.json"
        return str(json.loads(manifest.read_text())["version"]) if manifest.is_file() else ""
    found = (cache() / "venv").glob(f"lib/python*/site-packages/{name}-*.dist-info")
    return next((path.name.removesuffix(".dist-info").rpartition("-")[2] for path in found), "")


def entry(name: str, *args: str, **more: Any) -> dict[str, Any]:
    """The config entry of one of them, by its package's name."""
    if name in NODE_SERVERS:
        script = cache() / "node_modules" / SCOPE / name / "dist" / "index.js"
        return {"command": "node", "args": [str(script), *args], **more}
    return {"command": str(cache() / "venv" / "bin" / "python"), "args": ["-m", name, *args], **more}


def install() -> None:
    """Install all of them into the cache folder.

    Raises:
        SuiteUnusable: npm is not on this machine, or an installer failed.
    """
    npm_install(cache(), [f"{SCOPE}/{name}@{version}" for name, version in NODE_SERVERS.items()])
    venv.create(cache() / "venv", with_pip=True)
    pip = [str(cache() / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    wanted = [f"{name}=={version}" for name, version in PYTHON_SERVERS.items()]
    done = subprocess.run([*pip, *wanted], timeout=INSTALL_SECONDS, check=False)
    if done.returncode:
        raise SuiteUnusable(f"pip install ended with exit code {done.returncode}; its reason stands above.")
    if why := missing():
        raise SuiteUnusable(f"The installers ended without an error, and still: {why}")


def main(argv: Sequence[str] | None = None) -> int:
    """0 when the servers are there, 2 when they could not be installed."""
    parser = argparse.ArgumentParser(
        description="Install the servers that the registry is tried in front of."
    )
    parser.add_argument("--install", action="store_true", required=True, help="install what is missing")
    parser.parse_args(argv)
    try:
        if missing():
            install()
    except (SuiteUnusable, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
